"""Push the results that dvc.lock names to a shared storage (a remote of DVC), pull them, or show what it has."""

import argparse
import getpass
import os
from collections.abc import Sized
from typing import NoReturn

from dvc.exceptions import DvcException

from classifier.common.errors import UserError
from tools.command import Parser, run_command
from tools.share.storage import Storage, one_line_for, reason_of

MAKE_THEM = "`make push` where the results were made brings them, or `make repro` makes them here"
MAX_NAMED = 3
AGAIN = "what has arrived is kept; push again to continue"


def push(storage: Storage) -> str:
    """Bring there what it lacks; what was done, in a line. Raises UserError if afterwards anything is not there."""
    here, there = storage.sizes_here(), storage.sizes(storage.outs)
    if nowhere := storage.outs.keys() - here.keys() - there.keys():
        raise UserError(
            f"{storage}: neither it nor DVC's cache here has {storage.names(nowhere)}; `dvc repro` makes what is missing"
        )
    lacking = {md5 for md5, size in here.items() if there.get(md5) != size}
    if not lacking:
        return f"{storage}: has all {_files(storage.outs)} that dvc.lock names"
    with one_line_for(storage):
        for md5 in lacking & there.keys():  # of another length, so not what its name says
            storage.odb.delete(md5)
    storage.transfer(lacking, back=False)
    there = storage.sizes(lacking)
    if failed := [md5 for md5 in lacking if there.get(md5) != here[md5]]:
        raise UserError(f"{storage}: {len(failed)} of {_files(lacking)} did not arrive; {storage.advice}; {AGAIN}")
    return f"{storage}: {_files(lacking)} pushed, {sum(there.values()):,} bytes; has all that dvc.lock names"


def pull(storage: Storage) -> str:
    """Bring into cache and workspace what they lack; what was done, in a line.

    Raises UserError, before anything is fetched, if the storage lacks some of it, and after it if something came damaged.
    """
    lacking = storage.outs.keys() - storage.sizes_here().keys()
    _check_absent(storage, lacking - storage.sizes(lacking).keys(), "nothing was fetched; ")
    storage.transfer(lacking, back=True)
    if damaged := _damaged(lacking - storage.sizes_here().keys()):
        paths = ", ".join(storage.odb.oid_to_path(md5) for md5 in damaged[:MAX_NAMED])
        raise UserError(
            f"{storage}: damaged there: {_files(damaged)} of {storage.names(damaged)} "
            f"({paths}{', …' * (len(damaged) > MAX_NAMED)}); delete that there, then {MAKE_THEM}"
        )
    try:
        storage.repo.checkout()
    except DvcException as error:
        raise UserError(f"fetched into DVC's cache, but not brought into the workspace: {reason_of(error)}") from error
    return f"{storage}: {_files(lacking)} fetched; the workspace has all that dvc.lock names"


def _damaged(absent: set[str]) -> list[str]:
    """Which of those that did not come are to blame: DVC may keep back the list of a folder that lacks one."""
    files = {md5 for md5 in absent if not md5.endswith(".dir")}
    return sorted(files or absent)


def status(storage: Storage) -> str:
    """That it has everything, in a line. Raises UserError if not."""
    here, there = storage.sizes_here(), storage.sizes(storage.outs)
    _check_absent(storage, {md5 for md5 in storage.outs if md5 not in there or here.get(md5, there[md5]) != there[md5]})
    return f"{storage}: has all {_files(storage.outs)} that dvc.lock names, {sum(there.values()):,} bytes"


def _check_absent(storage: Storage, absent: set[str], done: str = "") -> None:
    if absent:
        raise UserError(
            f"{storage}: lacks {len(absent)} of the {_files(storage.outs)} that dvc.lock names, of {storage.names(absent)}; "
            f"{done}{MAKE_THEM}"
        )


def _files(some: Sized) -> str:
    return f"{len(some)} file{'s' * (len(some) != 1)}"


COMMANDS = ("push", "pull", "status")


def main(arguments: list[str] | None = None) -> int:
    """Do it, say what was done, and return the exit status."""
    options = _options(arguments)
    if not _has_terminal():
        getpass.getpass = _ask_nobody
    from tools.share.storage import open_storage  # DVC takes a second to import: not for --help

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
    parser = Parser(
        prog="python -m tools.share",
        description=(__doc__ or "").partition("\n")[0],
        epilog="example: python -m tools.share push --remote storage",
    )
    parser.add_argument("command", choices=COMMANDS, help="upload, download, or only compare")
    parser.add_argument("-r", "--remote", metavar="NAME", help="another remote of DVC than the default one")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main, tidy_when_ended=True)
