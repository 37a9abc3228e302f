"""DVC's queue: what waits, works, has failed or was left by a worker that died; and the workers, started and followed."""

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import psutil
from dvc.repo import Repo

from classifier.common.errors import MAX_MESSAGE, UserError, short_message
from record.killed import WORKERS, read_note
from tools.experiments.dvc_exp import environment
from tools.experiments.jobs import say

FOLDERS = Path(".dvc/tmp/exps")
"""Where DVC makes a folder for each run at work."""
SECONDS_TO_END = 60
SECONDS_FOR_WORD = 2
"""Workers hear of the end within this time."""
MAX_LOG_BYTES = 2**16
MAX_TRIES = 3
HALF_WRITTEN = "Expecting value"
"""Of a JSON error: DVC and its workers talk through files, and kombu 5.7 reads some before they are written."""
_ERROR = re.compile(r"^(?:error|ERROR): (.+)$", re.MULTILINE)


class State(Enum):
    """Of a run in the queue that has no result."""

    QUEUED = "is queued"
    RUNNING = "is at work"
    FAILED = "failed"
    DEAD = "failed: its worker was killed"


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

    def outcome(self) -> str:
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
            file.seek(max(0, log.stat().st_size - MAX_LOG_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return None
    found = _ERROR.findall(text)
    return found[0][:MAX_MESSAGE] if found else None


def _dvc_queue(*arguments: str) -> None:
    for _ in range(MAX_TRIES):
        problem = _problem_of_dvc_queue(*arguments)
        if problem is None:
            return
        if HALF_WRITTEN not in problem:
            break
    raise UserError(f"dvc queue {arguments[0]}: {short_message(Exception(problem))}")


def _problem_of_dvc_queue(*arguments: str) -> str | None:
    # Not a pipe: the workers would hold it, and this would wait for their end.
    with TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        command = [sys.executable, "-m", "dvc", "queue", *arguments]
        done = subprocess.run(command, env=environment(), stdout=said, stderr=said, check=False)
        said.seek(0)
        return said.read() if done.returncode else None


SECONDS_BETWEEN_CHECKS = 1
SECONDS_TO_START = 20
"""Within these a worker that was started has noted its process."""


def follow(names: set[str], num_jobs: int) -> dict[str, str]:
    """Run them, and wait until none waits. Returns what went wrong, by name. When this is broken off, the workers end."""
    try:
        return _Watch(names, num_jobs).until_done()
    except BaseException:
        with _without_interrupts():
            say("stopping the running experiments")
            stop_workers()
        raise


class _Watch:
    def __init__(self, names: set[str], num_jobs: int) -> None:
        self.waiting, self.num_jobs, self.num_names = set(names), num_jobs, len(names)
        self.problems: dict[str, str] = {}
        self.at_work: set[str] = set()
        self.suspects: set[str] = set()
        self.restarted_with = -1
        """How many waited when workers were started last."""
        self.started = 0.0

    def until_done(self) -> dict[str, str]:
        self.start_workers()
        while self.waiting:
            time.sleep(SECONDS_BETWEEN_CHECKS)
            self.look()
        return self.problems

    def look(self) -> None:
        found = {task.name: task for task in tasks() if task.name in self.waiting}
        for name in sorted(self.waiting):
            self.tell(name, found.get(name))
        # A worker ends between two runs, too: what is dead must be so twice.
        self.suspects = {task.name for task in found.values() if task.state is State.DEAD}
        if self.waiting and not living_workers() and time.monotonic() > self.started + SECONDS_TO_START:
            self.start_workers()

    def tell(self, name: str, task: Task | None) -> None:
        """Say what is new of it."""
        if task is None:
            self.end(name, "ended")
        elif task.state is State.RUNNING and name not in self.at_work:
            self.at_work.add(name)
            say(f"{name}: at work")
        elif task.state is State.FAILED or (task.state is State.DEAD and name in self.suspects):
            self.problems[name] = task.outcome()
            self.end(name, task.outcome())

    def end(self, name: str, how: str) -> None:
        self.waiting.discard(name)
        say(f"{name}: {how} ({self.num_names - len(self.waiting)} of {self.num_names})")

    def start_workers(self) -> None:
        """Again, too, where all ended with something left to do. Raises UserError when they got nothing done in between."""
        if self.restarted_with == len(self.waiting):
            logs = ", ".join(sorted(map(str, WORKERS.glob("*.out"))))
            raise UserError(f"dvc queue: its workers end without taking a run; what they say is in {logs or WORKERS}")
        self.restarted_with = len(self.waiting)
        start_workers(self.num_jobs)
        self.started = time.monotonic()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """A second Ctrl-C must not leave half of the work going."""
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
