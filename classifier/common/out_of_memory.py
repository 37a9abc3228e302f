"""Memory that has run out, which Python, NumPy and torch each tell in another way."""

import re

AMOUNT = re.compile(r"allocate (?P<number>[0-9]+(\.[0-9]+)?)\.? (?P<unit>bytes|[KMGTPE]iB)")


def missing_memory(error: BaseException) -> str | None:
    """What could not be had, for an error's line: "memory", with its amount where that is told; None for any other error.

    torch has torch.OutOfMemoryError for a GPU, and on a CPU a RuntimeError in which its allocator is named.
    """
    of_gpu = type(error).__name__ == "OutOfMemoryError"
    if not (of_gpu or isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error)):
        return None
    found = AMOUNT.search(str(error))
    return (f"{found['number']} {found['unit']} of " if found else "") + ("the GPU's memory" if of_gpu else "memory")
