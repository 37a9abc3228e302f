"""Runs one stage in a clean room and says in what it does not keep to dvc.yaml and dvc.lock, and why."""

import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from classifier.common.environment import variables_in_words
from classifier.common.errors import UserError, one_line
from classifier.common.params import PARAMS_FILE, read_yaml
from classifier.common.versions import REQUIREMENTS_FILE, differing_versions
from record.content import is_as_recorded, md5, md5_of_files, recorded_hash
from record.results import MODEL_DESCRIPTION
from tools.verify import access
from tools.verify.room import (
    Room,
    clean_room,
    furnish,
    in_repository,
    name_of,
    outside_places,
    recorded_copy,
    run,
    state_of,
)


def wrong_outputs(repo: Any, stage: Any) -> Iterator[tuple[bool, str]]:
    """(whether it is a breach, a line) of each output of `stage` that is not in the workspace as dvc.lock records it.

    An output that is not there at all is none: a fresh clone has no cached ones.
    """
    for out in stage.outs:
        name = name_of(repo, out)
        bring = f"`{'dvc checkout' if out.use_cache else 'git restore'} {name}`"
        if not Path(out.fs_path).exists():
            yield False, f"{name} is not in the workspace; {bring} may bring it"
        elif not is_as_recorded(repo, out):
            yield True, f"{name} in the workspace is not what dvc.lock records; {bring} or `dvc repro {stage.addressing}`"


def broken_chains(repo: Any, stage: Any) -> Iterator[str]:
    """A line for each dependency that another stage makes, and of which dvc.lock has not the same hash for both."""
    for dep in stage.deps:
        for out in repo.index.outs:
            if out.hash_info and dep.hash_info and Path(dep.fs_path).is_relative_to(out.fs_path):
                made = recorded_hash(repo, out, Path(dep.fs_path))
                if made is not None and made != dep.hash_info.value:
                    maker = out.stage.addressing
                    yield (
                        f"{name_of(repo, dep)} has MD5 {dep.hash_info.value} as dvc.lock records it for {stage.addressing}, "
                        f"and {made or 'none'} for {maker}, which makes it; run `dvc repro {stage.addressing}`"
                    )


NO_MODULE = re.compile(r"No module named '([\w.]+)'")
NO_NAME = re.compile(r"cannot import name '(\w+)' from '([\w.]+)'")
NO_FILE = re.compile(r"No such file or directory: '([^']+)'|^error: (.+?): (?:No such file|no such file)", re.MULTILINE)
NO_PARAM = re.compile(r"params\.yaml: the key '(\w+)' is missing|^KeyError: '([\w.]+)'", re.MULTILINE)


def undeclared(output: str, room: Path, repository: Path) -> list[str]:
    """A line for each thing that the stage lacked, by its output, and that the repository has or that was never there."""
    return list(dict.fromkeys([*_modules(output, repository), *_params(output, repository), *_missing_files(output, room)]))


