"""Runs `dvc exp` and, from what it prints, times the training."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO

import psutil

TRAIN = "train"
SECONDS_BETWEEN_LOOKS = 0.5
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

    @property
    def is_training(self) -> bool:
        """Whether the stage is at work."""
        return self._begin is not None

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


def dvc_exp_run(arguments: list[str], folder: Path = Path(), is_hopeless: Callable[[], bool] | None = None) -> Ran:
    """Run it in `folder` and pass on what it prints. Raises KeyboardInterrupt once it has ended after a Ctrl-C.

    The terminal sends Ctrl-C to DVC too, which puts its things in order; so it is only waited for. While the stage `train` is
    at work, `is_hopeless` is asked twice a second; when it says so, that stage gets a Ctrl-C of its own.
    """
    interrupts: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, frame: interrupts.append(number))
    clock, is_stopped = TrainingClock(), False
    try:
        command = [sys.executable, "-m", "dvc", "exp", "run", *arguments]
        with subprocess.Popen(
            command, cwd=folder, env=environment(), stdout=subprocess.PIPE, encoding="utf-8", errors="replace"
        ) as process:
            try:
                assert process.stdout is not None
                for line in _lines(process.stdout):
                    clock.line(line, time.monotonic())
                    print("" if line == _UNTRUE else line, end="", flush=True)
                    if is_hopeless and clock.is_training and not is_stopped and is_hopeless():
                        is_stopped = True
                        _interrupt_training(process.pid)
            except BaseException:
                process.terminate()
                raise
    finally:
        signal.signal(signal.SIGINT, previous)
    if interrupts:
        raise KeyboardInterrupt
    return Ran(process.returncode, clock.seconds)


def _lines(stream: IO[str]) -> Iterator[str]:
    """Each when it comes, and an empty one twice a second."""
    arrived: Queue[str | None] = Queue()

    def pass_on() -> None:
        for line in stream:
            arrived.put(line)
        arrived.put(None)

    Thread(target=pass_on, daemon=True).start()
    while True:
        try:
            line = arrived.get(timeout=SECONDS_BETWEEN_LOOKS)
        except Empty:
            line = ""
        if line is None:
            return
        yield line


def _interrupt_training(pid: int) -> None:
    """Of what the process `pid` has started, only the stage itself: DVC goes on and notes that it failed."""
    for child in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.Error):
            if f"stages.{TRAIN}" in child.cmdline():
                child.send_signal(signal.SIGINT)


def environment() -> dict[str, str]:
    """The Python at work comes first on PATH, since stages call `python`; its prints come when they are made."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"}
