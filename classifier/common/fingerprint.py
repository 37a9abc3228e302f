"""What files held when a stage began, to tell a change from a mere touch. SHA-256 of the content, and the system's figures."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """`digest` is the content's SHA-256; `figures` (inode, size in bytes, time of change in ns) differ after most writes."""

    digest: str
    figures: tuple[int, int, int]


def fingerprints(paths: Iterable[Path]) -> dict[Path, Fingerprint]:
    """Of each file among `paths` and below the folders among them, in sorted order. What does not exist is left out."""
    return {file: Fingerprint(_digest(file), _figures(file)) for file in _files(paths)}


def changed_file(before: dict[Path, Fingerprint], paths: Iterable[Path]) -> Path | None:
    """The first file that differs from `before`, that is gone or that is new; None when all is as it was.

    A file whose figures are the same is taken to be the same, so that nothing large is read twice.
    """
    now = set(_files(paths))
    for file in sorted(now | before.keys()):
        if file not in now or file not in before:
            return file
        if _figures(file) != before[file].figures and _digest(file) != before[file].digest:
            return file
    return None


def combined_digest(prints: dict[Path, Fingerprint], *facts: object) -> str:
    """One SHA-256 of the files' names and contents and of `facts`, anything that JSON can hold."""
    contents = [(file.as_posix(), found.digest) for file, found in sorted(prints.items())]
    return hashlib.sha256(json.dumps([contents, facts], sort_keys=True).encode()).hexdigest()


def _files(paths: Iterable[Path]) -> list[Path]:
    found: set[Path] = set()
    for path in paths:
        found.update(
            (file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path] if path.is_file() else []
        )
    return sorted(found)


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _figures(file: Path) -> tuple[int, int, int]:
    status = file.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
