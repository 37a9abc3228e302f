"""Memory that runs out, which Python, NumPy and torch each tell in another way, told on one line."""

import errno
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from classifier.common.errors import UserError

WORDS = (
    "DefaultCPUAllocator",
    "out of memory",
    "ALLOC_FAILED",
    "bad_alloc",
    "Cannot allocate memory",
    "can't start new thread",
)
"""Of the RuntimeErrors of torch's parts and of Python's threads that mean this."""
AMOUNT = re.compile(r"allocate (?P<number>[0-9]+(\.[0-9]+)?)\.? (?P<unit>bytes|[KMGTPE]i?B)")


@contextmanager
def memory_told(smaller: str = "") -> Iterator[None]:
    """Raise UserError in place of any error that means this; the param `smaller`, where there is one, would need less."""
    try:
        yield
    except (MemoryError, OSError, RuntimeError) as error:
        if not _is_meant_by(error):
            raise
        traceback.clear_frames(error.__traceback__)  # they hold what there was no more room beside
        missing = _missing(error)
        lower = f" or lower {smaller}" if smaller else ""
        raise UserError(f"out of memory: {missing} could not be had; free some{lower}, and run it again") from None


def _is_meant_by(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or any(words in str(error) for words in WORDS)


def _missing(error: Exception) -> str:
    """What could not be had, with its amount where that is told."""
    of_gpu = any(name in str(error) for name in ("CUDA", "CUBLAS", "CUDNN", "MPS"))
    found = AMOUNT.search(str(error))
    return (f"{found['number']} {found['unit']} of " if found else "") + ("the GPU's memory" if of_gpu else "memory")
