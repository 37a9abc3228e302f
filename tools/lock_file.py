"""Whether dvc.lock is whole. DVC does not write it in one step, so that a kill or a full disk can leave half of it."""

import re
import subprocess
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from classifier.common.errors import UserError
from classifier.params.base import read_yaml

LOCK_FILE = Path("dvc.lock")
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
    path = root / LOCK_FILE
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
    command = ["git", "cat-file", "-e", f":./{LOCK_FILE}"]
    try:
        known = subprocess.run(command, cwd=root, capture_output=True, check=False).returncode == 0
    except OSError:
        known = False
    return f"run `{'git restore' if known else 'rm'} {LOCK_FILE}`, then `dvc repro`"
