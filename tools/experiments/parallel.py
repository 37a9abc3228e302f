"""Runs several experiments at once, each in a copy of the last commit of its own, and says what becomes of each."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from classifier.common.errors import MAX_MESSAGE
from tools.experiments.dvc_exp import environment
from tools.experiments.jobs import say
from tools.experiments.snapshot import STATE, Snapshot

SECONDS_BETWEEN_CHECKS = 0.2
SECONDS_TO_END = 60
"""After a Ctrl-C; what is not over by then is killed."""
MAX_LOG_BYTES = 2**16
_ERROR = re.compile(r"^(?:error|ERROR): (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class _Run:
    name: str
    place: Snapshot
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def problem(self) -> str | None:
        """Of one that has ended: the first error that it printed, or its status; None where it went well."""
        if not self.process.returncode:
            return None
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - MAX_LOG_BYTES))
            found = _ERROR.search(file.read().decode(errors="replace"))
        return found[1][:MAX_MESSAGE] if found else f"`dvc exp run` ended with status {self.process.returncode}"

    def signal(self, number: signal.Signals) -> None:
        """To DVC and its stage, as a terminal does."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


def run_at_once(options: Mapping[str, list[str]], places: Sequence[Snapshot]) -> dict[str, str]:
    """Run `dvc exp run` with the options of each name, one in each place at a time. Returns what went wrong, by name.

    When this is broken off, what runs gets a Ctrl-C and is waited for.
    """
    waiting, free, problems = list(options), list(places), dict[str, str]()
    runs: list[_Run] = []
    try:
        while waiting or runs:
            while waiting and free:
                name = waiting.pop(0)
                runs.append(_start(name, options[name], free.pop()))
                say(f"{name}: at work")
            time.sleep(SECONDS_BETWEEN_CHECKS)
            for run in [run for run in runs if run.process.poll() is not None]:
                outcome = "ended"
                if run.problem:
                    problems[run.name] = outcome = f"failed: {run.problem}"
                else:
                    run.place.hand_over(run.name)
                runs.remove(run)
                free.append(run.place)
                say(f"{run.name}: {outcome} ({len(options) - len(waiting) - len(runs)} of {len(options)})")
    except BaseException:
        with _without_interrupts():
            say("stopping the running experiments")
            _end(runs)
        raise
    return problems


def _start(name: str, options: Sequence[str], place: Snapshot) -> _Run:
    place.clear()
    log = place.folder / STATE / "run.log"
    command = [sys.executable, "-m", "dvc", "exp", "run", *options]
    with log.open("wb") as said:
        # A session of its own: a Ctrl-C in the terminal reaches it once, from here.
        process = subprocess.Popen(
            command, cwd=place.folder, env=environment(), stdout=said, stderr=said, start_new_session=True
        )
    return _Run(name, place, process, log)


def _end(runs: Sequence[_Run]) -> None:
    for run in runs:
        run.signal(signal.SIGINT)
    until = time.monotonic() + SECONDS_TO_END
    for run in runs:
        try:
            run.process.wait(max(0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            run.signal(signal.SIGKILL)
            run.process.wait()


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """A second Ctrl-C must not leave half of the work going."""
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
