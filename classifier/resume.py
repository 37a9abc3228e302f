"""Where the training states of killed runs wait, one file a run, and for how long."""

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Self

import torch

from classifier.model import ImageClassifier
from classifier.training import Result
from classifier.training_state import DamagedStateError, load_state, save_state

MOST_BYTES = 2 * 2**30
MOST_SECONDS = 30 * 24 * 3600


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
        if not self.path.is_file():
            return None
        try:
            return load_state(self.path, model, optimizer)
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
    """Of the states beside `path`, never itself, delete those over thirty days old, then the oldest until two GiB are left."""
    others = [file for file in path.parent.glob("*") if file.is_file() and file != path] if path.parent.is_dir() else []
    left = MOST_BYTES
    for file in sorted(others, key=lambda file: file.stat().st_mtime, reverse=True):
        left -= file.stat().st_size
        if left < 0 or time.time() - file.stat().st_mtime > MOST_SECONDS:
            file.unlink(missing_ok=True)
