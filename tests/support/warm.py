"""Python processes that begin with the large libraries loaded, for tests that run many stages and `dvc` commands.

Of a stage on the digits, nine tenths are imports of torch, pandas and the like. A server has done these once, and forks for
each `python -m dvc`, `python -m stages.…` and `python -m tools.…`. What runs then is the code of the repository at hand, in a
process, a folder and an environment of its own: the server has imported none of this project's modules. It is the parent of
what runs, so tests of process trees, signals, kills and imports run the real command (`killed_runs.start`,
`Repository.cold_dvc`). Both programs are in `warm_python.py`.
"""

import atexit
import os
import shlex
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import IO

from tests.support.warm_python import ask

PROGRAM = str(Path(__file__).with_name("warm_python.py"))
SUPPORTED = hasattr(os, "pidfd_open")
"""On Linux."""


@cache
def started() -> tuple[str, Path]:
    """The server of this process, which ends with it: its socket, and a folder with a `python` and a `dvc` that ask it."""
    folder = tempfile.TemporaryDirectory(prefix="warm-")
    atexit.register(folder.cleanup)
    place, bin_folder = f"{folder.name}/socket", Path(folder.name, "bin")
    command = [sys.executable, PROGRAM, "serve", place]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    assert server.stdin and server.stdout
    atexit.register(server.wait)
    atexit.register(server.stdin.close)
    bin_folder.mkdir()
    asks = shlex.join([sys.executable, "-IS", PROGRAM, "ask", place])
    for name, module in (("python", ""), ("dvc", "-m dvc ")):
        (bin_folder / name).write_text(f'#!/bin/sh\nexec {asks} {module}"$@"\n', encoding="utf-8")
        (bin_folder / name).chmod(0o755)
    assert server.stdout.readline() == b"ready\n"
    return place, bin_folder


def on_path(environment: dict[str, str]) -> dict[str, str]:
    """The environment with that folder first on PATH, where there is a server."""
    if not SUPPORTED:
        return environment
    return environment | {"PATH": f"{started()[1]}{os.pathsep}{environment['PATH']}"}


def python() -> str:
    """In the place of `sys.executable`."""
    return str(started()[1] / "python") if SUPPORTED else sys.executable


def run(arguments: list[str], folder: Path, environment: dict[str, str], said: IO[bytes]) -> int:
    """`python` with these arguments, and what it starts by that name, from the server; all that they print goes to `said`."""
    if SUPPORTED:
        status = ask(started()[0], arguments, str(folder), on_path(environment), said.fileno(), said.fileno())
        if status is not None:
            return status
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, stdout=said, stderr=said, check=False).returncode
