"""Has DVC's workers run what is queued, tells what becomes of each, and notices workers that die."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from classifier.common.errors import UserError
from tools.experiments.queue import State, Task, living_workers, start_workers, stop_workers, tasks
from tools.experiments.telling import say
from tools.left_experiments import WORKERS

SECONDS_BETWEEN_LOOKS = 1
SECONDS_TO_START = 20
"""Within these a worker that was started has noted its process."""


def follow(names: set[str], num_jobs: int) -> dict[str, str]:
    """Run them, and wait until none waits. Returns what went wrong, by name. When this is broken off, the workers end."""
    try:
        return _Watch(names, num_jobs).until_done()
    except BaseException:
        with _without_interrupts():
            say("stopping what is at work")
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
            time.sleep(SECONDS_BETWEEN_LOOKS)
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
            self.problems[name] = task.told()
            self.end(name, task.told())

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
