"""The TensorBoard server as a process of its own, which ends with us."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from classifier.common.errors import UserError

HOST = "localhost"
SECONDS_TO_END = 10
OPTIONS = ["--reload_interval=2", "--reload_multifile=true"]
"""Where TensorBoard has no quick reader for the machine, only the second one makes it see that a run was replaced."""


def refuse_taken(port: int) -> None:
    """Raise UserError unless a server can listen on `port`; 0 is any free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(f"--port {port}: {error.strerror}; choose another one, or --port 0 for any free one") from None


@contextmanager
def served(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run the server over `folder`, on this machine's own address; it says itself where. It is ended in any case."""
    place = [f"--logdir={folder}", f"--host={HOST}", f"--port={port}"]
    # In a group of its own, a Ctrl-C is ours alone: TensorBoard shows a traceback when a second signal comes while it ends.
    process = subprocess.Popen([sys.executable, "-m", "tensorboard.main", *place, *OPTIONS], process_group=0)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
