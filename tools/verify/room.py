"""Makes the clean room of one stage, and runs the stage's command there."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dvc.dependency import ParamsDependency
from dvc.stage.run import _enforce_cmd_list, _make_cmd, get_executable
from dvc.utils.flatten import unflatten
from dvc.utils.serialize import DUMPERS

from classifier.common.errors import UserError
from classifier.common.graph import GRAPH_FILE
from classifier.common.params import PARAMS_FILE
from classifier.sources.fetch import MIRROR_VARIABLE
from record.content import WORKSPACE, md5, place
from tools.verify import hooks

STATE = Path(".dvc/tmp")
STORE = STATE / "downloads"
STORE_USERS = ("download", "weights")
STATES = {"download": (STORE,), "weights": (STORE,), "train": (STATE / "resume", STATE / "features")}
"""The stages that keep state outside declared outputs, and where."""


@dataclass(frozen=True)
class Room:
    """`root` is all that the stage is meant to see. Beside it lie what its libraries want, and what we note."""

    root: Path
    temporary: Path
    matplotlib: Path
    hooks: Path
    log: Path
    output: Path


@contextmanager
def clean_room() -> Iterator[Room]:
    """An empty room in the system's folder for temporary files, removed in any case."""
    with TemporaryDirectory(prefix="verify-") as name:
        base = Path(name).resolve()
        room = Room(*(base / part for part in ("room", "temporary", "matplotlib", "hooks", "opened", "output")))
        for folder in (room.root, room.temporary, room.matplotlib, room.hooks):
            folder.mkdir()
        yield room


def furnish(repo: Any, stage: Any, room: Room) -> list[str]:
    """Put into `room` what dvc.yaml declares for `stage`, as dvc.lock records it, and say where the workspace differs.

    Raises UserError when the recorded content of a dependency is not to be had.
    """
    home = Path(repo.root_dir)
    for graph in {str(GRAPH_FILE), stage.path_in_repo}:
        (room.root / graph).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(home / graph, room.root / graph)
    (room.root / PARAMS_FILE).write_text("{}\n", encoding="utf-8")
    for out in stage.outs:
        if Path(out.fs_path).parent.is_dir():  # as git or an earlier stage has made it
            (room.root / name_of(repo, out)).parent.mkdir(parents=True, exist_ok=True)
    notes: list[str] = []
    files = {dep.fs_path for dep in stage.deps if not isinstance(dep, ParamsDependency)}
    for dep in stage.deps:
        if isinstance(dep, ParamsDependency):
            if dep.fs_path not in files:  # else it is there whole
                notes += _write_params(dep, room.root / name_of(repo, dep))
        elif not in_repository(repo, dep):
            _require_as_recorded(dep)
        else:
            where = place(repo, dep, room.root / name_of(repo, dep))
            if where is None:
                raise UserError(
                    f"{dep.def_path}: the content in dvc.lock, {dep.hash_info.value}, is neither in the workspace nor in DVC's "
                    f"cache nor in the last commit; run `dvc pull`, or `dvc repro {stage.addressing}` for a new dvc.lock"
                )
            if where != WORKSPACE:
                notes.append(f"{dep.def_path} is not here as dvc.lock records it; checked with what is recorded, from {where}")
    if group_of(stage) in STORE_USERS and (home / STORE).is_dir():
        shutil.copytree(home / STORE, room.root / STORE, ignore=shutil.ignore_patterns("*.lock", "*.partial"))
    return notes


def in_repository(repo: Any, item: Any) -> bool:
    """Whether a dependency or output, as DVC loads it, is a path in the repository."""
    return item.protocol == "local" and Path(item.fs_path).is_relative_to(repo.root_dir)


def name_of(repo: Any, item: Any) -> str:
    """Its path from the root of the repository, and of the room."""
    return Path(item.fs_path).relative_to(repo.root_dir).as_posix()


def group_of(stage: Any) -> str:
    """The name in dvc.yaml that several stages have of `foreach` or `matrix`."""
    return str(stage.name).partition("@")[0]


def state_of(stage: Any) -> set[str]:
    """What `stage` may keep outside of its declared outputs: its lock, and the state that STATES names."""
    name = group_of(stage)
    places = [STATE / f"{name}.lock", *STATES.get(name, ())]
    return {place.as_posix() for place in places}


