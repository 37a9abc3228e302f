"""Where the training states of killed runs wait, one file a run, and for how long."""

import hashlib
import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Self

import torch

from classifier.model import ImageClassifier
from classifier.training import Result
from classifier.training_state import DamagedStateError, load_state, save_state

MOST_BYTES = 2 * 2**30
MOST_SECONDS = 30 * 24 * 3600
MOST_SECONDS_OF_A_SAVE = 3600


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

    def restore(self, model: ImageClassifier, optimizer: torch.optim.Optimizer) -> Result | None:
        """Put the saved state in place and return the history so far; None when there is none to go on from.

        A damaged file is set aside as `<name>.damaged`, and said on standard error.
        """
        _make_room(self.path)
        try:
            return load_state(self.path, model, optimizer)
        except FileNotFoundError:
            return None
        except DamagedStateError as error:
            aside = self.path.with_suffix(".damaged")
            self.path.replace(aside)
            print(f"{aside}: set aside, {error}; training starts from the beginning", file=sys.stderr)
            return None

    def save(self, model: ImageClassifier, optimizer: torch.optim.Optimizer, result: Result) -> None:
        """Replace the state, whole or not at all."""
        save_state(self.path, model, optimizer, result)

    def discard(self) -> None:
        """Remove the state: the run is complete."""
        self.path.unlink(missing_ok=True)


def _make_room(path: Path) -> None:
    """Of the files beside `path`, never itself, delete those over thirty days old, then the oldest until two GiB are left.

    What a save that was killed left behind goes after an hour; until then it may be that of a run that goes on.
    """
    left = MOST_BYTES
    for file, figures in sorted(_others(path), key=lambda pair: pair[1].st_mtime, reverse=True):
        left -= figures.st_size
        most_seconds = MOST_SECONDS_OF_A_SAVE if file.suffix == ".partial" else MOST_SECONDS
        if left < 0 or time.time() - figures.st_mtime > most_seconds:
            file.unlink(missing_ok=True)


def _others(path: Path) -> list[tuple[Path, os.stat_result]]:
    """The files beside `path`. Other runs may be renaming or removing theirs just now."""
    found = []
    for file in path.parent.glob("*"):
        with suppress(FileNotFoundError):
            if file != path and file.is_file():
                found.append((file, file.stat()))
    return found
