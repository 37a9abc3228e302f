"""Runs `dvc exp run` and times its training; reads `dvc exp show`, with experiments that wait, run or have failed."""

import json
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
from typing import IO, Any

import psutil
from pydantic import BaseModel, ValidationError

from classifier.common.errors import UserError, short_message, short_repr
from classifier.common.params import PARAMS_FILE
from record.git import head_commit
from record.revisions import finished_experiments

TRAIN = "train"
SECONDS_BETWEEN_CHECKS = 0.5
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
class ExpRunResult:
    """How a `dvc exp run` ended."""

    status: int
    train_seconds: float | None


def dvc_exp_run(arguments: list[str], folder: Path = Path(), is_hopeless: Callable[[], bool] | None = None) -> ExpRunResult:
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
    return ExpRunResult(process.returncode, clock.seconds)


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
            line = arrived.get(timeout=SECONDS_BETWEEN_CHECKS)
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
    """The Python at work comes first on PATH, since stages call `python`; its prints come when they are made.

    Threads that wait for each other leave the core to others: on a busy machine, spinning took three times as long.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    return {"OMP_WAIT_POLICY": "passive", **os.environ, "PATH": path, "PYTHONUNBUFFERED": "1"}


WORKSPACE = "workspace"
NOTES = ".dvc/tmp/exps/"
"""DVC's own files about what is at work. A worker of its queue may remove one while `dvc exp show` reads them (DVC 3.67)."""
MAX_TRIES = 3
QUEUED, RUNNING = "queued", "running"


class _Params(BaseModel):
    data: dict[str, Any] = {}


class _Data(BaseModel):
    params: dict[str, _Params] = {}


class _ListedRevision(BaseModel):
    rev: str
    name: str | None = None
    data: _Data | None = None


class _Executor(BaseModel):
    state: str


class _Range(BaseModel):
    revs: list[_ListedRevision]
    executor: _Executor | None = None
    name: str | None = None


class _Commit(_ListedRevision):
    experiments: list[_Range] | None = None


class ListedExperiment(BaseModel):
    """A line of the listing: the workspace, the last commit, or an experiment. `state` is None for what has a result."""

    name: str
    commit: str | None
    """None for the workspace."""
    params: dict[str, Any]
    state: str | None = None


def listed_experiments() -> list[ListedExperiment]:
    """The workspace, the last commit, then the experiments of every commit that has some."""
    head = head_commit()
    begun_from = dict.fromkeys([head, *(one.baseline for one in finished_experiments())])
    listing = _exp_show(list(begun_from))
    lines = []
    for entry in listing:
        if entry.rev in (WORKSPACE, head):
            is_workspace = entry.rev == WORKSPACE
            lines.append(_line(entry, WORKSPACE if is_workspace else "HEAD", None if is_workspace else entry.rev))
        for one in entry.experiments or []:
            tip = one.revs[0]
            state = one.executor.state if one.executor else None
            lines.append(_line(tip, one.name or tip.name or tip.rev[:7], tip.rev, None if state == "success" else state))
    return lines


def waiting_experiments() -> set[str]:
    """Names of those that are queued or at work."""
    return {one.name for one in listed_experiments() if one.state in (QUEUED, RUNNING)}


def _line(entry: _ListedRevision, name: str, commit: str | None, state: str | None = None) -> ListedExperiment:
    params = entry.data.params.get(str(PARAMS_FILE), _Params()).data if entry.data else {}
    return ListedExperiment(name=name, commit=commit, params=params, state=state)


def _exp_show(commits: list[str]) -> list[_Commit]:
    command = [sys.executable, "-m", "dvc", "exp", "show", "--json", *(f"--rev={commit}" for commit in commits)]
    for _ in range(MAX_TRIES):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if not done.returncode or NOTES not in done.stderr:
            break
    if done.returncode:
        raise UserError(f"dvc exp show: {short_message(Exception(done.stderr.removeprefix('ERROR: ')))}")
    try:
        return [_Commit.model_validate(entry) for entry in json.loads(done.stdout)]
    except (ValueError, ValidationError):
        raise UserError(f"dvc exp show: needs a JSON list of commits, got {short_repr(done.stdout)}") from None
