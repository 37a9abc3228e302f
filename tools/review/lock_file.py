"""What dvc.lock records of each stage."""

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from classifier.common.errors import UserError, shown
from classifier.params.base import read_yaml

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
        raise UserError(f"{path}: {where}: {first['msg']}, got {shown(first['input'])}; run `dvc repro`") from None
