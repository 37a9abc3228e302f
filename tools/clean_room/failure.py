"""Why a stage failed in the clean room: which file, module or param it looked for in vain, read off its last words."""

import re
from collections.abc import Iterator
from pathlib import Path

from classifier.params.base import read_yaml

NO_MODULE = re.compile(r"No module named '([\w.]+)'")
NO_NAME = re.compile(r"cannot import name '(\w+)' from '([\w.]+)'")
NO_FILE = re.compile(r"No such file or directory: '([^']+)'|^error: (.+?): (?:No such file|no such file)", re.MULTILINE)
NO_PARAM = re.compile(r"params\.yaml: the key '(\w+)' is missing|^KeyError: '([\w.]+)'", re.MULTILINE)


def undeclared(output: str, room: Path, repository: Path) -> list[str]:
    """A line for each thing that the stage lacked, by its output, and that the repository has or that was never there."""
    return list(dict.fromkeys([*_modules(output, repository), *_params(output, repository), *_files(output, room)]))


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
    known = read_yaml(repository / "params.yaml")
    for ours, raised in NO_PARAM.findall(output):
        name = ours or raised
        if ours or name.split(".")[0] in known:
            yield f"reads the param {name}, which dvc.yaml does not declare"


def _files(output: str, room: Path) -> Iterator[str]:
    for raised, ours in NO_FILE.findall(output):
        path = Path(raised or ours)
        name = path.relative_to(room) if path.is_relative_to(room) else path
        yield f"reads {name}, which dvc.yaml does not declare"
