"""Run many experiments: named ones, a sweep or a search; compare them, write a table, or hand them to MLflow.

Exit status: 0; 1 when an experiment failed or something cannot be read; 2 for a wrong command line; 130 after Ctrl-C.
"""

import argparse
import os
import re
from importlib.util import find_spec
from pathlib import Path

from classifier.common.errors import UserError
from tools.command import Parser, run_command

MAX_SEEDS = 1000
LARGEST_SEED = 2**32 - 1
MAX_SETTINGS = 50


def main(arguments: list[str] | None = None) -> int:
    """Do what is asked for; return the exit status."""
    options = _options(arguments)
    status: int = options.do(options)
    return status


def _run(options: argparse.Namespace) -> int:
    from tools.experiments.jobs import queue_jobs, run_jobs  # DVC takes a second to import: not for --help

    jobs = queue_jobs if options.queue else run_jobs
    return jobs(list(dict.fromkeys(options.names)), options.seeds, force=options.force)


def _sweep(options: argparse.Namespace) -> int:
    from tools.experiments.sweep import sweep

    return sweep(options.settings, num_jobs=options.jobs, metric=options.metric, limit=options.limit, dry_run=options.dry_run)


def _search(options: argparse.Namespace) -> int:
    if find_spec("optuna") is None:
        raise UserError("optuna: not installed; `make search` installs it from requirements-search.txt")
    from tools.experiments.search import search

    return search(
        options.settings, num_trials=options.trials, metric=options.metric, seed=options.sampler_seed, prune=options.prune
    )


def _mlflow(options: argparse.Namespace) -> int:
    if find_spec("mlflow") is None:
        raise UserError("mlflow: not installed; `sh tools/setup.sh mlflow` installs it from requirements-mlflow.txt")
    from tools.experiments.mlflow_store import write_runs

    print("\n".join(write_runs(options.store)))
    return 0


def _table(options: argparse.Namespace) -> int:
    from tools.experiments.table import write_page

    print(f"written: {', '.join(map(str, write_page()))}")
    return 0


def _compare(options: argparse.Namespace) -> int:
    from tools.experiments.ranking import as_text, compare

    comparison = compare()
    print(as_text(comparison), end="", flush=True)
    if options.scatter:
        from tools.experiments.scatter import (
            Cost,
            draw,  # matplotlib takes half a second to import
        )

        print("\n".join(["", *draw(comparison, Cost(options.by), options.scatter)]))
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m tools.experiments",
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m tools.experiments sweep lr=0.001,0.003 weight_decay=0,1e-4 --jobs 2",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run experiments in a copy of the last commit; finished experiments are skipped")
    run.add_argument("names", nargs="*", metavar="NAME", help="a name in experiments.yaml (default: all)")
    run.add_argument(
        "--seeds", type=_seeds, default=[0], help="such as 0-4 or 0,3,7 (0); one run for each, called NAME-seed0 and so on"
    )
    run.add_argument("--queue", action="store_true", help="put them into DVC's queue, which `dvc queue start` runs")
    run.add_argument("--force", action="store_true", help="run every stage again, and replace experiments of the same name")
    run.set_defaults(do=_run)
    _add_sweep(commands.add_parser("sweep", help="run every combination of the given values"))
    _add_search(commands.add_parser("search", help="let Optuna choose settings, each from the earlier results"))
    table = commands.add_parser("table", help="write docs/results.md and docs/results.png from the runs so far")
    table.set_defaults(do=_table)
    mlflow = commands.add_parser("mlflow", help="write the experiments into an MLflow tracking store; those in it are skipped")
    mlflow.add_argument(
        "--store",
        default=os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db",
        metavar="URI",
        help="address of the store (MLFLOW_TRACKING_URI, else sqlite:///mlflow.db)",
    )
    mlflow.set_defaults(do=_mlflow)
    compare = commands.add_parser(
        "compare", help="rank all experiments by test accuracy; marks those not significantly different from the best"
    )
    compare.add_argument(
        "--scatter", type=_picture, metavar="FILE.png", help="also draw a picture: accuracy against parameters or seconds"
    )
    compare.add_argument("--by", choices=("parameters", "seconds"), help="the horizontal axis of --scatter (parameters)")
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


def _add_sweep(sweep: argparse.ArgumentParser) -> None:
    sweep.add_argument("settings", nargs="+", metavar="NAME=VALUE,VALUE", help="such as lr=0.001,0.01 augment=[],[flip,shift]")
    sweep.add_argument(
        "--jobs", type=_positive, default=1, metavar="N", help="number of runs at once (1); they share the cores"
    )
    sweep.add_argument("--metric", default="val_accuracy", help="rank by val_accuracy (the default) or val_loss")
    sweep.add_argument(
        "--limit", type=_positive, default=MAX_SETTINGS, metavar="N", help=f"largest number of settings ({MAX_SETTINGS})"
    )
    sweep.add_argument("--dry-run", action="store_true", help="only check, and print what would run")
    sweep.set_defaults(do=_sweep)


def _add_search(search: argparse.ArgumentParser) -> None:
    search.add_argument(
        "settings", nargs="+", metavar="NAME=VALUES", help="such as lr=log:1e-4:1e-1 epochs=range:2:8 weight_decay=0,1e-4"
    )
    search.add_argument(
        "--trials", type=_positive, default=40, metavar="N", help="number of trials, earlier calls included (40)"
    )
    search.add_argument("--metric", default="val_accuracy", help="rank by val_accuracy (the default) or val_loss")
    search.add_argument("--sampler-seed", type=_seed, default=0, metavar="N", help="seed of the choice of settings (0)")
    search.add_argument("--no-prune", dest="prune", action="store_false", help="do not stop poor settings early")
    search.set_defaults(do=_search)


def _seed(text: str) -> int:
    return _seeds(text)[0]


def _positive(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        raise argparse.ArgumentTypeError(f"must be a number from 1 to 999999, got {text}")
    return int(text)


def _seeds(text: str) -> list[int]:
    """The seeds of `0-4`, `3` or `0,2,5-7`, each once, in order."""
    found: set[int] = set()
    for part in text.split(","):
        bounds = re.fullmatch(r"([0-9]{1,10})(?:-([0-9]{1,10}))?", part)
        first, last = (int(bounds[1]), int(bounds[2] or bounds[1])) if bounds else (1, 0)
        if not first <= last <= LARGEST_SEED or last - first >= MAX_SEEDS:
            raise argparse.ArgumentTypeError(
                f"must be like 0-4 or 0,3,7, up to {LARGEST_SEED}, {MAX_SEEDS} at most; got {text}"
            )
        found.update(range(first, last + 1))
    return sorted(found)


if __name__ == "__main__":
    run_command(main, tidy_when_ended=True)
