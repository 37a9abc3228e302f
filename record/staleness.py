"""Whether a revision's dvc.lock is about the params, files and code that the same revision holds."""

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from classifier.common.graph import is_code
from classifier.common.params import PARAMS_FILE, read_yaml
from record.lock_file import Lock, md5_of_bytes, md5_of_folder
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

    Raises UserError for a params.yaml that cannot be read. A revision without that file has no params to compare.
    """
    deps = {
        (path, recorded)
        for stage in lock.stages.values()
        for path, recorded in stage.dep_hashes.items()
        if _is_ours(lock, path)
    }
    folders = {path for path, recorded in deps if _is_folder(recorded) and is_code(PurePosixPath(path))}
    paths = folders | {path for path, recorded in deps if not _is_folder(recorded)}
    files = revision.files(sorted({*paths - folders, str(PARAMS_FILE)}))
    hashes = {path: md5_of_bytes(content) for path, content in files.items()} | code_hashes(revision, folders)
    with revision.unpacked([str(PARAMS_FILE)]) as folder:
        params = read_yaml(folder / PARAMS_FILE) if str(PARAMS_FILE) in files else None
    found = {}
    for name, stage in lock.stages.items():
        differing = [key for key, value in stage.param_values.items() if params is not None and _differs(params, key, value)]
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


def _differs(params: dict[str, Any], key: str, value: Any) -> bool:
    """Params of another file, which have its name before theirs, are not looked at."""
    return ":" not in key and (key not in params or params[key] != value)
