"""Who holds DVC's locks: read from the tables that DVC keeps of them. Only the standard library, for `make doctor`.

A holder that was killed stays in its table until another command asks for the same path.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXPERIMENTS_TABLE = Path(".dvc/tmp/exps/rwlock")
TABLES = (Path(".dvc/tmp/rwlock"), EXPERIMENTS_TABLE)
WORKSPACE_RUN = Path(".dvc/tmp/exps/run/workspace/workspace.json")
"""Names the process of the experiment that runs in the workspace, which holds no path between two stages."""
READINGS = 10
SECONDS_BETWEEN_READINGS = 0.05


class DamagedTable(ValueError):
    """A table that DVC stops at, as a kill or a power cut leaves it."""


@dataclass(frozen=True)
class Holder:
    """A process that reads or writes `path`, and its command."""

    path: str
    pid: int
    command: str


def living_processes(root: Path) -> dict[int, str]:
    """The commands of DVC that are at work in `root`, by process. Damaged tables are passed over."""
    found = {holder.pid: holder.command for table in TABLES for holder in _known_holders(root / table) if is_alive(holder.pid)}
    try:
        pid = json.loads((root / WORKSPACE_RUN).read_text(encoding="utf-8"))["pid"]
    except (OSError, ValueError, KeyError, TypeError):
        return found
    return {pid: "dvc exp run"} | found if isinstance(pid, int) and is_alive(pid) else found


def left_by_killed(root: Path) -> set[str]:
    """What dead processes still hold in the table of experiments."""
    return {holder.path for holder in _known_holders(root / EXPERIMENTS_TABLE) if not is_alive(holder.pid)}


def damaged_tables(root: Path) -> list[Path]:
    """The tables that DVC would stop at."""
    return [root / table for table in TABLES if _is_damaged(root / table)]


def holders(table: Path) -> list[Holder]:
    """Everyone in `table`; nobody where there is no such file. Raises DamagedTable.

    It is read again before it counts as damaged: DVC may be writing it.
    """
    for reading in range(READINGS):
        try:
            return [*_parse(json.loads(table.read_text(encoding="utf-8")))]
        except FileNotFoundError:
            return []
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            damage = error
        if reading < READINGS - 1:
            time.sleep(SECONDS_BETWEEN_READINGS)
    raise DamagedTable(f"{table}: not a table of locks: {damage}")


def _known_holders(table: Path) -> list[Holder]:
    try:
        return holders(table)
    except DamagedTable:
        return []


def _is_damaged(table: Path) -> bool:
    try:
        holders(table)
    except DamagedTable:
        return True
    return False


def _parse(values: Any) -> Iterator[Holder]:
    """Of what dvc.rwlock.SCHEMA allows; anything else raises an error."""
    if values.keys() - {"read", "write"}:
        raise ValueError("unknown keys")
    for path, readers in values.get("read", {}).items():
        if not isinstance(readers, list):
            raise TypeError("readers are a list")
        for reader in readers:
            yield _holder(path, reader)
    for path, writer in values.get("write", {}).items():
        yield _holder(path, writer)


def _holder(path: str, entry: dict[str, Any]) -> Holder:
    pid, command = entry["pid"], entry["cmd"]
    if not isinstance(pid, int) or not isinstance(command, str):
        raise TypeError("a holder has a number and a command")
    return Holder(path, pid, command)


def is_alive(pid: int) -> bool:
    """Whether there is a process `pid`. One that was given the number of a dead one counts too, as it does for DVC."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True
