"""MD5 as DVC records it, and whether a result is the one that dvc.lock records. Without DVC, whose import takes a second."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from record.lock_file import Lock


def md5_of_bytes(content: bytes) -> str:
    """The hash that DVC records of a file with this content."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def md5_of_folder(folder: str, files: Mapping[str, str]) -> str:
    """The hash that DVC records of a folder with these hashes of files by their paths (dvc_data.hashfile.tree.Tree.digest)."""
    listed = [{"md5": files[path], "relpath": path.removeprefix(f"{folder}/")} for path in sorted(files)]
    return f"{md5_of_bytes(json.dumps(listed, sort_keys=True).encode())}.dir"


def is_recorded(lock: Lock, path: str, folder: Path = Path()) -> bool:
    """Whether the file `path`, an output, is in `folder` as `lock` records it."""
    if not (folder / path).is_file():
        return False
    with (folder / path).open("rb") as file:
        md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return md5 == lock.out_hashes.get(path)
