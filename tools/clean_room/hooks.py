"""Runs inside the stage's own Python, as its `sitecustomize`: notes which files it opens, and turns folder listings round.

It is copied into a folder on PYTHONPATH beside settings.json, so it uses the standard library and nothing of this repository.
"""

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from typing import Any

LISTINGS = ("os.listdir", "os.scandir")


def note_opened(log: str) -> None:
    """Append a JSON line `[kind, absolute path]` to `log` for each file or folder opened from now on, once each.

    The kind is "read", "write" (reading and writing too) or "list". A file that is then not there is noted all the same.
    """
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    noted = set()

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" and event not in LISTINGS:
            return
        with suppress(Exception):  # whatever fails here must not fail the stage
            path = "." if arguments[0] is None else arguments[0]
            if isinstance(path, int):
                return
            writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            kind = "list" if event in LISTINGS else "write" if writes else "read"
            line = json.dumps([kind, str(Path(os.fsdecode(path)).absolute())])
            if line not in noted:
                noted.add(line)
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
