"""Where the training states of killed runs wait, one file a run, and for how long."""

import hashlib
import json
import os
import re
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil

from classifier.training.loop import Trainee
from classifier.training.progress import Result
from classifier.training.state import DamagedStateError, State, put_in_place, read_state, save_state
from classifier.training.world import ALONE, World

MOST_BYTES = 2 * 2**30
MOST_SECONDS = 30 * 24 * 3600
UNFINISHED = re.compile(r"\.(?P<pid>\d+)(\.partial)?$")
"""The end of the name under which a process saves a state."""


class ResumePoint:
    """The state of one run at `path`, whose name holds the digest of all that the run's bytes depend on.

    So the state of another experiment, or of other code, data or versions, is never found here.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of_run(cls, start: Path, facts: dict[str, str | int]) -> Self:
        """`start` is different for all that the stage declares to read; `facts` are what else the bytes depend on."""
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        return cls(start.with_name(f"{start.name}-{digest[:8]}.safetensors"))

    def restore(self, trainee: Trainee, world: World = ALONE) -> Result | None:
        """Put the saved state in place and return the history so far; None when there is none to go on from.

        The first process of `world` reads it, for all. A damaged file is set aside as `<name>.damaged`, and said on standard
        error.
        """
        state = world.from_first(self._read(trainee) if world.is_first else None)
        return put_in_place(state, trainee) if state else None

    def _read(self, trainee: Trainee) -> State | None:
        _make_room(self.path)
        while True:
            before = _figures(self.path)
            try:
                return read_state(self.path, trainee)
            except DamagedStateError as error:
                if _figures(self.path) == before:
                    if before:
                        self._set_aside(error)
                    return None
                # Another run of the same experiment replaced or removed it while it was read.

    def _set_aside(self, error: DamagedStateError) -> None:
        aside = self.path.with_suffix(".damaged")
        with suppress(FileNotFoundError):  # another run may have removed it just now
            self.path.replace(aside)
            print(f"{aside}: set aside, {error}; training starts from the beginning", file=sys.stderr)

    def save(self, trainee: Trainee, result: Result) -> None:
        """Replace the state, whole or not at all."""
        save_state(self.path, trainee, result)

    def discard(self) -> None:
        """Remove the state: the run is complete."""
        self.path.unlink(missing_ok=True)


def _figures(path: Path) -> tuple[int, int] | None:
    """They differ after each save; None where there is no file."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_mtime_ns


def _make_room(path: Path) -> None:
    """Of the files beside `path`, never itself, delete those over thirty days old, then the oldest until two GiB are left.

    Also delete what processes that are gone were saving when they were killed.
    """
    left = MOST_BYTES
    for file, figures in sorted(_others(path), key=lambda pair: pair[1].st_mtime, reverse=True):
        left -= figures.st_size
        if left < 0 or time.time() - figures.st_mtime > MOST_SECONDS or _is_abandoned(file):
            file.unlink(missing_ok=True)


def _is_abandoned(file: Path) -> bool:
    saving = UNFINISHED.search(file.name)
    return saving is not None and not psutil.pid_exists(int(saving["pid"]))


def _others(path: Path) -> list[tuple[Path, os.stat_result]]:
    """The files beside `path`. Other runs may be renaming or removing theirs just now."""
    found = []
    for file in path.parent.glob("*"):
        with suppress(FileNotFoundError):
            if file != path and file.is_file():
                found.append((file, file.stat()))
    return found
