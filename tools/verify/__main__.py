"""Run each stage again in a clean room, and compare with dvc.lock: `make verify`. Exit status 1 when something differs.

Each stage runs in a temporary folder that holds only what dvc.yaml declares for it, as dvc.lock records it. What it opens and
writes is compared with what is declared and recorded. docs/explain/reproducibility.md says what can and cannot be seen so.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.repo.reproduce import plan_repro
from dvc.stage import PipelineStage

from classifier.common.errors import NO_SPACE, UserError, one_line
from tools.command import Parser, run_command
from tools.verify.room import group_of
from tools.verify.verdict import COLUMNS, Verdict, verify_stage

TRAIN = "train"


def choose_stages(repo: Any, names: list[str], train: bool) -> list[Any]:
    """Stages of every dvc.yaml, in the order in which they run: those in `names`, or all; the training one only with `train`.

    A name of `foreach` or `matrix` stands for all its stages. Raises UserError for a name that no dvc.yaml has.
    """
    stages = [stage for stage in plan_repro(repo.index.graph) if isinstance(stage, PipelineStage)]
    known = {stage.addressing: {stage.addressing, stage.addressing.partition("@")[0]} for stage in stages}
    for name in names:
        if not any(name in all_names for all_names in known.values()):
            raise UserError(f"dvc.yaml has no stage {name!r}; it has {', '.join(known)}")
    chosen = [stage for stage in stages if not names or known[stage.addressing].intersection(names)]
    return [stage for stage in chosen if train or group_of(stage) != TRAIN]


def as_json(verdicts: list[Verdict]) -> str:
    """The verdicts for other programs. It holds no seconds, so that it is the same for the same breaches."""
    stages = [
        {
            "stage": verdict.stage,
            **{column: verdict.of(column) for column in COLUMNS},
            "breaches": [{"column": column, "text": text} for column, text in verdict.breaches],
            "notes": verdict.notes,
        }
        for verdict in verdicts
    ]
    return json.dumps({"passed": not any(verdict.breaches for verdict in verdicts), "stages": stages}, indent=2)


class Table:
    """Prints a row for each verdict as it comes, and below it what there is to say."""

    def __init__(self, stages: list[Any]) -> None:
        self._width = max(len(stage.addressing) for stage in stages)
        print(f"{'stage':<{self._width}} | reads  | writes | bytes  | seconds")
        print(f"{'-' * self._width}-|--------|--------|--------|--------", flush=True)

    def row(self, verdict: Verdict) -> None:
        """One stage."""
        cells = " | ".join(f"{verdict.of(column):<6}" for column in COLUMNS)
        print(f"{verdict.stage:<{self._width}} | {cells} | {verdict.seconds:7.1f}")
        for column, text in verdict.breaches:
            print(f"    {column}: {text}")
        for note in verdict.notes:
            print(f"    note: {note}")
        sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    """Verify the repository in the current folder, print the result, and return the exit status."""
    options = _parser().parse_args(arguments)
    with Repo(str(Path.cwd())) as repo:
        stages = choose_stages(repo, options.stage, options.train)
        if not stages:
            raise UserError("no stage is left to verify")
        table = None if options.json else Table(stages)
        verdicts = []
        for stage in stages:
            if sys.stderr.isatty():
                print(f"{stage.addressing} ...", end="\r", file=sys.stderr, flush=True)
            verdicts.append(_verified(repo, stage))
            if table:
                table.row(verdicts[-1])
    broken = [verdict.stage for verdict in verdicts if verdict.breaches]
    if options.json:
        print(as_json(verdicts))
    elif broken:
        print(f"dvc.lock is not confirmed for {', '.join(broken)}")
    else:
        print(f"dvc.lock holds for {', '.join(verdict.stage for verdict in verdicts)}")
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m tools.verify",
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m tools.verify --no-train",
    )
    parser.add_argument("--stage", action="append", default=[], metavar="NAME", help="only this stage; can be repeated")
    parser.add_argument("--no-train", dest="train", action="store_false", help="skip the stage train")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    return parser


def _verified(repo: Any, stage: Any) -> Verdict:
    """As `verify_stage`, with what a full disk says in words for a person."""
    try:
        return verify_stage(repo, stage)
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        where = tempfile.gettempdir()
        raise UserError(f"{where}: no space left for a clean room; free some, or set TMPDIR to another folder") from None


def _confirm() -> int:
    """As `main`, with what DVC says on one line."""
    try:
        return main()
    except DvcException as error:
        raise UserError(one_line(error)) from None


if __name__ == "__main__":
    run_command(_confirm, tidy_when_ended=True)