def last_line(output: str) -> str:
    """The last line of `output` that is not empty."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"


def _modules(output: str, repository: Path) -> Iterator[str]:
    names = [*NO_MODULE.findall(output), *(f"{package}.{name}" for name, package in NO_NAME.findall(output))]
    for name in names:
        path = Path(*name.split("."))
        files = [file for file in (path.with_suffix(".py"), path / "__init__.py") if (repository / file).is_file()]
        yield f"imports {files[0]}, which dvc.yaml does not declare" if files else f"imports {name}, which is not installed"


def _params(output: str, repository: Path) -> Iterator[str]:
    known = read_yaml(repository / PARAMS_FILE)
    for ours, raised in NO_PARAM.findall(output):
        name = ours or raised
        if ours or name.split(".")[0] in known:
            yield f"reads the param {name}, which dvc.yaml does not declare"


def _missing_files(output: str, room: Path) -> Iterator[str]:
    for raised, ours in NO_FILE.findall(output):
        path = Path(raised or ours)
        name = path.relative_to(room) if path.is_relative_to(room) else path
        yield f"reads {name}, which dvc.yaml does not declare"


def likely_reason(repo: Any, stage: Any, room: Room) -> str:
    """Why bytes may differ: other facts than those in models/model.json, other versions than pinned, or the stage itself."""
    differing = [
        f"{name} is {_shown(here)} here, {_shown(there)} in {MODEL_DESCRIPTION}"
        for name, there, here in _facts(repo, stage, room)
    ]
    if (room.root / REQUIREMENTS_FILE).is_file():
        pins = differing_versions(room.root / REQUIREMENTS_FILE).items()
        differing += [f"{name} is {here} here, {pin} in {REQUIREMENTS_FILE}" for name, (here, pin) in pins]
    if differing:
        return f"likely reason: {'; '.join(differing)}"
    variables = variables_in_words()
    return (
        "nothing that is recorded differs on this machine; look for the time, a draw without a seed, the order of a folder or "
        f"set, a file or param read only when it is there, or an environment variable{variables and f', as {variables} here'}"
    )


def _shown(fact: Any) -> Any:
    return "not set" if fact is None else fact


def _facts(repo: Any, stage: Any, room: Room) -> list[tuple[str, Any, Any]]:
    """(name, recorded value, value here) of each fact that differs in `computed_with` of the model the stage makes or reads."""
    models = [item for item in [*stage.outs, *stage.deps] if item.def_path == MODEL_DESCRIPTION]
    recorded = recorded_copy(repo, models[0], room) if models else None
    if recorded is None:
        return []
    description = json.loads(recorded.read_text(encoding="utf-8"))
    there = description.get("computed_with", {})
    here = _facts_here(stage, description["network"]) | _processes_here(there)
    return [(name, there.get(name), here.get(name)) for name in there | here if there.get(name) != here.get(name)]


def _processes_here(there: dict[str, Any]) -> dict[str, Any]:
    """The command that is run again starts as many as it did, the last of several numbers: see classifier.compute.device."""
    return {"processes": int(str(there["processes"]).rpartition(", ")[2])} if "processes" in there else {}


def _facts_here(stage: Any, network: str) -> dict[str, Any]:
    """What a model that is made here would say, with the stage's recorded params."""
    # These take seconds, for torch, and are needed only after a breach.
    from classifier.compute.device import compute_facts, set_up_compute
    from classifier.model.image_classifier import resolve_precision

    values = {name: value for dep in stage.params for name, value in dep.hash_info.value.items()}
    device = set_up_compute(values["device"], values["threads"])
    return dict(compute_facts(device, values["threads"], resolve_precision(values["precision"], network, device)))


COLUMNS = ("reads", "writes", "bytes")
MAX_NAMES = 10


@dataclass
class Verdict:
    """On one stage. A breach is a column of COLUMNS, or "run" when the stage could not be run to its end, and a line."""

    stage: str
    breaches: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0

    def of(self, column: str) -> str:
        """What the table says: ok, BREACH, or - where nothing can be said."""
        broken = {name for name, _ in self.breaches}
        return "BREACH" if column in broken else "-" if "run" in broken else "ok"


def verify_stage(repo: Any, stage: Any) -> Verdict:
    """Run `stage` in a clean room and compare. `repo` is an open dvc.repo.Repo, `stage` one of its stages."""
    verdict = Verdict(stage.addressing)
    started = time.monotonic()
    try:
        _require_recorded(repo, stage)
        _compare_record(repo, stage, verdict)
        with clean_room() as room:
            verdict.notes += furnish(repo, stage, room)
            _run_and_compare(repo, stage, room, verdict)
    except UserError as error:
        verdict.breaches.append(("run", one_line(error)))
    verdict.breaches = list(dict.fromkeys(verdict.breaches))
    verdict.seconds = time.monotonic() - started
    return verdict


def _require_recorded(repo: Any, stage: Any) -> None:
    """Raise UserError unless dvc.lock has a record of all that dvc.yaml declares."""
    items = [item for item in [*stage.deps, *stage.outs] if item not in stage.params]
    absent = [item.def_path for item in items if not item.hash_info]
    absent += [name for dep in stage.params for name in dep.params if name not in (dep.hash_info.value or {})]
    absent += ["cmd"] if stage.cmd_changed else []
    if not any(out.hash_info for out in stage.outs):
        raise UserError(f"dvc.lock has no stage {stage.addressing}; run `dvc repro` first")
    if absent:
        raise UserError(
            f"dvc.lock does not have what dvc.yaml now says of {stage.addressing}: {', '.join(absent)}; "
            f"run `dvc repro {stage.addressing}`"
        )
    outside = [out.def_path for out in stage.outs if not in_repository(repo, out)]
    if outside:
        raise UserError(
            f"{outside[0]}: an output outside of the repository, which a run would overwrite; {stage.addressing} is not run"
        )


