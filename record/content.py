"""The content that dvc.lock records of a path, from wherever it still is: the workspace, DVC's cache, or the last commit."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from dvc.fs.git import GitFileSystem
from dvc_data.hashfile import load
from dvc_data.hashfile.build import build
from dvc_data.hashfile.db import HashFileDB
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.tree import Tree
from dvc_objects.errors import ObjectFormatError
from dvc_objects.fs.generic import transfer
from dvc_objects.fs.local import localfs
from scmrepo.exceptions import SCMError

from classifier.common.graph import counts, is_code

WORKSPACE = "the workspace"

Key = tuple[str, ...]
"""Where a file lies below a dependency or an output, part by part; () where that is itself a file."""


@dataclass(frozen=True)
class _Content:
    where: str
    fs: Any
    paths: dict[Key, str]


def place(repo: Any, item: Any, target: Path) -> str | None:
    """Copy what dvc.lock records of `item`, a dependency or output as DVC loads it, to `target`; say from where.

    None, and no `target`, when that content is nowhere to be had. The copy is hashed: a damaged cache counts as none.
    """
    for content in _contents(repo, item):
        copies = [target.joinpath(*key) for key in content.paths]
        for folder in {copy.parent for copy in copies}:
            folder.mkdir(parents=True, exist_ok=True)
        # No hard link: the stage could write through it into the cache.
        transfer(
            content.fs,
            list(content.paths.values()),
            localfs,
            [str(copy) for copy in copies],
            links=["reflink", "copy"],
        )
        if md5(target) == item.hash_info.value:
            if item.meta.isexec:
                target.chmod(0o755)
            return content.where
        shutil.rmtree(target) if target.is_dir() else target.unlink()
    return None


def md5(path: Path) -> str:
    """The hash of a file or folder as dvc.lock records it; of a folder it ends in `.dir`. DVC's memory is not asked."""
    return str(_hashed(str(path)).hash_info.value)


def md5_of_files(path: Path) -> dict[Key, str]:
    """The MD5 of each file of `path`, a file or a folder."""
    hashed = _hashed(str(path))
    return {key: str(info.value) for key, _, info in hashed} if isinstance(hashed, Tree) else {(): str(hashed.hash_info.value)}


def is_as_recorded(repo: Any, item: Any) -> bool:
    """Whether the workspace has `item` with the content that dvc.lock records, files of .dvcignore left aside."""
    return _in_workspace(repo, item) is not None


def recorded_hash(repo: Any, out: Any, path: Path) -> str | None:
    """The hash of `path`, an output or something in it, that the record of the output in dvc.lock implies.

    "" when the recorded output has no such thing. None when the list of its files is neither in DVC's cache nor, as recorded,
    in the workspace.
    """
    key = path.relative_to(out.fs_path).parts
    if not key:
        return str(out.hash_info.value)
    if not out.hash_info.isdir:
        return ""
    tree: Any = _loaded_tree(repo, out.hash_info)
    if tree is None and is_as_recorded(repo, out):
        tree = _hashed(out.fs_path, out.fs, repo.dvcignore)
    if tree is None:
        return None
    found = tree.get_obj(repo.cache.local, key)
    return "" if found is None else str(found.hash_info.value)


def cached_path(repo: Any, md5: str) -> Path | None:
    """Where DVC's cache has the file of this hash; None where it has none, or there is no hash."""
    path = Path(repo.cache.local.oid_to_path(md5)) if md5 else None
    return path if path and path.is_file() else None


def cached_hashes(repo: Any, md5: str) -> dict[Key, str]:
    """The MD5 of each file of the folder of this hash; none where DVC's cache has no whole list of them."""
    tree = _loaded_tree(repo, HashInfo("md5", md5)) if md5 else None
    return {key: str(info.value) for key, _, info in tree or ()}


def _hashed(path: str, fs: Any = localfs, ignore: Any = None) -> Any:
    return build(HashFileDB(localfs, path), path, fs, "md5", dry_run=True, ignore=ignore)[2]


def _contents(repo: Any, item: Any) -> Iterator[_Content]:
    for where, find in ((WORKSPACE, _in_workspace), ("DVC's cache", _in_cache), ("the last commit", _in_commit)):
        found = find(repo, item)
        if found is not None:
            yield _Content(where, *found)


def _in_workspace(repo: Any, item: Any) -> tuple[Any, dict[Key, str]] | None:
    return _if_as_recorded(item, item.fs, item.fs_path, repo.dvcignore)


def _in_commit(repo: Any, item: Any) -> tuple[Any, dict[Key, str]] | None:
    try:
        fs = GitFileSystem(scm=repo.scm, rev="HEAD")
        path = Path(item.fs_path).relative_to(repo.scm.root_dir).as_posix()
    except (SCMError, ValueError):  # no git, no commit yet, or a path outside of it
        return None
    return _if_as_recorded(item, fs, path)


def _if_as_recorded(item: Any, fs: Any, path: str, ignore: Any = None) -> tuple[Any, dict[Key, str]] | None:
    if not fs.exists(path):
        return None
    hashed = _hashed(path, fs, ignore)
    if isinstance(hashed, Tree) and is_code(PurePath(item.def_path)):
        hashed = _of_modules(hashed, PurePath(item.def_path))
    if hashed.hash_info.value != item.hash_info.value:
        return None
    keys = [key for key, _, _ in hashed] if isinstance(hashed, Tree) else [()]
    return fs, {key: fs.join(path, *key) for key in keys}


def _of_modules(files: Any, folder: PurePath) -> Any:
    """What .dvcignore leaves of a folder of code. DVC heeds it in the workspace only."""
    modules = type(files)()
    for key, meta, info in files:
        if counts(folder.joinpath(*key)):
            modules.add(key, meta, info)
    modules.digest()
    return modules


def _in_cache(repo: Any, item: Any) -> tuple[Any, dict[Key, str]] | None:
    cache = repo.cache.local
    oids = {(): item.hash_info.value}
    if item.hash_info.isdir:
        tree = _recorded_tree(repo, item)
        if tree is None:
            return None
        oids = {key: info.value for key, _, info in tree}
    if not all(cache.exists(oid) for oid in oids.values()):
        return None
    return cache.fs, {key: cache.oid_to_path(oid) for key, oid in oids.items()}


def _recorded_tree(repo: Any, item: Any) -> Tree | None:
    """The list of a folder's files. That of a folder inside an output is cut out of the output's."""
    for out in repo.index.outs:
        if Path(item.fs_path).is_relative_to(out.fs_path) and out.hash_info.isdir:
            tree = out.get_obj(filter_info=item.fs_path)
            if isinstance(tree, Tree) and tree.hash_info is not None and tree.hash_info.value == item.hash_info.value:
                return tree
    return _loaded_tree(repo, item.hash_info)


def _loaded_tree(repo: Any, hash_info: Any) -> Tree | None:
    try:
        tree = load(repo.cache.local, hash_info)
    except (FileNotFoundError, ObjectFormatError):
        return None
    return tree if isinstance(tree, Tree) else None
