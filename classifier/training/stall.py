"""Says once when a training makes no step for a long time, and what it waits for."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

SECONDS = 300.0
DISTRIBUTED = "distributed.py"


class StallNotice:
    """While it is open, `steps` of the caller is read every `seconds`: when it has not moved, one line, and no more after it.

    A thread of its own does that. It changes no number, and the loop does nothing for it but count. It has ended when this is
    left: a thread that frees tensors while Python shuts down makes the process abort.
    """

    def __init__(self, steps: Callable[[], int], *, seconds: float = SECONDS) -> None:
        self._steps = steps
        self._seconds = seconds
        self._closed = threading.Event()
        self._watched = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, name="stall notice", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        before = self._steps()
        while not self._closed.wait(self._seconds):
            now = self._steps()
            if now == before:
                where = waits_for(sys._current_frames().get(self._watched))
                print(f"train: no step for {self._seconds:g} seconds, after step {now}: {where}", file=sys.stderr, flush=True)
                return
            before = now


def waits_for(frame: FrameType | None) -> str:
    """The innermost line of this project that `frame` is in."""
    package = Path(__file__).parents[1]
    while frame is not None:
        file = Path(frame.f_code.co_filename)
        if file.is_relative_to(package):
            what = "another process" if file.name == DISTRIBUTED else "the processor or the disk"
            place = f"{package.name}/{file.relative_to(package)}:{frame.f_lineno}"
            return f"it waits for {what}, in {frame.f_code.co_name} ({place})"
        frame = frame.f_back
    return "it waits outside of this project's code"
