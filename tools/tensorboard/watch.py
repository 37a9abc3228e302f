"""Keeps the workspace's run in runs/ as the files are that `train` rewrites after every epoch."""

from collections.abc import Callable
from pathlib import Path

from classifier.common.errors import UserError
from stages.runner import one_line
from tools.review.results import HISTORY
from tools.tensorboard.folders import remove_run
from tools.tensorboard.run import WATCHED

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
