"""Runs `dvc exp` and, from what it prints, times the training."""

import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

TRAIN = "train"
_STAGE_BEGINS = re.compile(r"Running stage '([^']+)'")
_STAGE_ENDS = re.compile(r"(Generating|Updating) lock file |Running stage |Stage '")
_GOES_ON = re.compile(r"going on after epoch ")
"""What the stage says of a training that an earlier run has begun."""
_UNTRUE = "Experiment results have been applied to your workspace.\n"
"""DVC takes the copy for the workspace."""


@dataclass
class TrainingClock:
    """Fed with the lines that `dvc exp run` prints, each with its time."""

    _begin: float | None = None
    _seconds: float | None = None
    _resumed: bool = field(default=False)

    def line(self, text: str, now: float) -> None:
        """Note what `text` says of the stage."""
        if self._begin is not None and _STAGE_ENDS.match(text):
            self._seconds, self._begin = now - self._begin, None
        if (stage := _STAGE_BEGINS.match(text)) and stage[1] == TRAIN:
            self._begin = now
        self._resumed |= bool(_GOES_ON.match(text))

    @property
    def seconds(self) -> float | None:
        """Wall seconds of the stage `train`; None when it came from the cache, went on from an earlier run, or did not end."""
        return None if self._resumed or self._seconds is None else round(self._seconds, 1)


@dataclass(frozen=True)
class Ran:
    """How a `dvc exp run` ended."""

    status: int
    train_seconds: float | None


def dvc_exp_run(arguments: list[str], folder: Path = Path()) -> Ran:
    """Run it in `folder` and pass on what it prints. Raises KeyboardInterrupt once it has ended after a Ctrl-C.

    The terminal sends Ctrl-C to DVC too, which puts its things in order; so it is only waited for.
    """
    interrupts: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, frame: interrupts.append(number))
    clock = TrainingClock()
    try:
        command = [sys.executable, "-m", "dvc", "exp", "run", *arguments]
        with subprocess.Popen(
            command, cwd=folder, env=_environment(), stdout=subprocess.PIPE, encoding="utf-8", errors="replace"
        ) as process:
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    clock.line(line, time.monotonic())
                    print("" if line == _UNTRUE else line, end="", flush=True)
            except BaseException:
                process.terminate()
                raise
    finally:
        signal.signal(signal.SIGINT, previous)
    if interrupts:
        raise KeyboardInterrupt
    return Ran(process.returncode, clock.seconds)


def _environment() -> dict[str, str]:
    """The Python at work comes first on PATH, since stages call `python`; its prints come when they are made."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"}
