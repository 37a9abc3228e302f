"""The whole pipeline of a revision: each dvc.yaml with its dvc.lock, by paths from the project's folder.

A plain dvc.yaml is read here. DVC itself resolves one that has `foreach`, `matrix` or `vars`, or takes a part of a param.
"""

import json
import posixpath
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any

from classifier.common.errors import UserError, one_line
from classifier.common.graph import GRAPH_FILE, OUTPUTS, Graph, filled, load_graph, names
from classifier.common.params import PARAMS_FILE, read_yaml
from record.lock_file import LOCK_FILE, Lock, LockedStage, read_lock
from record.revisions import Revision

PROJECT = PurePosixPath()
"""The project's folder."""
_CONFIG = ".dvc/config"
_OF_DVC = ("foreach", "matrix", "vars")
_EXPRESSION = re.compile(r"\$\{\s*(.+?)\s*\}")


@dataclass(frozen=True)
class Pipeline:
    """Stages have the names that DVC gives them: `train`, `train@digits`, `other/dvc.yaml:train`. They stand as they run.

    A param of another file than params.yaml is named `other.json:width`, as LockedStage.param_values has it.
    """

    graph: Graph
    lock: Lock


def read_pipeline(revision: Revision) -> Pipeline:
    """Raises UserError for files that are missing from the project's folder or cannot be read."""
    graph: Graph = {}
    stages: dict[str, LockedStage] = {}
    for file in dict.fromkeys([str(GRAPH_FILE), *revision.graph_files()]):
        folder = PurePosixPath(file).parent
        prefix = "" if folder == PROJECT else f"{file}:"
        lock_file = str(folder / LOCK_FILE)
        with revision.unpacked([file, lock_file, str(folder / PARAMS_FILE)]) as root:
            declared = _resolved(revision, root, file)
            lock = read_lock(root / lock_file) if not prefix or (root / lock_file).is_file() else Lock(stages={})
        recorded = rebased(lock, {name: stage.get("wdir", "") for name, stage in declared.items()}, folder).stages
        stages |= {prefix + name: stage for name, stage in recorded.items()}
        graph |= {prefix + name: _from_project(stage, folder) for name, stage in declared.items()}
    for name, stage in graph.items():
        stage["params"] = [*_param_names(revision, stage["params"], stages.get(name))]
    return Pipeline(_as_they_run(graph), Lock(stages=stages))


def _as_they_run(graph: Graph) -> Graph:
    """The stages in the order of `dvc repro`: those that make what a stage reads come before it."""
    makers = [(PurePosixPath(out), name) for name, stage in graph.items() for kind in OUTPUTS for out in names(stage[kind])]
    ordered: Graph = {}
    begun: set[str] = set()

    def add(name: str) -> None:
        if name in begun:
            return
        begun.add(name)
        for dep in map(PurePosixPath, names(graph[name]["deps"])):
            for out, maker in makers:
                if dep.is_relative_to(out) or out.is_relative_to(dep):
                    add(maker)
        ordered[name] = graph[name]

    for name in graph:
        add(name)
    return ordered


def rebased(lock: Lock, wdirs: dict[str, str], folder: PurePosixPath = PROJECT) -> Lock:
    """`lock`, of a dvc.yaml in `folder`, with paths from the project's folder: `wdirs` says where those of a stage begin."""

    def moved(stage: LockedStage, base: PurePosixPath) -> LockedStage:
        files = {
            kind: [file.model_copy(update={"path": _joined(base, file.path)}) for file in getattr(stage, kind)]
            for kind in ("deps", "outs")
        }
        params = {_joined(base, file): values for file, values in stage.params.items()}
        return stage.model_copy(update={**files, "params": params})

    bases = {name: folder / (wdirs.get(name) or wdirs.get(name.partition("@")[0]) or "") for name in lock.stages}
    return Lock(stages={name: moved(stage, bases[name]) for name, stage in lock.stages.items()})


def read_values(path: Path) -> dict[str, Any]:
    """The params in a file of a kind that DVC reads. Raises UserError for one that cannot be read."""
    try:
        if path.suffix.lower() == ".json":
            values = json.loads(path.read_text(encoding="utf-8"))
        elif path.suffix.lower() == ".toml":
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        elif path.suffix.lower() == ".py":
            from dvc.utils.serialize import parse_py  # takes a second, and few have such a file

            values = parse_py(path.read_text(encoding="utf-8"), str(path))
        else:
            return read_yaml(path)
    except (ValueError, SyntaxError) as error:
        raise UserError(f"{path}: not readable: {one_line(error)}") from None
    return values if isinstance(values, dict) else {}


