"""Which process of a job this is, and its end when its parent is gone: a killed `dvc` leaves no stage running."""

import os
import re
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

from classifier.common.errors import UserError, short_repr

LAUNCHED_VARIABLE = "TORCHELASTIC_RUN_ID"
"""Is there in each process that torchrun starts."""
ERROR_FILE_VARIABLE = "TORCHELASTIC_ERROR_FILE"
"""There too: names the file in which torchrun looks for why a process failed."""
PEER_LOST = "peer_lost"
"""Key in that file: whether the process ends only because another one of its job did."""
NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class RankInfo:
    """Process `rank` of `size`, counted from 0 over all machines, and `local_rank` among those of this machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @classmethod
    def from_environment(cls) -> Self:
        """The only one where torchrun did not start it: a batch system may leave such variables to its programs.

        Raises UserError for an environment that makes no sense.
        """
        if LAUNCHED_VARIABLE not in os.environ:
            return cls()
        rank, size, local_rank = (_number(name, default) for name, default in _VARIABLES.items())
        if not 0 <= rank < size or local_rank < 0:
            raise UserError(f"RANK must be from 0 to below WORLD_SIZE, got {rank} of {size}; start the job with torchrun")
        return cls(rank, size, local_rank)


_VARIABLES = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}


def _number(name: str, default: str) -> int:
    text = os.environ.get(name, default)
    number = whole_number(text)
    if number is None:
        raise UserError(
            f"{name} in the environment must be a whole number, got {short_repr(text)}; start the job with torchrun"
        )
    return number


def whole_number(text: str) -> int | None:
    """What a variable of the environment says, if that is a number of at most nine digits."""
    return int(text) if NUMBER.fullmatch(text) else None


SECONDS_BETWEEN_CHECKS = 0.5
SHELLS = {"sh", "ash", "bash", "busybox", "csh", "dash", "fish", "ksh", "tcsh", "zsh", "cmd.exe", "powershell.exe"}
EXIT_STATUS = 1
LAUNCHER_VARIABLE = "STAGE_LAUNCHER"
"""In the environment of what torchrun starts, where it runs in stages.launch: the `identity` of that process."""


def identity() -> str:
    """The number of this process, and the namespace in which it has that number, as in a container of its own."""
    try:
        return f"{os.getpid()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{os.getpid()} -"


def end_with_parent() -> None:
    """From now on look twice a second, in a thread, whether the caller still runs; when it does not, leave at once.

    The caller is the parent process, or the parent's parent where the parent is the shell that DVC starts a command with. Of
    each of several processes it is stages.launch, whatever stands between, where torchrun runs in it; that is watched too.
    Nothing needs to be cleaned up: outputs appear by renaming, and the resume state is written between epochs.
    """
    launcher = _number_of_launcher()
    caller = _caller() if launcher is None else _ancestor(launcher)
    if launcher is not None if caller is None else _was_left(caller):
        os._exit(EXIT_STATUS)
    if caller is not None:
        threading.Thread(target=_watch, args=(caller,), name="watch parent", daemon=True).start()


def _number_of_launcher() -> int | None:
    """None where there is no stages.launch, or only one that lies in another namespace and cannot be looked at."""
    number, _, namespace = os.environ.get(LAUNCHER_VARIABLE, "").partition(" ")
    return whole_number(number) if namespace == identity().partition(" ")[2] else None


def _ancestor(number: int) -> psutil.Process | None:
    """The process of that number, if it is above this one. What is above it is not looked at, which may not be allowed."""
    while True:
        with suppress(psutil.NoSuchProcess):  # one in between has ended meanwhile: look again
            process: psutil.Process | None = psutil.Process()
            while process is not None and process.pid != number:
                process = process.parent()
            return process


def _caller() -> psutil.Process | None:
    try:
        parent = psutil.Process().parent()
        if parent is not None and parent.name() in SHELLS and "-c" in parent.cmdline():
            parent = parent.parent()
    except psutil.Error:
        return None
    return parent


def _was_left(caller: psutil.Process) -> bool:
    """Whether the one that asked for this process was gone before it could be looked at: then `caller` takes over orphans.

    That is the init process or a service manager, which live in a session of their own; DVC starts a stage in its own session.
    torchrun starts each process in a new one.
    """
    if LAUNCHED_VARIABLE in os.environ or not hasattr(os, "getsid"):
        return False
    try:
        return os.getsid(caller.pid) != os.getsid(0)
    except ProcessLookupError:
        return True


def _watch(caller: psutil.Process) -> None:
    while _runs(caller):
        time.sleep(SECONDS_BETWEEN_CHECKS)
    os._exit(EXIT_STATUS)


def _runs(process: psutil.Process) -> bool:
    """Whether `process` is alive; one that has ended but was not waited for is not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
