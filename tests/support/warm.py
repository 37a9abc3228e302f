"""Python processes that begin with the large libraries loaded, for tests that run many stages and `dvc` commands.

Of a stage on the digits, nine tenths are imports of torch, pandas and the like. A server has done these once, and forks for
each `python -m dvc`, `python -m stages.…` and `python -m tools.…`. What runs then is the code of the repository at hand, in a
process, a folder and an environment of its own: the server has imported none of this project's modules. It is the parent of
what runs, so tests of process trees, signals, kills and imports run the real command (`killed_runs.start`,
`Repository.cold_dvc`).
"""

import atexit
import json
import os
import runpy
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO, NoReturn

MODULES = ("dvc", "stages.", "tools.")
IMPORTS = (
    *("dvc.api", "dvc.cli.parser", "dvc.commands.repro", "dvc.repo.reproduce", "dvc.repo.experiments", "dvc.repo.plots"),
    *("dvc.stage", "dvc_data.index", "dvc_render", "celery", "networkx", "sqltrie", "s3fs", "sshfs"),
    *("torch", "torch.distributed.run", "torch.onnx", "onnx", "safetensors.numpy", "safetensors.torch", "pandas"),
    *("scipy.stats", "sklearn.datasets", "sklearn.metrics", "matplotlib.pyplot", "matplotlib.backends.backend_agg"),
    *("PIL.Image", "pydantic", "ruamel.yaml", "requests", "psutil", "filelock"),
)
LARGEST = 2**17
NO = b"no"
PROJECT = str(Path(__file__).parents[2])
SUPPORTED = hasattr(os, "pidfd_open")
"""On Linux."""


# --- who asks; standard library only, as the `python` that DVC starts is this ---


def ask(place: str, arguments: list[str], folder: Path, environment: dict[str, str], out: int, err: int) -> int | None:
    """Have the server at `place` run `python` with these arguments; the exit status, or None where it does not run such."""
    if arguments[:1] != ["-m"] or not arguments[1].startswith(MODULES):
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.connect(place)
        request = json.dumps([arguments, str(folder), environment]).encode()
        assert len(request) < LARGEST
        socket.send_fds(server, [request], [0, out, err])
        status = server.recv(16)
    return None if status == NO else int(status)


def python_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Those that Python reads when it starts; not this project as a place to import from, which the forked process heeds."""
    settings = {name: value for name, value in environment.items() if name.startswith("PYTHON")}
    return {name: value for name, value in settings.items() if (name, value) != ("PYTHONPATH", PROJECT)}


def commands(place: str) -> Path:
    """A folder with a `python` and a `dvc` that ask the server."""
    folder = Path(place).parent / "bin"
    folder.mkdir()
    asks = " ".join([shlex.quote(sys.executable), "-IS", shlex.quote(__file__), "ask", shlex.quote(place)])
    for name, module in (("python", ""), ("dvc", "-m dvc ")):
        (folder / name).write_text(f'#!/bin/sh\nexec {asks} {module}"$@"\n', encoding="utf-8")
        (folder / name).chmod(0o755)
    return folder


@cache
def started() -> tuple[str, Path]:
    """The server of this process, which ends with it: its socket, and the folder of `commands`."""
    folder = tempfile.TemporaryDirectory(prefix="warm-")
    atexit.register(folder.cleanup)
    place = f"{folder.name}/socket"
    command = [sys.executable, __file__, "serve", place]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    assert server.stdin and server.stdout
    atexit.register(server.wait)
    atexit.register(server.stdin.close)
    assert server.stdout.readline() == b"ready\n"
    return place, commands(place)


def on_path(environment: dict[str, str]) -> dict[str, str]:
    """The environment with the `commands` first on PATH, where there is a server."""
    if not SUPPORTED:
        return environment
    return environment | {"PATH": f"{started()[1]}{os.pathsep}{environment['PATH']}"}


def python() -> str:
    """For those that start `sys.executable`."""
    return str(started()[1] / "python") if SUPPORTED else sys.executable


def run(arguments: list[str], folder: Path, environment: dict[str, str], said: IO[bytes]) -> int:
    """`python` with these arguments, and what it starts by that name, from the server; all that they print goes to `said`."""
    if SUPPORTED:
        status = ask(started()[0], arguments, folder, on_path(environment), said.fileno(), said.fileno())
        if status is not None:
            return status
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=folder, env=environment, stdout=said, stderr=said, check=False).returncode


# --- the server ---


def serve(place: str) -> list[str]:
    """Fork for each request. The forked process returns, as what was asked for, with its arguments; the server never does."""
    selector = selectors.DefaultSelector()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(place)
    listener.listen(64)
    selector.register(listener, selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    print("ready", flush=True)
    running: dict[int, socket.socket] = {}
    while True:
        for key, _ in selector.select():
            if key.fileobj is sys.stdin:
                for pid in running:
                    os.kill(pid, signal.SIGKILL)
                sys.exit()
            elif key.fileobj is listener:
                client, _ = listener.accept()
                request, streams, _, _ = socket.recv_fds(client, LARGEST, 3)
                arguments, folder, environment = json.loads(request)
                can_run = python_settings(environment) == python_settings(os.environ)
                pid = os.fork() if can_run else None
                if pid == 0:
                    selector.close()
                    for connection in (listener, client, *running.values()):
                        connection.close()
                    become(folder, environment, streams)
                    return list(arguments)
                for stream in streams:
                    os.close(stream)
                if pid is None:
                    client.sendall(NO)
                    client.close()
                    continue
                running[pid] = client
                selector.register(os.pidfd_open(pid), selectors.EVENT_READ, pid)
                selector.register(client, selectors.EVENT_READ, pid)
            elif key.fileobj is running.get(key.data):  # who asked has gone
                selector.unregister(key.fileobj)
                os.kill(key.data, signal.SIGKILL)
            elif isinstance(key.fileobj, int):
                selector.unregister(key.fileobj)
                os.close(key.fileobj)
                client = running.pop(key.data)
                status = os.waitstatus_to_exitcode(os.waitpid(key.data, 0)[1])
                with suppress(KeyError, OSError):
                    selector.unregister(client)
                    client.sendall(str(status).encode())
                client.close()


def become(folder: str, environment: dict[str, str], streams: list[int]) -> None:
    """Take over the request's folder, environment and streams."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)


def exit_status(leaving: SystemExit) -> int:
    """What Python makes of a `sys.exit`."""
    if leaving.code is None or isinstance(leaving.code, int):
        return leaving.code or 0
    print(leaving.code, file=sys.stderr)
    return 1


def leave(status: int) -> NoReturn:
    """End as Python does, but for taking the libraries to pieces, which this process shares with the server."""
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    task, place, *rest = sys.argv[1:]
    if task == "ask":
        status = ask(place, rest, Path.cwd(), dict(os.environ), 1, 2)
        if status is None:
            os.execv(sys.executable, [sys.executable, *rest])
        sys.exit(status if status >= 0 else 128 - status)
    import gc
    import importlib

    for name in IMPORTS:
        with suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()
    _, module, *rest = serve(place)
    sys.path[:1] = [str(Path.cwd()), *([PROJECT] if os.environ.get("PYTHONPATH") == PROJECT else [])]
    sys.argv = ["-m", *rest]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as leaving:
        status = exit_status(leaving)
    except BaseException:
        traceback.print_exc()
        status = 1
    leave(status)
