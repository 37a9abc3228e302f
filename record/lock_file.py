"""dvc.lock: what it records of each stage, and whether it is whole: DVC does not write it in one step."""

import re
import subprocess
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from classifier.common.errors import UserError, short_repr
from classifier.common.params import read_yaml

LOCK_FILE = "dvc.lock"
PARAMS_FILE = "params.yaml"


class Recorded(BaseModel):
    """A dependency or an output."""

    model_config = ConfigDict(strict=True, frozen=True)

    path: str
    md5: str = ""
    """Of a folder it ends in `.dir`."""


class LockedStage(BaseModel):
    """A stage as it last ran."""

    model_config = ConfigDict(strict=True, frozen=True)

    cmd: str | list[str]
    deps: list[Recorded] = []
    params: dict[str, dict[str, Any]] = {}
    outs: list[Recorded] = []

    @property
    def dep_hashes(self) -> dict[str, str]:
        """Hash of each dependency by its path."""
        return {dep.path: dep.md5 for dep in self.deps}

    @property
    def param_values(self) -> dict[str, Any]:
        """Value of each param by its name, after the file's name where that is not params.yaml."""
        return {
            name if file == PARAMS_FILE else f"{file}:{name}": value
            for file, values in self.params.items()
            for name, value in values.items()
        }


class Lock(BaseModel):
    """The stages by name, in the order of the file."""

    model_config = ConfigDict(strict=True, frozen=True)

    stages: dict[str, LockedStage]

    @property
    def out_hashes(self) -> dict[str, str]:
        """Hash of each output of every stage by its path."""
        return {out.path: out.md5 for stage in self.stages.values() for out in stage.outs}

    def makes(self, path: str) -> bool:
        """Whether `path` is an output of a stage, or lies in one."""
        return any(path == out or path.startswith(f"{out}/") for out in self.out_hashes)


def read_lock(path: Path) -> Lock:
    """Read and validate the file. Raises UserError for one that is missing or damaged."""
    try:
        return Lock.model_validate(read_yaml(path))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part)[:80] for part in first["loc"])
        raise UserError(f"{path}: {where}: {first['msg']}, got {short_repr(first['input'])}; run `dvc repro`") from None


_LOCK_PATH = Path("dvc.lock")
CONFLICTS = "has merge conflicts; docs/merging.md says how to end them"
_MARK_OF_A_CONFLICT = re.compile(rb"^(<{7}|>{7}) ", re.MULTILINE)


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")


class _File(_Strict):
    path: str
    hash: str = ""
    md5: Annotated[str, Field(min_length=3)] | Annotated[int, Field(ge=100)] | None = None
    size: int = 0
    nfiles: int = 0
    isexec: bool = False


class _Stage(_Strict):
    cmd: str | list[str]
    deps: list[_File] = []
    params: dict[str, dict[str, Any]] = {}
    outs: list[_File] = []


class _LockFile(BaseModel):
    """What DVC takes for one (LOCKFILE_SCHEMA in dvc/schema.py), for files on this machine."""

    model_config = ConfigDict(strict=True)

    version: Literal["2.0"] = Field(alias="schema")
    stages: dict[str, _Stage] = {}


def has_conflicts(content: bytes) -> bool:
    """Whether git has left the lines of both sides of a merge in a file of YAML."""
    return _MARK_OF_A_CONFLICT.search(content) is not None


def lock_file_problem(root: Path) -> str | None:
    """One line that says how to mend a dvc.lock that DVC would stop at; None if it is whole or not there."""
    path = root / _LOCK_PATH
    if not path.exists():
        return None
    try:
        _LockFile.model_validate(read_yaml(path))
    except (UserError, ValidationError):
        if has_conflicts(path.read_bytes()):
            return f"{path}: {CONFLICTS}"
        found = "empty" if not path.stat().st_size else "half-written"
        mend = f"{_mend(root)}: what has run comes from the cache"
        return f"{path}: {found}, as by a `dvc` that was killed or met a full disk; {mend}"
    return None


def _mend(root: Path) -> str:
    """The commands for it: an older dvc.lock is as good as none, but keeps the difference small."""
    command = ["git", "cat-file", "-e", f":./{_LOCK_PATH}"]
    try:
        known = subprocess.run(command, cwd=root, capture_output=True, check=False).returncode == 0
    except OSError:
        known = False
    return f"run `{'git restore' if known else 'rm'} {_LOCK_PATH}`, then `dvc repro`"
