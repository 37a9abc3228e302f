"""dvc.lock: what it records of each stage, whether it is whole, and DVC's MD5 of what it records."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from classifier.common.errors import UserError, short_repr
from classifier.common.params import PARAMS_FILE, read_yaml
from classifier.images.schema import OWN
from record.git import run_git

LOCK_FILE = "dvc.lock"


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")


def _as_text(value: object) -> object:
    """DVC takes no hash for an empty one, and a hash that was cut off may be a number of YAML."""
    return "" if value is None else str(value) if type(value) is int and value >= 100 else value


Hash = Annotated[str, BeforeValidator(_as_text), Field(pattern=r"^(|...+)$")]
"""Empty, or of three characters at least."""


class LockedFile(_Strict):
    """A dependency or an output: a file, or a folder."""

    path: str
    md5: Hash = ""
    """Of a folder it ends in `.dir`."""
    hash: str = ""
    size: int = 0
    nfiles: int = 0
    isexec: bool = False


class LockedStage(_Strict):
    """A stage as it last ran."""

    cmd: str | list[str]
    deps: list[LockedFile] = []
    params: dict[str, dict[str, Any]] = {}
    outs: list[LockedFile] = []

    @property
    def dep_hashes(self) -> dict[str, str]:
        """Hash of each dependency by its path."""
        return {dep.path: dep.md5 for dep in self.deps}

    @property
    def param_values(self) -> dict[str, Any]:
        """Value of each param by its name, after the file's name where that is not params.yaml."""
        return {
            name if file == str(PARAMS_FILE) else f"{file}:{name}": value
            for file, values in self.params.items()
            for name, value in values.items()
        }


class Lock(BaseModel):
    """The stages by name, in the order of the file: what DVC takes for a dvc.lock (LOCKFILE_SCHEMA in dvc/schema.py).

    Of dependencies and outputs only those on this machine; what a cloud records of others is refused.
    """

    model_config = ConfigDict(strict=True, frozen=True)

    stages: dict[str, LockedStage]
    version: Literal["2.0"] = Field(default="2.0", alias="schema")

    @property
    def out_hashes(self) -> dict[str, str]:
        """Hash of each output of every stage by its path."""
        return {out.path: out.md5 for stage in self.stages.values() for out in stage.outs}

    @property
    def dataset(self) -> str | None:
        """The name of the data set; of one's own images, that of their folder or file."""
        values = self.param_values
        if values.get("dataset") in OWN:
            return PurePath(str(values.get("source"))).name or values["dataset"]
        return values.get("dataset")

    @property
    def param_values(self) -> dict[str, Any]:
        """Value of each param of any stage by its name."""
        return {name: value for stage in self.stages.values() for name, value in stage.param_values.items()}

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


CONFLICTS = "has merge conflicts; docs/guide/pull_requests.md says how to resolve them"
_MARK_OF_A_CONFLICT = re.compile(rb"^(<{7}|>{7}) ", re.MULTILINE)


def has_conflicts(content: bytes) -> bool:
    """Whether git has left the lines of both sides of a merge in a file of YAML."""
    return _MARK_OF_A_CONFLICT.search(content) is not None


def lock_file_problem(root: Path) -> str | None:
    """One line that says how to mend a dvc.lock that DVC would stop at; None if it is whole or not there."""
    path = root / LOCK_FILE
    if not path.exists():
        return None
    try:
        # DVC needs the version, and no stages. The version is its first line, so that a file without it was cut off.
        Lock.model_validate({"schema": None, "stages": {}} | read_yaml(path))
    except (UserError, ValidationError):
        if has_conflicts(path.read_bytes()):
            return f"{path}: {CONFLICTS}"
        found = "empty" if not path.stat().st_size else "half-written"
        # An older dvc.lock is as good as none, but keeps the difference small.
        is_in_git = run_git("cat-file", "-e", f":./{LOCK_FILE}", folder=root).status == 0
        mend = (
            f"run `{'git restore' if is_in_git else 'rm'} {LOCK_FILE}`, then `dvc repro`: finished stages come from the cache"
        )
        return f"{path}: {found}, as when `dvc` is killed or the disk is full; {mend}"
    return None


def md5_of_bytes(content: bytes) -> str:
    """The hash that DVC records of a file with this content."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def md5_of_folder(folder: str, files: Mapping[str, str]) -> str:
    """The hash that DVC records of a folder with these hashes of files by their paths (dvc_data.hashfile.tree.Tree.digest)."""
    listed = [{"md5": files[path], "relpath": path.removeprefix(f"{folder}/")} for path in sorted(files)]
    return f"{md5_of_bytes(json.dumps(listed, sort_keys=True).encode())}.dir"


def is_recorded(lock: Lock, path: str, folder: Path = Path()) -> bool:
    """Whether the file `path`, an output, is in `folder` as `lock` records it."""
    if not (folder / path).is_file():
        return False
    with (folder / path).open("rb") as file:
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return md5 == lock.out_hashes.get(path)
