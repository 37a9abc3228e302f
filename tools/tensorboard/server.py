"""The TensorBoard server as a process of its own, and what keeps its run in step with the workspace."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from classifier.common.errors import UserError, one_line
from record.results import HISTORY
from tools.tensorboard.runs import WATCHED, remove_run

HOST = "localhost"
SECONDS_TO_END = 10
OPTIONS = ["--reload_interval=2", "--reload_multifile=true", "--samples_per_plugin=scalars=1000000"]
"""Where TensorBoard has no quick reader for the machine, only the second one makes it see that a run was replaced. Without the
third one it shows 1,000 points of a curve, drawn at random."""


def check_port(port: int) -> None:
    """Raise UserError unless a server can listen on `port`; 0 is any free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(f"--port {port}: {error.strerror}; choose another one, or --port 0 for any free one") from None


@contextmanager
def serve(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
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


_State = list[tuple[int, int, int] | None]


class Watch:
    """Call `look` now and then: when a file has changed, it calls `rewrite`, and `say` with those of its lines that are new."""

    def __init__(self, run_folder: Path, rewrite: Callable[[], list[str]], say: Callable[[list[str]], None]) -> None:
        self._run_folder, self._rewrite, self._say = run_folder, rewrite, say
        self._seen: _State | None = None
        self._problem = ""
        self._said: list[str] = []

    def look(self) -> None:
        """What is wrong is told when it is so twice: DVC does not write dvc.lock in one step. The next change may mend it."""
        now = _state()
        if now == self._seen:
            return
        try:
            self._tell(self._rewrite() if Path(HISTORY).is_file() else self._wait())
        except (UserError, OSError) as error:
            problem = one_line(error)
            if problem == self._problem:
                self._tell([f"{problem}; still watching"])
            self._problem = problem
        else:
            self._seen, self._problem = now, ""

    def _wait(self) -> list[str]:
        remove_run(self._run_folder)  # or the new run would keep what the server has read of the old one
        return [f"{self._run_folder}: waiting for the first epoch"]

    def _tell(self, lines: list[str]) -> None:
        self._say([line for line in lines if line not in self._said])
        self._said = lines


def _state() -> _State:
    """Inode, size and time of each file that the run is made from; None where it is not there."""
    found: _State = []
    for name in WATCHED:
        try:
            status = Path(name).stat()
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
        except OSError:
            found.append(None)
    return found