def _compare_record(repo: Any, stage: Any, verdict: Verdict) -> None:
    chains = [*broken_chains(repo, stage)]
    if stage.frozen:
        verdict.notes += [f"frozen, so DVC lets it be: {line}" for line in chains]
    else:
        verdict.breaches += [("reads", line) for line in chains]
    for is_breach, line in wrong_outputs(repo, stage):
        if is_breach:
            verdict.breaches.append(("bytes", line))
        else:
            verdict.notes.append(line)


def _run_and_compare(repo: Any, stage: Any, room: Room, verdict: Verdict) -> None:
    root = Path(repo.root_dir)
    given = _files(room.root, state_of(stage))
    status = run(repo, stage, room)
    territory = access.Territory(root, [room.root.parent, *outside_places(repo, stage)], [room.temporary, room.matplotlib])
    declared = {*given, *(name_of(repo, out) for out in stage.outs), *state_of(stage)}
    verdict.breaches += access.breaches(room.log, room.root, root, territory, declared)
    if status:
        output = room.output.read_text(encoding="utf-8", errors="replace")
        verdict.breaches += [("reads", line) for line in undeclared(output, room.root, root)]
        verdict.breaches.append(("run", f"ended with status {status}: {last_line(output)}"))
        return
    verdict.breaches += [("writes", line) for line in _wrong_writes(repo, stage, room, given)]
    different = list(_wrong_bytes(repo, stage, room))
    verdict.breaches += [("bytes", line) for line in different]
    if different:
        verdict.notes.append(likely_reason(repo, stage, room))


def _files(root: Path, state: set[str]) -> dict[str, str]:
    """Name to MD5 of each file below `root` but for the `state` that is allowed; of a link, where it points."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root)
        if not any(name.is_relative_to(place) for place in state) and (path.is_symlink() or not path.is_dir()):
            link = f"a link to {path.readlink()}" if path.is_symlink() else ""
            found[name.as_posix()] = link or (md5(path) if path.is_file() else "")
    return found


def _wrong_writes(repo: Any, stage: Any, room: Room, given: dict[str, str]) -> Iterator[str]:
    outs = [name_of(repo, out) for out in stage.outs]
    now = _files(room.root, state_of(stage))
    yield from (f"does not write {out}, which dvc.yaml declares" for out in outs if not (room.root / out).exists())
    for name, content in now.items():
        if name in given:
            if content != given[name]:
                yield f"changes {name}, which it was given to read"
        elif not any(Path(name).is_relative_to(out) for out in outs):
            yield f"writes {name}, which dvc.yaml does not declare"
    yield from (f"deletes {name}, which it was given to read" for name in given if name not in now)


def _wrong_bytes(repo: Any, stage: Any, room: Room) -> Iterator[str]:
    for out in stage.outs:
        path = room.root / name_of(repo, out)
        if path.exists() and (found := md5(path)) != out.hash_info.value:
            line = f"{out.def_path} has MD5 {found}, dvc.lock has {out.hash_info.value}"
            files = _differing_files(repo, out, room, path) if path.is_dir() else []
            shown = ", ".join(files[:MAX_NAMES]) + (f" and {len(files) - MAX_NAMES} more" if len(files) > MAX_NAMES else "")
            yield f"{line} (differing: {shown})" if files else line


def _differing_files(repo: Any, out: Any, room: Room, path: Path) -> list[str]:
    """Names of the files of an output folder that are not as recorded; none when the recorded ones are not to be had."""
    recorded = recorded_copy(repo, out, room)
    if recorded is None:
        return []
    here, there = md5_of_files(path), md5_of_files(recorded)
    return ["/".join(key) for key in sorted(here.keys() | there.keys()) if here.get(key) != there.get(key)]
