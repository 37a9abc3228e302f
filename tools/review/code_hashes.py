"""What dvc.lock records, or would record, of the folders of code that a revision holds: DVC's hash of their modules."""

import hashlib
import json
from collections.abc import Iterable

from tools.review.revisions import Revision


def code_hashes(revision: Revision, folders: Iterable[str]) -> dict[str, str]:
    """By folder of code, its hash. A folder without modules in `revision` is left out."""
    return {folder: folder_hash(folder, modules) for folder, modules in module_hashes(revision, folders).items()}


def module_hashes(revision: Revision, folders: Iterable[str]) -> dict[str, dict[str, str]]:
    """By folder of code, the hash of each of its modules by its path. A folder without modules in `revision` is left out."""
    names = revision.modules(folders)
    files = revision.files([name for inside in names.values() for name in inside])
    return {folder: {name: md5(files[name]) for name in inside if name in files} for folder, inside in names.items()}


def folder_hash(folder: str, modules: dict[str, str]) -> str:
    """As dvc_data.hashfile.tree.Tree.digest computes it, of the hashes of its files by their paths."""
    listed = [{"md5": modules[name], "relpath": name.removeprefix(f"{folder}/")} for name in sorted(modules)]
    return f"{md5(json.dumps(listed, sort_keys=True).encode())}.dir"


def md5(content: bytes) -> str:
    """The hash that DVC records of a file."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
