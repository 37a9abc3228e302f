"""Memory that runs out, which Python, NumPy and torch each tell in another way, told on one line."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from classifier.common.errors import UserError

AMOUNT = re.compile(r"allocate (?P<number>[0-9]+(\.[0-9]+)?)\.? (?P<unit>bytes|[KMGTPE]iB)")


@contextmanager
def memory_told(smaller: str = "") -> Iterator[None]:
    """Raise UserError in place of any error that means this; the param `smaller`, where there is one, would need less."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        missing = _missing(error)
        if missing is None:
            raise
        lower = f" or lower {smaller}" if smaller else ""
        raise UserError(f"out of memory: {missing} could not be had; free some{lower}, and run it again") from None


def _missing(error: Exception) -> str | None:
    """What could not be had, with its amount where that is told; None for any other error.

    torch has torch.OutOfMemoryError for a GPU, and on a CPU a RuntimeError in which its allocator is named.
    """
    of_gpu = type(error).__name__ == "OutOfMemoryError"
    if not (of_gpu or isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error)):
        return None
    found = AMOUNT.search(str(error))
    return (f"{found['number']} {found['unit']} of " if found else "") + ("the GPU's memory" if of_gpu else "memory")
