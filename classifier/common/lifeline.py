"""Ends this process when the one that asked for it is gone: a killed `dvc` must not leave its stage running."""

import os
import threading
import time

import psutil

SECONDS_BETWEEN_LOOKS = 0.5
SHELLS = {"sh", "ash", "bash", "busybox", "csh", "dash", "fish", "ksh", "tcsh", "zsh", "cmd.exe", "powershell.exe"}
EXIT_STATUS = 1
LAUNCHED_VARIABLE = "TORCHELASTIC_RUN_ID"
"""In the environment of what torchrun starts, each in a session of its own."""
LAUNCHER_VARIABLE = "STAGE_LAUNCHER_PID"
"""There too, where torchrun runs in stages.launch: the number of that process."""


def end_with_caller() -> None:
    """From now on look twice a second, in a thread, whether the caller still runs; when it does not, leave at once.

    The caller is the parent process, or the parent's parent where the parent is the shell that DVC starts a command with. Of
    each of several processes it is torchrun, which runs inside stages.launch and so has this lifeline too.
    Nothing needs to be cleaned up: outputs appear by renaming, and the resume state is written between epochs.
    """
    caller = _caller()
    if caller is not None:
        if _was_left(caller):
            os._exit(EXIT_STATUS)
        threading.Thread(target=_watch, args=(caller,), name="lifeline", daemon=True).start()


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
    """
    if launcher := os.environ.get(LAUNCHER_VARIABLE):
        return all(str(parent.pid) != launcher for parent in psutil.Process().parents())
    if LAUNCHED_VARIABLE in os.environ or not hasattr(os, "getsid"):
        return False
    try:
        return os.getsid(caller.pid) != os.getsid(0)
    except ProcessLookupError:
        return True


def _watch(caller: psutil.Process) -> None:
    while _runs(caller):
        time.sleep(SECONDS_BETWEEN_LOOKS)
    os._exit(EXIT_STATUS)


def _runs(process: psutil.Process) -> bool:
    """Whether `process` is alive; one that has ended but was not waited for is not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
