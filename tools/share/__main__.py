"""Bring the results that dvc.lock names to a shared storage (a remote of DVC), fetch them from there, or ask what it holds.

DVC copies the files. What is there is looked at before and after, and every failure is one line.

Exit status: 0; 1 when something is lacking or cannot be reached; 2 for a wrong command line; 130 after Ctrl-C.
"""

import argparse
import getpass
import os
from typing import NoReturn

from tools.command import run_command

COMMANDS = ("push", "pull", "status")


def main(arguments: list[str] | None = None) -> int:
    """Do it, say what was done, and return the exit status."""
    options = _options(arguments)
    if not _has_terminal():
        getpass.getpass = _ask_nobody
    from tools.share.storage import open_storage  # DVC takes a second to import: not for --help
    from tools.share.transfers import pull, push, status

    with open_storage(options.remote) as storage:
        print({"push": push, "pull": pull, "status": status}[options.command](storage))
    return 0


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        return False
    return True


def _ask_nobody(*arguments: object, **options: object) -> NoReturn:
    """In place of a prompt for a password, which would wait in a log for an answer."""
    raise PermissionError("a password is asked for, and there is no terminal to type it")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.share", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("command", choices=COMMANDS, help="to the storage, from the storage, or only look")
    parser.add_argument("-r", "--remote", metavar="NAME", help="a remote of DVC (the default one)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main, tidy_when_ended=True)
