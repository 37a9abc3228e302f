"""Which of the files that a stage opened it had no right to, as the log of tools/verify/hooks.py tells."""

import json
import os
import re
import site
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

SYSTEM = [
    Path(place)
    for place in (
        *(
            "/bin",
            "/dev",
            "/etc",
            "/lib",
            "/lib32",
            "/lib64",
            "/nix",
            "/opt",
            "/proc",
            "/run",
            "/sbin",
            "/snap",
            "/sys",
            "/usr",
        ),
        *("/var", "/Library", "/System", "/private/etc", "/private/var"),
    )
]
"""What lies here belongs to the system and its libraries: certificates, time zones, fonts, devices."""


NO_FILES = re.compile(r"/dev/(null|tty|stdout|stderr|fd/\d+)|/proc/self/fd/\d+")
"""What may be opened for writing because nothing is kept there, or because it is open already."""
COMPILED = re.compile(r"__pycache__(/[^/]+\.pyc(\.\d+)?)?$")
"""What Python writes beside a module, under a temporary name first."""


class Territory:
    """Places that a stage may open files in, and places that it may not; the nearest place around a file decides.

    `repository` is not allowed, but for a Python environment inside it; `allowed` are folders or files besides the system's.
    All that is for reading. A stage may write in the folders `writable`, and Python its compiled modules.
    """

    def __init__(self, repository: Path, allowed: Iterable[Path], writable: Iterable[Path]) -> None:
        repository = repository.resolve()
        libraries = [Path(sys.prefix), Path(sys.base_prefix), Path(site.getusersitepackages())]
        # Where an administrator's PYTHONPATH points is library too.
        libraries += [entry for entry in map(Path, filter(None, sys.path)) if not _overlap(entry.resolve(), repository)]
        self._libraries = [library.resolve() for library in libraries]
        self._writable = [folder.resolve() for folder in writable]
        self._places = {place.resolve(): True for place in [*SYSTEM, *libraries, *allowed]}
        self._places |= {repository: False, Path.home().resolve(): False, Path("/var/tmp"): False}

    def allows(self, path: Path) -> bool:
        """Whether a stage may read the resolved `path`. In the home folder only hidden folders, of caches and settings."""
        for place in (path, *path.parents):
            if place == Path.home().resolve():
                first = path.relative_to(place).parts[:1]
                return bool(first) and (first[0].startswith(".") or first[0] == "Library")
            if place in self._places:
                return self._places[place]
        return False

    def allows_writing(self, path: Path) -> bool:
        """Whether a stage may write or change the resolved `path`."""
        compiled = COMPILED.search(path.as_posix()) and any(path.is_relative_to(library) for library in self._libraries)
        return bool(compiled and self.allows(path)) or any(path.is_relative_to(folder) for folder in self._writable)


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def breaches(log: Path, room: Path, repository: Path, territory: Territory, declared: set[str]) -> Iterator[tuple[str, str]]:
    """("reads" or "writes", what was opened) of each file that `territory` refuses, or that only the repository has.

    `declared` are names below `room` that the stage was given or may write; no line of `log` is about one of them.
    """
    for kind, opened in _entries(log):
        writes = kind in ("write", "change")
        path = Path(opened if kind == "change" else os.path.realpath(opened))
        if path.is_relative_to(room):
            name = path.relative_to(room).as_posix()
            if not writes and _only_there(kind, name, repository, declared):
                yield "reads", f"{kind}s {name}, which dvc.yaml does not declare"
        elif NO_FILES.fullmatch(opened):
            continue
        elif not (territory.allows_writing(path) if writes else territory.allows(path)):
            home = repository.resolve()
            shown = f"{path.relative_to(home)} of the repository" if path.is_relative_to(home) else str(path)
            yield ("writes" if writes else "reads"), f"{kind}s {shown}, by its absolute path"


def _only_there(kind: str, name: str, repository: Path, declared: set[str]) -> bool:
    """Whether the repository has a file, or a folder to list, that the room was not given, nor anything around or in it.

    Python looks for compiled modules by itself.
    """
    path, there = Path(name), repository / name
    near = any(path.is_relative_to(known) or Path(known).is_relative_to(path) for known in declared)
    exists = there.is_dir() if kind == "list" else there.is_file()
    return exists and path.parent.name != "__pycache__" and not near


def _entries(log: Path) -> Iterator[tuple[str, str]]:
    """Kind and path of each line, each once; none where the hook could not run."""
    if log.exists():
        for line in sorted(set(log.read_text(encoding="utf-8").splitlines())):
            with suppress(ValueError):  # the last line of a full disk
                kind, path = json.loads(line)
                yield kind, path
