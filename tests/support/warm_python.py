"""The programs of `warm`: the `python` that asks (as each stage pays for its imports, they are few), and the server."""

import marshal
import os
import socket
import sys

MODULES = ("dvc", "stages.", "tools.", "tests.support.", "torch.distributed.run")
IMPORTS = (
    *("dvc.api", "dvc.cli.parser", "dvc.commands.repro", "dvc.repo.reproduce", "dvc.repo.experiments", "dvc.repo.plots"),
    *("dvc.stage", "dvc_data.index", "dvc_render", "celery", "networkx", "sqltrie", "s3fs", "sshfs"),
    *("torch", "torch.distributed.run", "torch.onnx", "onnx", "safetensors.numpy", "safetensors.torch", "pandas"),
    *("scipy.stats", "sklearn.datasets", "sklearn.metrics", "matplotlib.pyplot", "matplotlib.backends.backend_agg"),
    *("PIL.Image", "pydantic", "ruamel.yaml", "requests", "psutil", "filelock"),
)
LARGEST = 2**17
NO = b"no"
PROJECT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120


def ask(place: str, arguments: list[str], folder: str, environment: dict[str, str], out: int, err: int) -> int | None:
    """Have the server at `place` run `python` with these arguments; the exit status, or None where it does not run such."""
    if arguments[:1] != ["-m"] or not arguments[1].startswith(MODULES):
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
        server.connect(place)
        request = marshal.dumps((arguments, folder, environment))
        assert len(request) < LARGEST
        socket.send_fds(server, [request], [0, out, err])
        status = server.recv(16)
    return None if status == NO else int(status)


def become_what_was_asked_for(place: str) -> None:
    """Ask, and end with the status; where the server does not run such, this process does."""
    arguments = sys.argv[3:]
    status = ask(place, arguments, os.getcwd(), dict(os.environ), 1, 2)  # noqa: PTH109
    if status is None:
        os.execv(sys.executable, [sys.executable, *arguments])
    sys.exit(status if status >= 0 else 128 - status)


# --- the server ---


def serve(place: str) -> None:
    """Import the libraries, then fork for each request. The forked process runs it; the server goes on until its input ends."""
    import gc
    import importlib
    from contextlib import suppress

    for name in IMPORTS:
        with suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()
    run_module(*next_request(place))


def next_request(place: str) -> list[str]:
    """Returns in a forked process only, with a request's arguments."""
    import selectors
    import signal
    from contextlib import suppress

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
                arguments, folder, environment = marshal.loads(request)
                can_run = python_settings(environment) == python_settings(dict(os.environ))
                pid = os.fork() if can_run else None
                if pid == 0:
                    selector.close()
                    for connection in (listener, client, *running.values()):
                        connection.close()
                    take_over(folder, environment, streams)
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


def python_settings(environment: dict[str, str]) -> dict[str, str]:
    """Those that Python, or matplotlib, reads when it starts; PYTHONPATH as this project's folder the forked process heeds."""
    settings = {name: value for name, value in environment.items() if name.startswith(("PYTHON", "MPL"))}
    return {name: value for name, value in settings.items() if (name, value) != ("PYTHONPATH", PROJECT)}


def take_over(folder: str, environment: dict[str, str], streams: list[int]) -> None:
    """The folder, the environment and the streams of who asked."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)


def run_module(_: str, module: str, *arguments: str) -> None:
    """As `python -m module` does, and end; only the libraries, which this process shares with the server, are not torn down."""
    import atexit
    import runpy
    import threading
    import traceback

    sys.path[:1] = [os.getcwd(), *([PROJECT] if os.environ.get("PYTHONPATH") == PROJECT else [])]  # noqa: PTH109
    sys.argv = ["-m", *arguments]
    status = 0
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as leaving:
        if isinstance(leaving.code, str):
            print(leaving.code, file=sys.stderr)
        status = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    {"ask": become_what_was_asked_for, "serve": serve}[sys.argv[1]](sys.argv[2])
