"""Whether a revision's dvc.lock is about the params, files and code that the same revision holds."""

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from classifier.common.graph import GRAPH_FILE, is_code, load_graph
from classifier.common.params import PARAMS_FILE
from record.lock_file import Lock, md5_of_bytes, md5_of_folder
from record.pipeline import find_value, read_values, rebased
from record.revisions import Revision


def code_hashes(revision: Revision, folders: Iterable[str]) -> dict[str, str]:
    """By folder of code, its hash. A folder without modules in `revision` is left out."""
    return {folder: md5_of_folder(folder, modules) for folder, modules in module_hashes(revision, folders).items()}


def module_hashes(revision: Revision, folders: Iterable[str]) -> dict[str, dict[str, str]]:
    """By folder of code, the hash of each of its modules by its path. A folder without modules in `revision` is left out."""
    names = revision.modules(folders)
    files = revision.files([name for inside in names.values() for name in inside])
    return {folder: {name: md5_of_bytes(files[name]) for name in inside if name in files} for folder, inside in names.items()}


def stale_inputs(revision: Revision, lock: Lock) -> dict[str, list[str]]:
    """By stage, the params and files that are others than those it last ran with; what earlier stages make is left out.

    `lock` is the dvc.lock of the project's folder. Raises UserError for params that cannot be read. A revision without
    params.yaml has none to compare.
    """
    with revision.unpacked([str(GRAPH_FILE)]) as folder:
        graph = load_graph(folder / GRAPH_FILE) if (folder / GRAPH_FILE).is_file() else {}
    wdirs = {name: (stage.get("do") or stage).get("wdir", "") for name, stage in graph.items()}
    return stale_by_paths(revision, rebased(lock, wdirs))


def stale_by_paths(revision: Revision, lock: Lock) -> dict[str, list[str]]:
    """The same, where `lock` has paths from the project's folder, as record.pipeline reads it."""
    deps = {
        (path, recorded)
        for stage in lock.stages.values()
        for path, recorded in stage.dep_hashes.items()
        if _is_ours(lock, path)
    }
    folders = {path for path, recorded in deps if _is_folder(recorded) and is_code(PurePosixPath(path))}
    paths = folders | {path for path, recorded in deps if not _is_folder(recorded)}
    files = revision.files(sorted(paths - folders))
    hashes = {path: md5_of_bytes(content) for path, content in files.items()} | code_hashes(revision, folders)
    params_files = sorted({file for stage in lock.stages.values() for file in stage.params} | {str(PARAMS_FILE)})
    with revision.unpacked(params_files) as folder:
        params = {file: read_values(folder / file) for file in params_files if (folder / file).is_file()}
    has_params = str(PARAMS_FILE) in params
    found = {}
    for name, stage in lock.stages.items():
        differing = [key for key, value in stage.param_values.items() if has_params and _differs(params, key, value)]
        differing += [path for path, recorded in stage.dep_hashes.items() if path in paths and hashes.get(path) != recorded]
        if differing:
            found[name] = differing
    return found


def _is_ours(lock: Lock, path: str) -> bool:
    """Whether git should hold `path`: no output of a stage, and nothing outside of the project's folder."""
    pure = PurePosixPath(path)
    return not lock.makes(path) and not pure.is_absolute() and ".." not in pure.parts


def _is_folder(recorded: str) -> bool:
    """Git cannot tell the hash of one that it does not hold, as one's own images."""
    return recorded.endswith(".dir")


def _differs(params: dict[str, Any], name: str, value: Any) -> bool:
    """`params` by file; `name` as LockedStage.param_values has it."""
    file, _, key = name.rpartition(":")
    try:
        return bool(find_value(params.get(file or str(PARAMS_FILE), {}), key) != value)
    except KeyError:
        return True
