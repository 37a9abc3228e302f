"""A real repository with real DVC in a temporary folder, for the tests that run the pipeline."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from ruamel.yaml import YAML

from tests.support import warm

SOURCE = Path(__file__).parents[2]
LIGHT: dict[str, Any] = {
    "dataset": "digits",
    "image_size": 8,
    "network": "mlp",
    "optimizer": "adam",
    "lr": 0.001,
    "weight_decay": 0,
    "schedule": "constant",
    "warmup_fraction": 0,
    "augment": [],
    "label_smoothing": 0,
    "flip_tta": False,
    "epochs": 3,
    "min_steps": 0,
    "batch_size": 32,
    "device": "cpu",
    "threads": 1,
}
"""Changes to params.yaml with which all stages take seconds."""


class Repository:
    """A copy of this project's files, compiled ones too, under git and DVC, without the results that are committed with it."""

    def __init__(self, root: Path, **params: Any) -> None:
        self.root = root
        root.mkdir(parents=True)
        for name in _project_files():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(SOURCE / name, root / name)
            compiled = Path(cache_from_source(name))
            if name.endswith(".py") and (SOURCE / compiled).is_file():
                (root / compiled.parent).mkdir(exist_ok=True)
                shutil.copy2(SOURCE / compiled, root / compiled)
        self.set_params(**(LIGHT | params))
        self.git("init", "--quiet", "--initial-branch=main")
        self.git("config", "user.name", "Test")
        self.git("config", "user.email", "test@example.com")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "start")

    @classmethod
    def at(cls, root: Path) -> "Repository":
        """The one that is there."""
        repository = cls.__new__(cls)
        repository.root = root
        return repository

    def set_params(self, **params: Any) -> None:
        """Change values in params.yaml, comments and order kept."""
        yaml = YAML()
        path = self.root / "params.yaml"
        values = yaml.load(path)
        assert params.keys() <= values.keys()
        values.update(params)
        yaml.dump(values, path)

    def git(self, *arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=self.root, capture_output=True, text=True, check=True).stdout

    def dvc(self, *arguments: str, status: int = 0, **environment: str) -> str:
        """Run `dvc`, insist on the exit status, and return all that it printed."""
        return self.python("dvc", *arguments, status=status, **environment)

    def python(self, module: str, *arguments: str, status: int = 0, **environment: str) -> str:
        """Run `python -m module` here, from `warm` where it can be; insist on the exit status, return all that it printed."""
        with tempfile.TemporaryFile() as printed:
            ended = warm.run(["-m", module, *arguments], self.root, self.environment() | environment, printed)
            printed.seek(0)
            said = printed.read().decode()
        assert ended == status, said
        return said

    def cold_dvc(self, *arguments: str) -> str:
        """Run `dvc` as a person does, and each stage with it in a Python that imports everything itself."""
        command = [sys.executable, "-m", "dvc", *arguments]
        done = subprocess.run(command, cwd=self.root, env=self.environment(), stdout=subprocess.PIPE, text=True, check=True)
        return done.stdout

    def environment(self) -> dict[str, str]:
        """This process's environment with its own Python first on PATH, as the Makefile and an activated one have it."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return {**os.environ, "PATH": path, "COLUMNS": "200"}

    def read(self, name: str) -> str:
        return (self.root / name).read_text(encoding="utf-8")


class Committed(Repository):
    """A copy of one with a committed run. That is made once for the same changes to LIGHT, for all processes of the tests."""

    def __init__(self, root: Path, temporary: pytest.TempPathFactory, **params: Any) -> None:
        self.root = root
        shared = temporary.getbasetemp()
        if "PYTEST_XDIST_WORKER" in os.environ:
            shared = shared.parent
        run = shared / " ".join(["run", *(f"{name}={value}" for name, value in sorted(params.items()))])
        with FileLock(f"{run}.lock"):
            if not run.exists():
                _run_and_commit(run.with_name(f"{run.name} being made"), params).rename(run)
        shutil.copytree(run, root, symlinks=True)


class Clone(Repository):
    """Another person's, or a CI's, clone of a repository: no data, no cache."""

    def __init__(self, root: Path, origin: Path) -> None:
        self.root = root
        subprocess.run(["git", "clone", "--quiet", origin, root], check=True)
        self.git("config", "user.name", "Other")
        self.git("config", "user.email", "other@example.com")


def _run_and_commit(root: Path, params: dict[str, Any]) -> Path:
    shutil.rmtree(root, ignore_errors=True)  # what another test had begun, and failed
    repository = Repository(root, **params)
    repository.dvc("repro")
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message", "first run")
    return root


def stages_run(output: str) -> list[str]:
    """Names of the stages that a `dvc repro` really ran, from what it printed."""
    return re.findall(r"^Running stage '(\w+)':$", output, flags=re.MULTILINE)


def _project_files() -> list[str]:
    """Files that git tracks or would track, but for the results of a run."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=True).stdout.splitlines()
    made = ("dvc.lock", "metrics/", "plots/", "docs/", "tests/", "benchmarks/")
    return [name for name in listed if not name.startswith(made) and (SOURCE / name).is_file()]
