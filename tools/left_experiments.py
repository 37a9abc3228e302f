"""Experiments that were killed in a folder of their own or in the queue: DVC goes on listing them as running.

Read from the notes that DVC 3.67 keeps of them (dvc/repo/experiments/queue/tempdir.py, celery.py; dvc_task/proc/process.py).
"""

import json
import shlex
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from tools.dvc_locks import is_alive

TEMPORARY = Path(".dvc/tmp/exps/standalone")
QUEUED = Path(".dvc/tmp/exps/run")
WORKERS = Path(".dvc/tmp/exps/celery")
RUNNING = 2
"""Of dvc.repo.experiments.executor.base.TaskStatus. Once it is noted, the process works in the experiment's folder."""


def left_experiments(root: Path) -> Iterator[str]:
    """One line for each that was killed, with the command that forgets it."""
    yield from _temporary(root)
    yield from _queued(root)


def _temporary(root: Path) -> Iterator[str]:
    for note in sorted((root / TEMPORARY / "run").glob("*/*.run")):
        told = read_note(note)
        folder = Path(str(told.get("root_dir")))
        if told.get("status") == RUNNING and folder.is_dir() and not _somebody_works_in(folder):
            shown = folder.relative_to(root.resolve()) if folder.is_relative_to(root.resolve()) else folder
            yield (
                f"the experiment {told.get('name')} of `dvc exp run --temp` was killed and stays listed as running; the same "
                f"command goes on where it was; `rm -rf {shlex.quote(str(shown))}` forgets this one"
            )


def _queued(root: Path) -> Iterator[str]:
    if any(_runs(read_note(worker)) for worker in (root / WORKERS).glob("*.json")):
        return  # it notes itself what ends
    for note in sorted((root / QUEUED).glob("*/*.json")):
        process = read_note(note)
        name = read_note(note.with_suffix(".run")).get("name")
        if name and "returncode" in process and process["returncode"] is None and not _runs(process):
            yield (
                f"the queued experiment {name} was killed and stays listed as running; queue the same again and it goes on "
                f"where it was; `dvc queue kill {name} && dvc queue remove {name}` forgets this one"
            )


def read_note(note: Path) -> dict[str, Any]:
    """A note of DVC; empty where there is none, or half of one."""
    try:
        values = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def _runs(process: dict[str, Any]) -> bool:
    pid = process.get("pid")
    return isinstance(pid, int) and is_alive(pid)


def _somebody_works_in(folder: Path) -> bool:
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if Path(process.cwd()).is_relative_to(folder):
                return True
    return False
