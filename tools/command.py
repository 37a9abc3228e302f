"""How a tool that a person runs begins and ends: its options, a status, and one line where something is wrong.

It must work where packages are missing (tools.doctor), so that only the standard library is imported.
"""

import argparse
import io
import os
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn

from classifier.common.errors import UserError, memory_errors, one_line
from classifier.common.text import visible

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

INTERRUPTED = 130
PIPE_CLOSED = 141
"""What a shell tells of a program that SIGINT or SIGPIPE has ended."""


class Parser(argparse.ArgumentParser):
    """As argparse has it, which passes over a help that cannot be written."""

    def print_help(self, file: "SupportsWrite[str] | None" = None) -> None:
        """Raises OSError."""
        if file is None:
            print(self.format_help(), end="", flush=True)
        else:
            super().print_help(file)


def run_command(main: Callable[[], int | None], *, tidy_when_ended: bool = False) -> NoReturn:
    """Call `main` and exit with its status; with 1 and one line on bad input, 130 on Ctrl-C, 141 when nobody reads on.

    `tidy_when_ended` is for a tool that has something to put away: SIGTERM and SIGHUP then unwind it, where it would else stop
    at once.
    Texts go to the standard output in UTF-8, whatever the locale: class names may be of any script. Half a character, as YAML
    and the names of files may have one, goes there as its code.
    """
    if isinstance(sys.__stdout__, io.TextIOWrapper):  # DVC, where it is imported, has put one of its own before it
        sys.__stdout__.reconfigure(encoding="utf-8", errors="backslashreplace")
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
    except BrokenPipeError:  # as of `| head`
        _drop_unwritable()
        sys.exit(PIPE_CLOSED)
    except (UserError, OSError) as error:
        if _drop_unwritable() and isinstance(error, OSError) and error.filename is None:
            error.filename = "the standard output"
        sys.exit(f"error: {visible(one_line(error))}")
    except _database_errors() as error:
        sys.exit(f"error: a database of DVC, below .dvc/tmp or /var/tmp, cannot be used ({error}); free some space on its disk")


def _database_errors() -> tuple[type[Exception], ...]:
    """Those of SQLite, if something has loaded it, as DVC does: a Python may lack it."""
    sqlite3 = sys.modules.get("sqlite3")
    return (sqlite3.Error,) if sqlite3 else ()


def _drop_unwritable() -> bool:
    """Whether what was printed cannot be written; it is then dropped, so that it does not fail again at the end."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return True
    return False


def _unwind(number: int, frame: object) -> None:
    sys.exit(128 + number)
