"""Runs one stage in a clean room and says in what it does not keep to dvc.yaml and dvc.lock."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from classifier.common.errors import UserError
from stages.runner import one_line
from tools.clean_room import failure, opened
from tools.clean_room.content import md5, md5_of_files
from tools.clean_room.reason import likely_reason
from tools.clean_room.record import broken_chains, wrong_outputs
from tools.clean_room.room import (
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

COLUMNS = ("reads", "writes", "bytes")
MOST_NAMES = 10


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
    verdict = Verdict(stage.name)
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
        raise UserError(f"dvc.lock has no stage {stage.name}; run `dvc repro` first")
    if absent:
        raise UserError(
            f"dvc.lock does not have what dvc.yaml now says of {stage.name}: {', '.join(absent)}; run `dvc repro {stage.name}`"
        )
    outside = [out.def_path for out in stage.outs if not in_repository(repo, out)]
    if outside:
        raise UserError(
            f"{outside[0]}: an output outside of the repository, which a run would overwrite; {stage.name} is not run"
        )


def _compare_record(repo: Any, stage: Any, verdict: Verdict) -> None:
    verdict.breaches += [("reads", line) for line in broken_chains(repo, stage)]
    for is_breach, line in wrong_outputs(repo, stage):
        if is_breach:
            verdict.breaches.append(("bytes", line))
        else:
            verdict.notes.append(line)


def _run_and_compare(repo: Any, stage: Any, room: Room, verdict: Verdict) -> None:
    root = Path(repo.root_dir)
    given = _files(room.root, state_of(stage))
    status = run(repo, stage, room)
    territory = opened.Territory(root, [room.root.parent, *outside_places(repo, stage)], [room.temporary, room.matplotlib])
    declared = {*given, *(name_of(repo, out) for out in stage.outs), *state_of(stage)}
    verdict.breaches += opened.breaches(room.log, room.root, root, territory, declared)
    if status:
        output = room.output.read_text(encoding="utf-8", errors="replace")
        verdict.breaches += [("reads", line) for line in failure.undeclared(output, room.root, root)]
        verdict.breaches.append(("run", f"ended with status {status}: {failure.last_line(output)}"))
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
            shown = ", ".join(files[:MOST_NAMES]) + (f" and {len(files) - MOST_NAMES} more" if len(files) > MOST_NAMES else "")
            yield f"{line} (differing: {shown})" if files else line


def _differing_files(repo: Any, out: Any, room: Room, path: Path) -> list[str]:
    """Names of the files of an output folder that are not as recorded; none when the recorded ones are not to be had."""
    recorded = recorded_copy(repo, out, room)
    if recorded is None:
        return []
    here, there = md5_of_files(path), md5_of_files(recorded)
    return ["/".join(key) for key in sorted(here.keys() | there.keys()) if here.get(key) != there.get(key)]