def find_value(values: Any, name: str) -> Any:
    """The param `a.b` or `a.0` of nested ones. Raises KeyError."""
    for part in name.split("."):
        if isinstance(values, list) and part.isdigit() and int(part) < len(values):
            values = values[int(part)]
        elif isinstance(values, dict) and part in values:
            values = values[part]
        else:
            raise KeyError(name)
    return values


def _joined(base: PurePosixPath, path: str) -> str:
    return path if path.startswith("/") or "://" in path else posixpath.normpath(base / path)


def _resolved(revision: Revision, root: Path, file: str) -> Graph:
    """The stages of a dvc.yaml that is unpacked under `root`, with all values in their places."""
    declared = load_graph(root / file)
    params = root / PurePosixPath(file).with_name(str(PARAMS_FILE))
    values = read_yaml(params) if params.is_file() or file == str(GRAPH_FILE) else {}
    text = (root / file).read_text(encoding="utf-8")
    is_plain = all(isinstance(values.get(expression), str) for expression in _EXPRESSION.findall(text))
    if is_plain and not any(key in part for part in (read_yaml(root / file), *declared.values()) for key in _OF_DVC):
        return {name: filled(stage, values) for name, stage in declared.items()}
    with revision.unpacked([_CONFIG, file, str(params.relative_to(root)), *_files_of_vars(root, file)]) as whole:
        return _resolved_by_dvc(whole, file)


def _files_of_vars(root: Path, file: str) -> Iterator[str]:
    folder = PurePosixPath(file).parent
    whole = read_yaml(root / file)
    for part in (whole, *whole["stages"].values()):
        for entry in part.get("vars", []):
            if isinstance(entry, str):
                yield _joined(folder, entry.partition(":")[0])
                yield _joined(folder / str(part.get("wdir", "")), entry.partition(":")[0])


def _resolved_by_dvc(root: Path, file: str) -> Graph:
    # These take a second, and few graphs need them.
    from dvc.config import Config
    from dvc.exceptions import DvcException
    from dvc.parsing import DataResolver
    from dvc.schema import COMPILED_MULTI_STAGE_SCHEMA
    from dvc_objects.fs.local import localfs
    from voluptuous import Invalid

    try:
        config = Config.load_file(str(root / _CONFIG)) if (root / _CONFIG).is_file() else {}
        repository: Any = SimpleNamespace(fs=localfs, config=config)
        content = COMPILED_MULTI_STAGE_SCHEMA(read_yaml(root / file))
        graph: Graph = DataResolver(repository, str((root / file).parent), content).resolve()["stages"]
    except (DvcException, Invalid) as error:
        raise UserError(f"{root / file}: {one_line(error)}") from None
    return graph


def _from_project(stage: dict[str, Any], folder: PurePosixPath) -> dict[str, Any]:
    """With paths from the project's folder in place of its own; params as `{file: names}` in any case."""
    base = folder / stage.get("wdir", "")

    def moved(entry: Any) -> Any:
        return {_joined(base, path): of for path, of in entry.items()} if isinstance(entry, dict) else _joined(base, entry)

    of_files = [entry if isinstance(entry, dict) else {str(PARAMS_FILE): [entry]} for entry in stage.get("params", [])]
    paths = {kind: [*map(moved, stage.get(kind, []))] for kind in ("deps", *OUTPUTS)}
    return {**stage, **paths, "params": [*map(moved, of_files)]}


def _param_names(revision: Revision, entries: list[dict[str, Any]], recorded: LockedStage | None) -> Iterator[str]:
    """Of a file without names, all that it has or had."""
    for entry in entries:
        for file, listed in entry.items():
            prefix = "" if file == str(PARAMS_FILE) else f"{file}:"
            yield from (f"{prefix}{name}" for name in listed or _all_names(revision, file, recorded))


def _all_names(revision: Revision, file: str, recorded: LockedStage | None) -> dict[str, Any]:
    with revision.unpacked([file]) as root:
        values = read_values(root / file) if (root / file).is_file() else {}
    return values | (recorded.params.get(file, {}) if recorded else {})
