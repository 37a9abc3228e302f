"""What an experiment's commit records of its run: the params and files it read, its metrics, its model."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

from dvc.repo import Repo
from pydantic import BaseModel, Field, ValidationError

from classifier.common.csv_file import read_csv
from classifier.common.errors import UserError, short_message
from classifier.common.files import read_json
from classifier.common.graph import GRAPH_FILE, is_code
from classifier.common.params import read_yaml
from classifier.model.description import ModelDescription
from record.content import cached_path, md5
from record.lock_file import LOCK_FILE, Lock, LockedFile, md5_of_bytes, read_lock
from record.metrics import TEST_METRICS, TRAIN_METRICS, Metrics
from record.results import HISTORY, MODEL_DESCRIPTION
from record.revisions import Experiment, Revision
from record.staleness import code_hashes


class _Added(BaseModel):
    """Of a file that `dvc add` wrote, which has one output."""

    outs: Annotated[list[LockedFile], Field(min_length=1)]


@dataclass(frozen=True)
class RunRecord:
    """Of a whole run, from the first stage to the test metrics."""

    lock: Lock
    metrics: dict[str, float]
    """Of metrics/train.json, then metrics/test.json."""
    epochs: int
    """That were trained: `min_steps` may ask for more than `epochs` does."""


def read_run_record(revision: Revision) -> RunRecord:
    """Raises UserError for an experiment that lacks a part, as one of a single stage does."""
    with revision.unpacked([LOCK_FILE, TRAIN_METRICS, TEST_METRICS, HISTORY]) as folder:
        metrics = [read_json(folder / path, Metrics).root for path in (TRAIN_METRICS, TEST_METRICS)]
        epochs = len(read_csv(folder / HISTORY, ["epoch"]))
        return RunRecord(read_lock(folder / LOCK_FILE), metrics[0] | metrics[1], epochs)


def read_model(lock: Lock) -> ModelDescription | None:
    """From DVC's cache; None where it is no longer there, and for one that code of another version has made."""
    with Repo() as repo:
        path = cached_path(repo, lock.out_hashes.get(MODEL_DESCRIPTION, ""))
    try:
        return read_json(path, ModelDescription) if path else None
    except UserError:
        return None


def difference(experiment: Experiment, params: dict[str, Any], commit: str, passing_over: Collection[str] = ()) -> str | None:
    """The first thing that a run with `params` of the code at `commit` would read otherwise than the experiment did.

    The params passed over are not looked at. None when it would read the same bytes, and so give the same ones. An experiment
    that is not whole differs.
    """
    try:
        lock = read_run_record(experiment.revision).lock
    except UserError as error:
        return str(error)
    for stage in lock.stages.values():
        for name, value in stage.param_values.items():
            if name not in passing_over and (name not in params or params[name] != value):
                return f"{name} was {_word(value)}" + (f", here {_word(params[name])}" if name in params else "")
    read = {path: digest for stage in lock.stages.values() for path, digest in stage.dep_hashes.items() if not lock.makes(path)}
    graph = str(GRAPH_FILE)
    now = Revision(commit[:7], commit)
    committed = now.files([*read, *map(_pointer, read), graph])
    if experiment.revision.files([graph]).get(graph) != committed.get(graph):
        return f"{graph} was another"
    return next((f"{path} was another" for path, digest in read.items() if digest != _hash(path, now, committed)), None)


def _word(value: Any) -> str:
    """As params.yaml has it, nearly."""
    return json.dumps(value, default=str)


def _hash(path: str, now: Revision, committed: dict[str, bytes]) -> str | None:
    """As the commit has it, itself or by `dvc add`; of what it does not hold, as images elsewhere, of what lies there."""
    if path in committed:
        return md5_of_bytes(committed[path])
    if _pointer(path) in committed:
        return _added(_pointer(path), now)
    if is_code(PurePosixPath(path)):
        return code_hashes(now, [path]).get(path)
    return md5(Path(path)) if Path(path).exists() else None


def _pointer(path: str) -> str:
    """The file that `dvc add` writes for git to hold in place of `path`."""
    return f"{PurePosixPath(path)}.dvc"


def _added(pointer: str, now: Revision) -> str:
    """The hash in a file of `dvc add`. Raises UserError for a damaged one."""
    with now.unpacked([pointer]) as folder:
        try:
            return _Added.model_validate(read_yaml(folder / pointer)).outs[0].md5
        except ValidationError as error:
            raise UserError(f"{folder / pointer}: not as `dvc add` writes it: {short_message(error)}") from None
