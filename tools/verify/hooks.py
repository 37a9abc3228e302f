"""Runs inside the stage's own Python, as its `sitecustomize`: notes what it opens and changes, and turns folder listings round.

It is copied into a folder on PYTHONPATH beside settings.json, so it uses the standard library and nothing of this repository.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from itertools import takewhile
from pathlib import Path
from typing import Any

LISTINGS = {"os.listdir", "os.scandir", "pathlib.Path.glob", "pathlib.Path.rglob"}
WRITES = {"os.truncate", "sqlite3.connect"}
"""Events that write the file at their first argument, wherever a link there leads."""
CHANGES = {
    "os.mkdir": [(0, 2)],
    "os.remove": [(0, 1)],
    "os.rename": [(0, 2), (1, 3)],
    "os.rmdir": [(0, 1)],
    "os.symlink": [(1, 2)],
}
"""Events that change which names a folder has: where a path is among their arguments, and the folder that it is relative to."""
CREATES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


def opened_paths(event: str, arguments: tuple[Any, ...]) -> Iterator[tuple[str, str]]:
    """(kind, absolute path) of each file or folder that an event of Python's audit hooks is about."""
    if event == "open" and not isinstance(arguments[0], int):
        yield "write" if arguments[2] & CREATES else "read", _absolute(arguments[0])
    elif event.startswith("pathlib.Path.") and event in LISTINGS:
        yield "list", _absolute(Path(arguments[0], _before_wildcards(arguments[1])))
    elif event in LISTINGS and not isinstance(arguments[0], int):
        yield "list", _absolute(arguments[0] or ".")
    elif event in WRITES and not isinstance(arguments[0], int):
        name = os.fsdecode(arguments[0])
        if event == "sqlite3.connect" and name.startswith("file:"):
            name = name.removeprefix("file:").partition("?")[0]
        if name not in ("", ":memory:"):
            yield "write", _absolute(name)
    elif event == "os.link":
        yield "read", _entry(arguments[0], arguments[2])
        yield "change", _entry(arguments[1], arguments[3])
    elif event in CHANGES:
        paths = [_entry(arguments[path], arguments[folder]) for path, folder in CHANGES[event]]
        # That a folder be there is often asked of one that is.
        yield from (("change", path) for path in paths if not (event == "os.mkdir" and Path(path).is_dir()))


def _absolute(path: Any) -> str:
    return str(Path(os.fsdecode(path)).absolute())


def _before_wildcards(pattern: str) -> str:
    """The folder that a pattern names outright: of a/b/*.md, a/b. `Path.glob` says nothing more when that is not there."""
    parts = Path(pattern).parts
    known = list(takewhile(lambda part: not set(part) & set("*?["), parts))
    return str(Path(*(known if len(known) < len(parts) else known[:-1])))


def _entry(path: Any, folder: int) -> str:
    """The path of an entry of a folder, links resolved but for its own: it may be gone when the log is read.

    `folder` is -1, or the descriptor of an open folder that the path is relative to, which Linux can name.
    """
    name = Path(os.fsdecode(path))
    if folder >= 0:
        name = Path(f"/proc/self/fd/{folder}").readlink() / name
    return str(Path(os.path.realpath(name.parent), name.name))


def note_opened(log: str) -> None:
    """Append a JSON line `[kind, absolute path]` to `log` for each file or folder opened or changed from now on, once each.

    The kind is "read", "write" (reading and writing too), "list" or "change" (made, renamed, removed). What is not there, or
    fails, is noted all the same.
    """
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    known = set()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        with suppress(Exception):  # whatever fails here must not fail the stage
            for kind, path in opened_paths(event, arguments):
                line = json.dumps([kind, path])
                if line not in known:
                    known.add(line)
                    os.write(descriptor, f"{line}\n".encode())

    sys.addaudithook(hook)


class Entries:
    """What os.scandir returns: an iterator that can be closed and stand in a `with`."""

    def __init__(self, entries: Iterable["os.DirEntry[Any]"]) -> None:
        self._entries = iter(entries)

    def __iter__(self) -> Iterator["os.DirEntry[Any]"]:
        return self._entries

    def __next__(self) -> "os.DirEntry[Any]":
        return next(self._entries)

    def __enter__(self) -> "Entries":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let no more entries come."""
        self._entries = iter(())


def turn_listings_round(room: str, orders: dict[str, list[str]]) -> None:
    """Let os.listdir and os.scandir list folders of `room` in the reverse of the usual order.

    `orders` is the usual order of the names in a folder, given relative to `room`; in other folders it is the alphabetical one.
    """
    listdir, scandir = os.listdir, os.scandir
    ranks = {folder: {name: rank for rank, name in enumerate(names)} for folder, names in orders.items()}

    def rank(folder: Any, name: Any) -> tuple[int, Any]:
        known = ranks.get(str(Path(os.fsdecode(folder)).resolve().relative_to(room)), {})
        return known.get(os.fsdecode(name), -1), name

    def inside(folder: Any) -> bool:
        return not isinstance(folder, int) and Path(os.fsdecode(folder)).resolve().is_relative_to(room)

    def listdir_reversed(path: Any = ".") -> Any:
        names = listdir(path)
        return sorted(names, key=lambda name: rank(path, name), reverse=True) if inside(path) else names

    def scandir_reversed(path: Any = ".") -> Any:
        if not inside(path):
            return scandir(path)
        with scandir(path) as entries:
            return Entries(sorted(entries, key=lambda entry: rank(path, entry.name), reverse=True))

    os.listdir, os.scandir = listdir_reversed, scandir_reversed
    os.supports_fd.update({listdir_reversed, scandir_reversed})  # shutil asks for it


def run_shadowed(folder: str) -> None:
    """Run the sitecustomize that Python would have found without ours, which is in `folder`."""
    spec = PathFinder.find_spec("sitecustomize", [entry for entry in sys.path if entry != folder])
    if spec and spec.loader:
        spec.loader.exec_module(module_from_spec(spec))


if __name__ == "sitecustomize":
    _folder = str(Path(__file__).parent)
    _settings = json.loads(Path(_folder, "settings.json").read_text(encoding="utf-8"))
    turn_listings_round(_settings["room"], _settings["orders"])
    note_opened(_settings["log"])
    run_shadowed(_folder)
