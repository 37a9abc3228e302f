"""Whether a revision's dvc.lock is about the params and files that the same revision holds."""

import hashlib
from pathlib import PurePosixPath
from typing import Any

from classifier.params.base import read_yaml
from tools.review.lock_file import PARAMS_FILE, Lock
from tools.review.revisions import Revision


def stale_inputs(revision: Revision, lock: Lock) -> dict[str, list[str]]:
    """By stage, the params and files that are others than those it last ran with; what earlier stages make is left out.

    Raises UserError for a params.yaml that cannot be read. A revision without that file has no params to compare.
    """
    paths = {
        path
        for stage in lock.stages.values()
        for path, md5 in stage.dep_hashes.items()
        if _is_ours(lock, path) and _is_file(md5)
    }
    files = revision.files(sorted({*paths, PARAMS_FILE}))
    hashes = {path: hashlib.md5(content, usedforsecurity=False).hexdigest() for path, content in files.items()}
    params = _params(revision) if PARAMS_FILE in files else None
    found = {}
    for name, stage in lock.stages.items():
        differing = [key for key, value in stage.param_values.items() if params is not None and _differs(params, key, value)]
        differing += [path for path, md5 in stage.dep_hashes.items() if path in paths and hashes.get(path) != md5]
        if differing:
            found[name] = differing
    return found


def _is_ours(lock: Lock, path: str) -> bool:
    """Whether git should hold `path`: no output of a stage, and nothing outside of the project's folder."""
    pure = PurePosixPath(path)
    return not lock.makes(path) and not pure.is_absolute() and ".." not in pure.parts


def _is_file(md5: str) -> bool:
    """A folder, as one's own images are, has a hash that git cannot tell."""
    return not md5.endswith(".dir")


def _params(revision: Revision) -> dict[str, Any]:
    with revision.unpacked([PARAMS_FILE]) as folder:
        return read_yaml(folder / PARAMS_FILE)


def _differs(params: dict[str, Any], key: str, value: Any) -> bool:
    """Params of another file, which have its name before theirs, are not looked at."""
    return ":" not in key and (key not in params or params[key] != value)
