"""How a tool that a person runs ends: with a status, and with one line that a terminal can show where something is wrong."""

import io
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from classifier.common.errors import UserError, memory_errors, one_line
from classifier.images.schema import JOINERS

_KEPT = frozenset(f"{JOINERS}\n\N{NO-BREAK SPACE}\N{WORD JOINER}")
"""Python does not count them as printable. The last two are our own: between a figure and its unit, and behind an @."""


def visible(text: str) -> str:
    r"""`text` with the code of each character that cannot be seen, as `\x1b`: colours, turned writing, half characters."""
    return "".join(
        letter if letter.isprintable() or letter in _KEPT else letter.encode("unicode_escape").decode() for letter in text
    )


INTERRUPTED = 130
PIPE_CLOSED = 141
"""What a shell tells of a program that SIGINT or SIGPIPE has ended."""


def run_command(main: Callable[[], int | None], *, tidy_when_ended: bool = False) -> NoReturn:
    """Call `main` and exit with its status; with 1 and one line on bad input, 130 on Ctrl-C, 141 when nobody reads on.

    `tidy_when_ended` is for a tool that has something to put away: SIGTERM and SIGHUP then unwind it, where it would else stop
    at once.
    Texts go to the standard output in UTF-8, whatever the locale: class names may be of any script. Half a character, as YAML
    and the names of files may have one, goes there as its code.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")
    if tidy_when_ended:
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup leaves SIGHUP
                signal.signal(number, _unwind)
    try:
        with memory_errors():
            status = main()
        sys.stdout.flush()
        sys.exit(status)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:  # as of `| head`; what is still to be written must not fail again at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(PIPE_CLOSED)
    except (UserError, OSError) as error:
        sys.exit(f"error: {visible(one_line(error))}")


def _unwind(number: int, frame: object) -> None:
    sys.exit(128 + number)
