"""dvc.yaml: the stages, what they declare to read and write, and what counts of a folder of code among that."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any

from ruamel.yaml.error import YAMLError

from classifier.common.errors import UserError, short_repr
from classifier.common.yaml import parse_yaml

PACKAGES = ("classifier", "stages")


def is_code(path: PurePath) -> bool:
    """Whether `path`, relative to the project's folder, is or lies in one of the packages whose modules stages declare."""
    return path.parts[:1] in [(package,) for package in PACKAGES] and ".." not in path.parts


def counts(file: PurePath) -> bool:
    """Whether a file of the project counts. Of a package only modules do: nothing compiled, no copy that an editor left."""
    hidden = any(part.startswith(".") or part == "__pycache__" for part in file.parts)
    return not is_code(file) or (file.suffix == ".py" and not hidden)


def with_modules(paths: Iterable[Path], root: Path = Path()) -> list[Path]:
    """`paths`, relative to `root`, with the modules of each folder of code in place of the folder."""
    return [file for path in paths for file in (_modules(path, root) if is_code(path) else [path])]


def _modules(path: Path, root: Path) -> list[Path]:
    if not (root / path).is_dir():
        return [path]
    files = (file.relative_to(root) for file in (root / path).rglob("*.py") if file.is_file())
    return sorted(file for file in files if counts(file))


GRAPH_FILE = Path("dvc.yaml")
OUTPUTS = ("outs", "metrics", "plots")
Graph = dict[str, dict[str, Any]]
"""The stages by name."""


def load_graph(file: Path) -> Graph:
    """Read dvc.yaml. Raises UserError unless it has stages, and lists of names where a stage has lists."""
    try:
        stages: Graph = parse_yaml(file.read_text(encoding="utf-8"))["stages"]
    except FileNotFoundError:
        raise UserError(f"{file}: no such file; run this in the folder that has it") from None
    except (YAMLError, ValueError, LookupError, ArithmeticError, TypeError, AttributeError) as error:
        raise UserError(f"{file}: needs a mapping `stages:`, got {' '.join(str(error).split())}") from None
    if not isinstance(stages, dict) or not all(isinstance(stage, dict) for stage in stages.values()):
        raise UserError(f"{file}: needs a mapping below `stages:` for each stage, got {short_repr(stages)}")
    for name, stage in stages.items():
        for key in ("params", "deps", *OUTPUTS):
            entries = stage.get(key, [])
            if not isinstance(entries, list) or not all(isinstance(path, str) and path for path in names(entries)):
                raise UserError(f"{file}: stages.{name}.{key}: needs a list of names, got {short_repr(entries)}")
    return stages


def names(entries: Iterable[Any]) -> list[Any]:
    """Of a stage's list the names alone, where some have options as in `metrics/test.json: {cache: false}`."""
    return [name for entry in entries for name in (entry if isinstance(entry, dict) else [entry])]


def filled(value: Any, values: Mapping[str, Any]) -> Any:
    """`value` with `${key}` replaced by the param wherever it stands, as DVC does."""
    if isinstance(value, str):
        return re.sub(r"\$\{\s*(\w+)\s*\}", lambda key: str(values.get(key[1])), value)
    if isinstance(value, list):
        return [filled(item, values) for item in value]
    return {filled(key, values): filled(item, values) for key, item in value.items()} if isinstance(value, dict) else value


def declared_paths(
    stage: Mapping[str, Any], values: Mapping[str, Any], *, kinds: Iterable[str] = ("deps", *OUTPUTS)
) -> list[str]:
    """The paths of these kinds, with params filled in."""
    return [filled(path, values) for kind in kinds for path in names(stage.get(kind, []))]


def used_keys(file: Path) -> set[str]:
    """Names of params.yaml that some stage of dvc.yaml declares or that the file interpolates as `${name}`."""
    stages = [stage.get("do") or stage for stage in load_graph(file).values()]
    declared = (name.partition(".")[0] for stage in stages for name in names(stage.get("params", [])))
    return {*declared, *re.findall(r"\$\{\s*(\w+)", file.read_text(encoding="utf-8"))}
