"""What differs between two dvc.lock files, and which stages that touches."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from classifier.common.graph import is_code
from record.lock_file import Lock, LockedStage, md5_of_folder
from record.results import MODEL_DESCRIPTION
from record.revisions import Revision
from record.staleness import module_hashes

DATA = "data/"
"""Where the stages put data sets. Models, metrics and plots are results: that they differ is no reason, but the outcome."""
ABSENT = "not there"
NOT_SET = "not set"
_HASH_DIGITS = 7
_ORDER = ("param", "data", "code", "file", "command")

Kind = Literal["param", "code", "file", "data", "command", "machine"]


@dataclass(frozen=True)
class Change:
    """Something that stages read, with what it was and is."""

    kind: Kind
    name: str
    before: str
    after: str
    stages: list[str]


@dataclass(frozen=True)
class Touched:
    """Stages by the reason why they ran again, each in the order of dvc.lock."""

    directly: list[str]
    """Their command, params, code or files differ, or only one side has them."""
    by_inputs: list[str]
    """Only what earlier stages made for them differs."""
    by_machine: list[str]
    """Nothing that they read differs, but what they were computed with does, and what they wrote."""
    unexplained: list[str]
    """Nothing that is recorded differs, but what they wrote does."""


def find_changes(before: Lock, after: Lock) -> list[Change]:
    """Every change once: params first, then data, code, other files and commands, each by name."""
    found: dict[tuple[Kind, str, str, str], list[str]] = {}
    for stage in _stage_names(before, after):
        old, new = _inputs(before, stage), _inputs(after, stage)
        for kind, name in {**old, **new}:
            values = old.get((kind, name), ABSENT), new.get((kind, name), ABSENT)
            if values[0] != values[1] and (kind != "data" or name.startswith(DATA)):
                found.setdefault((kind, name, *values), []).append(stage)
    changes = [
        Change(kind, name, _short(kind, old), _short(kind, new), stages) for (kind, name, old, new), stages in found.items()
    ]
    return sorted(changes, key=lambda change: (_ORDER.index(change.kind), change.name))


def fact_changes(before: Lock, after: Lock) -> list[Change]:
    """What the models were computed with, as threads or MKL_CBWR, where it differs and DVC's cache has both descriptions."""
    hashes = [lock.out_hashes.get(MODEL_DESCRIPTION) for lock in (before, after)]
    if None in hashes or hashes[0] == hashes[1] or not Path(".dvc").is_dir():
        return []
    from record.experiments import read_model  # which takes a second, for DVC

    models = [read_model(lock) for lock in (before, after)]
    old, new = (model.computed_with if model else {} for model in models)
    if not all(models):
        return []
    return [
        Change("machine", name, str(old.get(name, NOT_SET)), str(new.get(name, NOT_SET)), ["train"])
        for name in {**old, **new}
        if old.get(name) != new.get(name)
    ]


def by_module(change: Change, before: Revision, after: Revision) -> list[Change]:
    """In place of a folder of code, those of its modules that differ, if both revisions hold what their dvc.lock is about."""
    path = PurePosixPath(change.name)
    if not is_code(path) or path.suffix == ".py":
        return [change]
    old, new = (module_hashes(revision, [change.name]).get(change.name, {}) for revision in (before, after))
    if [_short("code", md5_of_folder(change.name, modules)) for modules in (old, new)] != [change.before, change.after]:
        return [change]
    values = {name: (old.get(name, ABSENT), new.get(name, ABSENT)) for name in sorted(old | new)}
    return [
        Change("code", name, _short("code", was), _short("code", now), change.stages)
        for name, (was, now) in values.items()
        if was != now
    ]


def touched_stages(before: Lock, after: Lock, facts: Iterable[Change] = ()) -> Touched:
    """Sort the stages that differ by why they do; `facts` are those of `fact_changes`."""
    touched = Touched([], [], [], [])
    computed_otherwise = {stage for fact in facts for stage in fact.stages}
    for name in _stage_names(before, after):
        old, new = _inputs(before, name), _inputs(after, name)
        differing = {kind for kind, path in {**old, **new} if old.get((kind, path)) != new.get((kind, path))}
        if differing - {"data"}:
            touched.directly.append(name)
        elif differing:
            touched.by_inputs.append(name)
        elif before.stages[name].outs != after.stages[name].outs:
            (touched.by_machine if name in computed_otherwise else touched.unexplained).append(name)
    return touched


def _stage_names(before: Lock, after: Lock) -> list[str]:
    return list({**before.stages, **after.stages})


def _inputs(lock: Lock, name: str) -> dict[tuple[Kind, str], str]:
    """All that a stage reads, as text; a stage that is not there reads nothing."""
    stage = lock.stages.get(name)
    if stage is None:
        return {}
    inputs: dict[tuple[Kind, str], str] = {("command", name): _command(stage)}
    inputs |= {("param", key): as_yaml(value) for key, value in stage.param_values.items()}
    return inputs | {(_kind(lock, path), path): md5 for path, md5 in stage.dep_hashes.items()}


def _kind(lock: Lock, path: str) -> Kind:
    if lock.makes(path):
        return "data"
    return "code" if path.endswith(".py") or is_code(PurePosixPath(path)) else "file"


def _command(stage: LockedStage) -> str:
    return stage.cmd if isinstance(stage.cmd, str) else "; ".join(stage.cmd)


def as_yaml(value: Any) -> str:
    """A param as params.yaml has it."""
    if isinstance(value, list):
        return f"[{', '.join(map(as_yaml, value))}]"
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else str(value)


def _short(kind: Kind, value: str) -> str:
    """Hashes are told by their first digits."""
    return value if kind in ("param", "command") or value == ABSENT else value[:_HASH_DIGITS]
