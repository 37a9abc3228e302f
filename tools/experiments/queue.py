"""DVC's queue: what waits, works, has failed or was left by a worker that died; and the workers themselves.

A worker is a process `dvc exp queue-worker`, and the run that it works on its child `dvc exp exec-run`. When a worker is
killed, the run goes on, but nobody takes its result, and DVC 3.67 lists it as running for ever: so the processes are looked at.
"""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import psutil
from dvc.repo import Repo

from classifier.common.errors import MOST_TOLD, UserError, told
from tools.experiments.dvc import environment
from tools.left_experiments import WORKERS, read_note

FOLDERS = Path(".dvc/tmp/exps")
"""Where DVC makes a folder for each run at work."""
SECONDS_TO_END = 60
SECONDS_FOR_WORD = 2
"""Workers hear of the end within this time."""
MOST_LOG_BYTES = 2**16
MOST_TRIES = 3
HALF_WRITTEN = "Expecting value"
"""Of a JSON error: DVC and its workers talk through files, and kombu 5.7 reads some before they are written."""
_ERROR = re.compile(r"^(?:error|ERROR): (.+)$", re.MULTILINE)


class State(Enum):
    """Of a run in the queue that has no result."""

    QUEUED = "is queued"
    RUNNING = "is at work"
    FAILED = "failed"
    DEAD = "broke off, since the worker that ran it is gone"


@dataclass(frozen=True)
class Task:
    """`rev` is DVC's number of it; `process` and `folder` are those of the run, where there are any."""

    name: str
    rev: str
    state: State
    process: psutil.Process | None = None
    folder: Path | None = None
    problem: str | None = None
    """Of a failed one, the first error that it printed."""

    def told(self) -> str:
        """Its state in words."""
        return self.state.value + (f": {self.problem}" if self.problem else "")


def tasks() -> list[Task]:
    """All that have no result. One that moved on while they were read stands here twice, its last state last."""
    with Repo() as repo:
        queue = repo.experiments.celery_queue
        queued = [Task(str(entry.name), entry.stash_rev, State.QUEUED) for entry in queue.iter_queued()]
        active = [_active(entry, queue) for entry in queue.iter_active()]
        failed = [_failed(done.entry, queue.proc.get(done.entry.stash_rev)) for done in queue.iter_failed()]
    workers, parents = living_workers(), [_parent(task.process) for task in active]
    # A worker prepares a run before the run's process begins, and takes the result after that has ended.
    some_between_runs = bool(workers - set(parents))
    lives = [some_between_runs if parent is None else parent in workers for parent in parents]
    active = [task if alive else replace(task, state=State.DEAD) for task, alive in zip(active, lives, strict=True)]
    return [*queued, *active, *failed]


def living_workers() -> set[int]:
    """The processes that take runs from the queue of this repository."""
    pids = [read_note(note).get("pid") for note in WORKERS.glob("*.json")]
    return {process.pid for pid in pids if (process := _process(pid, "queue-worker"))}


def start_workers(count: int) -> None:
    """See to it that so many are at work. Each ends by itself some seconds after the queue is empty."""
    _dvc_queue("start", "--jobs", str(count))


def stop_workers() -> None:
    """End the workers and what they run; what waits stays queued. A training goes on from its last whole epoch."""
    _dvc_queue("stop")
    time.sleep(SECONDS_FOR_WORD)  # or they would take the next run when theirs is ended
    until = time.monotonic() + SECONDS_TO_END
    while (workers := living_workers()) and time.monotonic() < until:
        for task in tasks():
            if task.process:
                _end(task.process)
        time.sleep(0.5)
    for pid in workers:
        with suppress(psutil.Error):
            psutil.Process(pid).kill()


def forget(lost: Sequence[Task]) -> None:
    """Take failed and dead runs off the queue, and end what is left of them, so that they can be queued again."""
    dead = [task for task in lost if task.state is State.DEAD]
    for task in dead:
        if task.process:
            _end(task.process)
    if dead:
        _dvc_queue("kill", *(task.rev for task in dead))  # which notes that they have failed
    for task in dead:
        if task.folder and task.folder.parent == FOLDERS.resolve():
            shutil.rmtree(task.folder, ignore_errors=True)
    if lost:
        _dvc_queue("remove", *(task.rev for task in lost))


def _failed(entry: Any, info: Any) -> Task:
    return Task(str(entry.name), entry.stash_rev, State.FAILED, problem=_first_error(Path(info.stdout)) if info else None)


def _active(entry: Any, queue: Any) -> Task:
    info = queue.proc.get(entry.stash_rev)
    folder = read_note(Path(queue.get_infofile_path(entry.stash_rev))).get("root_dir")
    process = _process(info.pid, "exec-run") if info else None
    return Task(str(entry.name), entry.stash_rev, State.RUNNING, process, Path(folder) if isinstance(folder, str) else None)


def _process(pid: Any, command: str) -> psutil.Process | None:
    """None where there is none of the number, or one of another command, which was given the number of a dead one."""
    try:
        process = psutil.Process(pid)
        return process if command in process.cmdline() else None
    except (psutil.Error, TypeError, ValueError):
        return None


def _parent(process: psutil.Process | None) -> int | None:
    try:
        return process.ppid() if process else None
    except psutil.Error:
        return None


def _end(process: psutil.Process) -> None:
    """Kill a run, and wait until its stage has noticed."""
    with suppress(psutil.Error):
        family = [*process.children(recursive=True), process]
        process.kill()
        for one in psutil.wait_procs(family, timeout=5)[1]:
            with suppress(psutil.Error):
                one.kill()


def _first_error(log: Path) -> str | None:
    """On one line; None where there is none, or no log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - MOST_LOG_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return None
    found = _ERROR.findall(text)
    return found[0][:MOST_TOLD] if found else None


def _dvc_queue(*arguments: str) -> None:
    for _ in range(MOST_TRIES):
        problem = _problem_of_dvc_queue(*arguments)
        if problem is None:
            return
        if HALF_WRITTEN not in problem:
            break
    raise UserError(f"dvc queue {arguments[0]}: {told(Exception(problem))}")


def _problem_of_dvc_queue(*arguments: str) -> str | None:
    # Not a pipe: the workers would hold it, and this would wait for their end.
    with TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        command = [sys.executable, "-m", "dvc", "queue", *arguments]
        done = subprocess.run(command, env=environment(), stdout=said, stderr=said, check=False)
        said.seek(0)
        return said.read() if done.returncode else None
