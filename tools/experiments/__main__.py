"""Run the named experiments of experiments.yaml, write their table, and compare all experiments.

Exit status: 0; 1 when an experiment failed or something cannot be read; 2 for a wrong command line; 130 after Ctrl-C.
"""

import argparse
import re
from pathlib import Path

from tools.command import run_command

MOST_SEEDS = 1000
LARGEST_SEED = 2**32 - 1


def main(arguments: list[str] | None = None) -> int:
    """Do what is asked for; return the exit status."""
    options = _options(arguments)
    status: int = options.do(options)
    return status


def _run(options: argparse.Namespace) -> int:
    from tools.experiments.jobs import queue_jobs, run_jobs  # DVC takes a second to import: not for --help

    jobs = queue_jobs if options.queue else run_jobs
    return jobs(list(dict.fromkeys(options.names)), options.seeds, force=options.force)


def _table(options: argparse.Namespace) -> int:
    from tools.experiments.table import write_page

    print(f"written: {', '.join(map(str, write_page()))}")
    return 0


def _compare(options: argparse.Namespace) -> int:
    from tools.experiments.ranking import compare
    from tools.experiments.ranking_text import as_text

    comparison = compare()
    print(as_text(comparison), end="", flush=True)
    if options.scatter:
        from tools.experiments.costs import Cost
        from tools.experiments.scatter import draw  # matplotlib takes half a second to import

        print("\n".join(["", *draw(comparison, Cost(options.by), options.scatter)]))
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.experiments", description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run them through DVC, in a copy of the last commit; what has a result is skipped")
    run.add_argument("names", nargs="*", metavar="NAME", help="of experiments.yaml (all)")
    run.add_argument("--seeds", type=_seeds, default=[0], help="such as 0-4 or 0,3,7 (0); each is a run, NAME-seed0 and so on")
    run.add_argument("--queue", action="store_true", help="put them into DVC's queue, which `dvc queue start` runs")
    run.add_argument("--force", action="store_true", help="run every stage again, and replace experiments of the same name")
    run.set_defaults(do=_run)
    table = commands.add_parser("table", help="write docs/results.md and docs/results.png from the runs so far")
    table.set_defaults(do=_table)
    compare = commands.add_parser("compare", help="all experiments by test accuracy, and which cannot be told from the best")
    compare.add_argument("--scatter", type=_picture, metavar="FILE.png", help="draw the accuracies against what the runs take")
    compare.add_argument("--by", choices=("parameters", "seconds"), help="what --scatter draws them against (parameters)")
    compare.set_defaults(do=_compare)
    options = parser.parse_args(arguments)
    if options.do is _compare:
        if options.by and not options.scatter:
            parser.error("--by needs --scatter")
        options.by = options.by or "parameters"
    return options


def _picture(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() != ".png" or not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"must be a file name that ends in .png, in a folder that exists; got {text}")
    return path


def _seeds(text: str) -> list[int]:
    """The seeds of `0-4`, `3` or `0,2,5-7`, each once, in order."""
    found: set[int] = set()
    for part in text.split(","):
        bounds = re.fullmatch(r"([0-9]{1,10})(?:-([0-9]{1,10}))?", part)
        first, last = (int(bounds[1]), int(bounds[2] or bounds[1])) if bounds else (1, 0)
        if not first <= last <= LARGEST_SEED or last - first >= MOST_SEEDS:
            raise argparse.ArgumentTypeError(
                f"must be like 0-4 or 0,3,7, up to {LARGEST_SEED}, {MOST_SEEDS} at most; got {text}"
            )
        found.update(range(first, last + 1))
    return sorted(found)


if __name__ == "__main__":
    run_command(main, tidy_when_ended=True)
