"""Write one HTML page about the current run. Runs no stage.

Exit status: 0; 1 when results are missing, damaged or not of one run; 2 for a wrong command line.
"""

import sys
from pathlib import Path

from classifier.common.errors import UserError
from classifier.common.files import write_text
from classifier.common.text import visible
from tools.command import Parser, run_command
from tools.report.page import as_page
from tools.report.run import read_run
from tools.review.wording import stale_stages

REPORT = Path("report.html")


def main(arguments: list[str] | None = None) -> None:
    """Read, write, and say where the page is and what it lacks."""
    parser = Parser(
        prog="python -m tools.report",
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m tools.report --output report.html",
    )
    parser.add_argument("--output", type=Path, default=REPORT, metavar="FILE", help=f"where to write the page ({REPORT})")
    output: Path = parser.parse_args(arguments).output
    if output.is_dir():
        raise UserError(f"{output}: needs the name of a file, and this is a folder; name a file in it")
    run = read_run()
    write_text(output, visible(as_page(run)))
    for line in [*stale_stages("this folder", run.stale), *run.missing]:
        print(line, file=sys.stderr)
    print(f"{output}: {output.stat().st_size / 2**20:.2f} MiB; open it in a browser")


if __name__ == "__main__":
    run_command(main)
