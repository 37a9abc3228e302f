"""Files that outlive a run, in .dvc/tmp: each whole or not there, also where two runs write it at once, and kept for a time."""

import os
import re
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from classifier.common.files import naming, replacing

MAX_BYTES = 2 * 2**30
MAX_SECONDS = 30 * 24 * 3600
UNFINISHED = re.compile(r"\.(?P<pid>\d+)(\.partial)?$")
"""The end of the name under which a process writes."""


@contextmanager
def replacing_alone(path: Path) -> Iterator[Path]:
    """As `replacing`, under a name of this process: of several that write at once the last leaves its file, whole."""
    own = path.with_name(f"{path.name}.{os.getpid()}")
    with replacing(own) as partial, naming(path):
        yield partial
    own.replace(path)


def make_room(kept: Collection[Path]) -> None:
    """Of the files beside `kept`, never themselves, delete those over thirty days old, then the oldest until two GiB are left.

    Also delete what processes that are gone were writing when they were killed.
    """
    left = MAX_BYTES
    for file, status in sorted(_others(kept), key=lambda pair: pair[1].st_mtime, reverse=True):
        left -= status.st_size
        if left < 0 or time.time() - status.st_mtime > MAX_SECONDS or _is_abandoned(file):
            file.unlink(missing_ok=True)


def _is_abandoned(file: Path) -> bool:
    writing = UNFINISHED.search(file.name)
    return writing is not None and not psutil.pid_exists(int(writing["pid"]))


def _others(kept: Collection[Path]) -> list[tuple[Path, os.stat_result]]:
    """The files beside `kept`. Other runs may be renaming or removing theirs just now."""
    found = []
    for folder in {path.parent for path in kept}:
        for file in folder.glob("*"):
            with suppress(FileNotFoundError):
                if file not in kept and file.is_file():
                    found.append((file, file.stat()))
    return found
