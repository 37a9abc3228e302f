"""Run the named experiments of experiments.yaml, write their table, and compare all experiments.

Exit status: 0; 1 when an experiment failed or something cannot be read; 2 for a wrong command line; 130 after Ctrl-C.
"""

import argparse
import re

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

    print(compare(), end="")
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
    compare.set_defaults(do=_compare)
    return parser.parse_args(arguments)


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
