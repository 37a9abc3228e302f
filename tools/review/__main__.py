"""Compare two runs: each difference with its interval and a verdict. Runs no stage; prints Markdown.

Exit status: 0; 1 when something cannot be read; 2 for a wrong command line; 3 when --fail-on finds what it looks for.
"""

import argparse
import math
import sys
import tempfile
from pathlib import Path

from classifier.common.errors import UserError
from classifier.common.files import write_text
from classifier.common.text import visible
from record.revisions import WORKSPACE, find_revision
from record.verdicts import ACCURACY, TESTED, WORSE, regression
from tools.command import Parser, run_command
from tools.review.markdown import as_markdown, as_page
from tools.review.review import Review, as_json, review

FAILED = 3


def main(arguments: list[str] | None = None) -> int:
    """Review, print, and return the exit status."""
    options = _options(arguments)
    if options.html and options.html.is_dir():
        raise UserError(f"--html {options.html}: needs the name of a file, and this is a folder; name a file in it")
    compared = review(find_revision(options.base), find_revision(options.head))
    links = _draw(compared, options) if options.pictures or options.html else []
    print(as_json(compared) if options.json else visible(as_markdown(compared, links)), end="\n" if options.json else "")
    return _status(compared, options) if options.fail_on else 0


def _draw(compared: Review, options: argparse.Namespace) -> list[str]:
    """Write the page and the pictures that are asked for; return the paths of the pictures that are kept."""
    from tools.review.pictures import CAPTIONS, draw  # matplotlib takes half a second to import

    with tempfile.TemporaryDirectory(prefix="review-") as temporary:
        folder = options.pictures or Path(temporary)
        names, missing = draw(compared, folder)
        if missing:
            print(missing, file=sys.stderr)
        if options.html:
            pictures = {CAPTIONS[name]: (folder / name).read_bytes() for name in names}
            write_text(options.html, visible(as_page(compared, pictures, missing)))
    return [(options.pictures / name).as_posix() for name in names] if options.pictures else []


def _status(compared: Review, options: argparse.Namespace) -> int:
    """3 when the metric is significantly worse, by more than the tolerance."""
    metric = next(metric for metric in compared.metrics if metric.name == options.metric)
    if metric.interval is None:
        print(f"--fail-on {options.fail_on}: nothing to compare, {compared.refusal}", file=sys.stderr)
    elif metric.verdict == WORSE and regression(metric) > options.tolerance:
        by = f"{metric.name} is worse by {regression(metric):.4f}, more than the tolerance of {options.tolerance:g}"
        print(f"--fail-on {options.fail_on}: {by}", file=sys.stderr)
        return FAILED
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m tools.review",
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m tools.review main --html review.html",
    )
    parser.add_argument("base", nargs="?", default="HEAD", metavar="BASE", help="commit, branch, tag or experiment (HEAD)")
    parser.add_argument("head", nargs="?", default=WORKSPACE, metavar="HEAD", help="the same, or `workspace` (the default)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write one HTML page with everything in it, also pictures")
    parser.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="write the pictures there, and link them in the Markdown"
    )
    parser.add_argument("--fail-on", choices=[WORSE], help=f"exit with status {FAILED} when the metric is significantly worse")
    parser.add_argument("--metric", choices=TESTED, help=f"the metric for --fail-on ({ACCURACY})")
    parser.add_argument(
        "--tolerance", type=_tolerance, help="largest decline that --fail-on accepts, in units of the metric (0)"
    )
    options = parser.parse_args(arguments)
    if not options.fail_on and (options.metric or options.tolerance is not None):
        parser.error("--metric and --tolerance need --fail-on")
    options.metric, options.tolerance = options.metric or ACCURACY, options.tolerance or 0.0
    return options


def _tolerance(text: str) -> float:
    number = float(text)
    if not math.isfinite(number) or number < 0:
        raise argparse.ArgumentTypeError(f"must be 0 or more, got {text}")
    return number


if __name__ == "__main__":
    run_command(main)
