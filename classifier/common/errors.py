"""What a person can mend, on one line: UserError, and how its text shows what came; memory that runs out."""

import errno
import re
import reprlib
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

MAX_SHOWN = 80
MAX_MESSAGE = 400

_SHORT = reprlib.Repr()
_SHORT.maxlevel = 3
_SHORT.maxstring = _SHORT.maxother = MAX_SHOWN


class UserError(ValueError):
    """Bad input. Its text is one line: where, what was needed, what came, what to do.

    Stages and tools print it without a traceback and exit with status 1. Our own bugs are `assert`s instead.
    """


class PeerLostError(UserError):
    """Another process of the job is gone: the error of that one is the one to print."""


def short_repr(value: object) -> str:
    """`value` for an error's text: its repr, at most 80 characters and three levels of it.

    A few lines of YAML aliases can nest so deeply that the whole repr would not fit into memory.
    """
    try:
        return _SHORT.repr(value)[:MAX_SHOWN]
    except ValueError:  # Python does not write out numbers of more than 4300 digits
        return "a number too long to show"


def short_message(error: Exception) -> str:
    """What a library says of bad input, on one line of at most 400 characters: some quote all that they were given."""
    text = " ".join(str(error).split())
    return text if len(text) <= MAX_MESSAGE else f"{text[: MAX_MESSAGE - 1]}…"


WORDS = (
    "DefaultCPUAllocator",
    "out of memory",
    "ALLOC_FAILED",
    "bad_alloc",
    "Cannot allocate memory",
    "failed to map segment from shared object",
)
"""Of the errors of torch's parts, and of imports, that mean this."""
OF_THREADS = re.compile(r"can't start new thread|pthread_create failed|^Resource temporarily unavailable$")
"""Of those that mean that no new thread is to be had."""
AMOUNT = re.compile(r"allocate (?P<number>[0-9]+(\.[0-9]+)?)\.? (?P<unit>bytes|[KMGTPE]i?B)")


@contextmanager
def memory_errors(smaller: str = "") -> Iterator[None]:
    """Raise UserError in place of any error that means this; the param `smaller`, where there is one, would need less."""
    try:
        yield
    except (MemoryError, OSError, RuntimeError, ImportError) as error:
        line = shortage(error, smaller)
        if not line:
            raise
        traceback.clear_frames(error.__traceback__)  # they hold what there was no more room beside
        raise UserError(line) from None


def shortage(error: BaseException, smaller: str = "") -> str:
    """One line on an error that means that memory, threads or processes ran out; empty for any other."""
    while not (said := _shortage(error, smaller)) and (inner := error.__cause__ or error.__context__):
        error = inner
    return said


def _shortage(error: BaseException, smaller: str) -> str:
    no_process = isinstance(error, BlockingIOError) and error.errno == errno.EAGAIN  # as of fork
    if no_process or (isinstance(error, RuntimeError) and OF_THREADS.search(str(error))):
        return (
            "out of memory: no new thread or process could be had, as where a limit is reached, that of `ulimit -u` or of a "
            "container; raise it or end other programs, and run it again"
        )
    is_meant = error.errno == errno.ENOMEM if isinstance(error, OSError) else any(words in str(error) for words in WORDS)
    if not is_meant and not isinstance(error, MemoryError):
        return ""
    lower = f" or lower {smaller}" if smaller else ""
    return f"out of memory: {_missing(error)} could not be had; free some{lower}, and run it again"


def say_uncaught(kind: type[BaseException], error: BaseException, _: object) -> None:
    """For sys.excepthook: one line, and no traceback, where memory or threads run out during imports; nothing on Ctrl-C."""
    if line := shortage(error):
        print(f"error: {line}", file=sys.stderr)
    elif not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, error.__traceback__)


def _missing(error: BaseException) -> str:
    """What could not be had, with its amount where that is known."""
    of_gpu = any(name in str(error) for name in ("CUDA", "CUBLAS", "CUDNN", "MPS"))
    found = AMOUNT.search(str(error))
    return (f"{found['number']} {found['unit']} of " if found else "") + ("the GPU's memory" if of_gpu else "memory")


NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""What the system says where a disk, or a person's share of it, is full."""
_NOT_NAMED = "the standard output or a temporary file"
"""Of the files that we write the others are named: see classifier.common.files.naming."""


def one_line(error: Exception) -> str:
    """The text of an error on one line; of a system error, the file and the system's reason."""
    if isinstance(error, OSError) and error.strerror:
        place = error.filename
        if error.errno in NO_SPACE:
            place = error.filename2 or place or _NOT_NAMED  # the second is what a copy goes to
        if place is not None:
            return " ".join(f"{place}: {error.strerror}".split())
    return " ".join(str(error).split())
