"""What files held when a stage began, to tell a change from a mere touch. SHA-256 of the content, and the system's figures."""

import hashlib
import json
import os
import struct
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

_RECORD = struct.Struct("32sQQq")


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """`digest` is the content's SHA-256; `figures` (inode, size in bytes, time of change in ns) differ after most writes."""

    digest: str
    figures: tuple[int, int, int]


class Fingerprints(Mapping[Path, Fingerprint]):
    """By file, in the order of the paths: a person's folder may have millions, so each takes 64 bytes and its path."""

    def __init__(self, files: Iterable[str]) -> None:
        self._paths, self._ends, self._records = bytearray(), array("q"), bytearray()
        for file in files:
            self._paths += os.fsencode(file)
            self._ends.append(len(self._paths))
            self._records += _RECORD.pack(_digest(file), *_figures(file))

    def __len__(self) -> int:
        return len(self._ends)

    def __iter__(self) -> Iterator[Path]:
        return map(Path, self.names())

    def __getitem__(self, path: Path) -> Fingerprint:
        return self.at(next((place for place, name in enumerate(self.names()) if name == str(path)), len(self)))

    def names(self) -> Iterator[str]:
        start = 0
        for end in self._ends:
            yield os.fsdecode(bytes(self._paths[start:end]))
            start = end

    def at(self, place: int) -> Fingerprint:
        if place >= len(self):
            raise KeyError(place)
        digest, *figures = _RECORD.unpack_from(self._records, place * _RECORD.size)
        inode, size, time_ns = figures
        return Fingerprint(digest.hex(), (inode, size, time_ns))


def fingerprints(paths: Iterable[Path]) -> Fingerprints:
    """Of each file among `paths` and below the folders among them, in sorted order. What does not exist is left out."""
    return Fingerprints(_files(paths))


def changed_file(before: Fingerprints, paths: Iterable[Path]) -> Path | None:
    """The first file that differs from `before`, that is gone or that is new; None when all is as it was.

    A file whose figures are the same is taken to be the same, so that nothing large is read twice.
    """
    now = _files(paths)
    for place, name in enumerate(before.names()):
        file = next(now, None)
        if file != name:
            return min((Path(one) for one in (file, name) if one is not None), key=lambda path: path.parts)
        found = before.at(place)
        if _figures(file) != found.figures and _digest(file).hex() != found.digest:
            return Path(file)
    new = next(now, None)
    return None if new is None else Path(new)


def combined_digest(prints: Fingerprints, *facts: object) -> str:
    """One SHA-256 of the files' names and contents and of `facts`, anything that JSON can hold."""
    contents = [(Path(name).as_posix(), prints.at(place).digest) for place, name in enumerate(prints.names())]
    return hashlib.sha256(json.dumps([contents, facts], sort_keys=True).encode()).hexdigest()


def _files(paths: Iterable[Path]) -> Iterator[str]:
    """Sorted as paths are, each once: of the folders one is walked after the other, and none within another."""
    last: Path | None = None
    for path in sorted(set(paths)):
        if last is not None and path.is_relative_to(last):
            continue
        last = path
        if path.is_dir():
            yield from _below(path)
        elif path.is_file():
            yield str(path)


def _below(folder: str | Path) -> Iterator[str]:
    """Links to folders are not followed."""
    with os.scandir(folder) as entries:
        found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries)
    for name, is_folder in found:
        path = os.path.join(folder, name)  # noqa: PTH118 - as text, which is small and quick
        if is_folder:
            yield from _below(path)
        elif os.path.isfile(path):  # noqa: PTH113
            yield path


def _digest(file: str) -> bytes:
    with open(file, "rb") as stream:  # noqa: PTH123
        return hashlib.file_digest(stream, "sha256").digest()


def _figures(file: str) -> tuple[int, int, int]:
    status = os.stat(file)  # noqa: PTH116
    return status.st_ino, status.st_size, status.st_mtime_ns
