"""How a tool that a person runs ends: with a status, and with one line where something is wrong."""

import io
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

from classifier.common.errors import UserError
from classifier.common.out_of_memory import memory_told
from stages.runner import one_line
from tools.visible import visible

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
        with memory_told():
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