def _write_params(dep: Any, target: Path) -> Iterator[str]:
    recorded = dep.hash_info.value or {}
    now = dep.read_params()
    differing = [name for name, value in recorded.items() if now.get(name) != value]
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.suffix == ".py":  # which nobody can write anew
        if differing:
            raise UserError(f"{dep.def_path}: {differing[0]} is not as in dvc.lock; run `dvc repro {dep.stage.addressing}`")
        shutil.copyfile(dep.fs_path, target)
        return
    DUMPERS[target.suffix.lower()](str(target), unflatten(recorded))
    for name in differing:
        yield f"{dep.def_path}: {name} is {now.get(name)!r} here; checked with {recorded[name]!r}, as in dvc.lock"


def _require_as_recorded(dep: Any) -> None:
    """A dependency outside of the repository stays where it is; what is not a file of this machine is not looked at."""
    if dep.protocol == "local" and not (dep.exists and md5(Path(dep.fs_path)) == dep.hash_info.value):
        raise UserError(f"{dep.def_path}: is not as in dvc.lock, and lies outside of the repository; run `dvc repro`")


def recorded_copy(repo: Any, item: Any, room: Room) -> Path | None:
    """A copy, beside `room`, of what dvc.lock records of `item`; None when it is not to be had."""
    target = room.root.parent / "recorded" / name_of(repo, item)
    return target if target.exists() or place(repo, item, target) else None


def outside_places(repo: Any, stage: Any) -> list[Path]:
    """What the stage may open outside of its room: its dependencies there, and where it downloads the mirror."""
    places = [Path(dep.fs_path) for dep in stage.deps if dep.protocol == "local" and not in_repository(repo, dep)]
    mirror = os.environ.get(MIRROR_VARIABLE)
    return [*places, Path(repo.root_dir, mirror)] if mirror and group_of(stage) in STORE_USERS else places


def run(repo: Any, stage: Any, room: Room) -> int:
    """Run the stage's command as DVC does; the exit status. What it prints goes to `room.output`.

    However this call ends, nothing that it started goes on.
    """
    _install_hooks(Path(repo.root_dir), room)
    folder = room.root / Path(stage.wdir).relative_to(repo.root_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with room.output.open("wb") as output:
        for command in _enforce_cmd_list(stage.cmd):
            process = None
            try:
                with _interrupts_later():  # so that no process is started that we do not know
                    process = subprocess.Popen(
                        _make_cmd(get_executable(), command),
                        cwd=folder,
                        env=_environment(repo, stage, room),
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        process_group=0,
                    )
                status = process.wait()
            finally:
                if process:
                    _end_group(process)
            if status:
                return status
    return 0


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """Let a Ctrl-C or SIGTERM that comes meanwhile take effect at the end."""
    arrived: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, lambda came, _: arrived.append(came))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for came in arrived:
            signal.raise_signal(came)


def _end_group(process: "subprocess.Popen[bytes]") -> None:
    """Kill `process` and what it started and left behind."""
    with suppress(ProcessLookupError):  # nothing is left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _install_hooks(repository: Path, room: Room) -> None:
    """Make ready what the stage's Python runs first: hooks.py, and the order in which folders are listed in the repository."""
    shutil.copyfile(Path(hooks.__file__), room.hooks / "sitecustomize.py")
    orders = {}
    for folder in (room.root, *(path for path in room.root.rglob("*") if path.is_dir())):
        name = folder.relative_to(room.root)
        if (repository / name).is_dir():
            orders[str(name)] = [path.name for path in (repository / name).iterdir()]
    settings = {"room": str(room.root), "log": str(room.log), "orders": orders}
    (room.hooks / "settings.json").write_text(json.dumps(settings), encoding="utf-8")


def _environment(repo: Any, stage: Any, room: Room) -> dict[str, str]:
    environment = dict(os.environ)
    # A fixed seed of Python's string hashes would hide an output that depends on the order of a set.
    environment.pop("PYTHONHASHSEED", None)
    paths = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    outside = [path for path in paths if not Path(path).resolve().is_relative_to(repo.root_dir)]
    mirror = environment.get(MIRROR_VARIABLE)
    if mirror and Path(mirror).is_dir():
        environment[MIRROR_VARIABLE] = str(Path(mirror).resolve())
    return environment | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', os.defpath)}",
        "PYTHONPATH": os.pathsep.join([str(room.hooks), *outside]),
        "PYTHONDONTWRITEBYTECODE": "1",
        "MPLCONFIGDIR": str(room.matplotlib),
        "TMPDIR": str(room.temporary),
        "DVC_ROOT": str(room.root),
        "DVC_STAGE": stage.addressing,
    }
