"""A `dvc` process that is killed: which stage of it runs, what it leaves, and what must hold of that."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil

from record.lock_file import lock_file_problem
from tests.support.pipeline import Repository

STAGES = ["download", "convert", "build", "weights", "train", "evaluate", "plot"]
MADE = ["data", "models", "metrics", "plots", "dvc.lock", ".dvc/cache", ".dvc/tmp"]
GROWING = {"metrics/train.json", "plots/history.csv", "plots/steps.csv"}
"""What `train` writes before its first epoch, and anew after every one."""
EPOCHS = 40
SECONDS_FOR_AN_ORPHAN = 15
"""A second, on a machine that does nothing else."""


def outputs(root: Path) -> dict[str, bytes]:
    files = [file for folder in MADE[:4] for file in (root / folder).rglob("*") if file.is_file() and file.name != ".gitignore"]
    lock = [root / "dvc.lock"] if (root / "dvc.lock").exists() else []
    return {str(file.relative_to(root)): file.read_bytes() for file in sorted(files + lock)}


def wipe(repository: Repository) -> None:
    for name in MADE:
        path = repository.root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    bring_back_ignored(repository)


def bring_back_ignored(repository: Repository) -> None:
    """Put .gitignore files back. A dvc killed before it writes one, or that skips a stage, leaves data to `git add`."""
    repository.git("checkout", "--", ":(glob)**/.gitignore")


def start(repository: Repository, *arguments: str) -> subprocess.Popen[bytes]:
    """`dvc` as the leader of a process group, as a shell starts it. What it says goes to a file beside the repository."""
    with printed(repository).open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "dvc", *(arguments or ["repro"])],
            cwd=repository.root,
            env=repository.environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def printed(repository: Repository) -> Path:
    return repository.root.parent / "printed.log"


def running_stage(dvc: subprocess.Popen[bytes]) -> psutil.Process | None:
    """The Python process of a stage below `dvc`, if there is one now; not the shell that some systems leave in between."""
    try:
        below = psutil.Process(dvc.pid).children(recursive=True)
        return next((process for process in below if process.cmdline()[1:2] == ["-m"]), None)
    except psutil.Error:
        return None


def name_of(stage: psutil.Process | None) -> str:
    """The name of a stage, or "between" when there is none any more."""
    try:
        return stage.cmdline()[2].removeprefix("stages.") if stage else "between"
    except (psutil.Error, IndexError):
        return "between"


def kill(dvc: subprocess.Popen[bytes], kind: str) -> str:
    """Kill dvc alone, its stage alone, or all of them; return the name of the stage that ran, or "between"."""
    stage = running_stage(dvc)
    name = name_of(stage)
    if kind == "stage" and stage:
        try:
            stage.kill()
        except psutil.NoSuchProcess:  # its work was done
            name = "between"
    elif kind == "group":
        os.killpg(dvc.pid, signal.SIGKILL)
    else:
        dvc.kill()
    dvc.wait(timeout=120)
    assert stage is None or ended(stage, SECONDS_FOR_AN_ORPHAN), "a stage outlived its dvc"
    return name


def mend_lock(root: Path) -> None:
    """Delete a dvc.lock, or a table of DVC's locks, that a kill caught half-written, as `make doctor` says."""
    if lock_file_problem(root):
        (root / "dvc.lock").unlink()
    table = root / ".dvc/tmp/rwlock"
    try:
        json.loads(table.read_text() if table.exists() else "{}")
    except ValueError:
        table.unlink()


def ended(process: psutil.Process, seconds: float) -> bool:
    """Whether `process` ends within `seconds`. One that nobody waits for counts as ended: not every init process does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def assert_nothing_is_half(root: Path, straight: dict[str, bytes]) -> None:
    """What is there under a declared name is what the straight run made; the growing files are the start of it."""
    for name, content in outputs(root).items():
        if ".partial" in name or name == "dvc.lock":
            continue
        if name == "metrics/train.json":
            metrics = json.loads(content)
            assert metrics == {"train_epoch": 0} or 1 <= metrics["train_best_epoch"] <= metrics["train_epoch"]
        elif name in ("plots/history.csv", "plots/steps.csv"):
            assert straight[name].startswith(content)
            assert list(pd.read_csv(root / name).columns)[1:3] == ["train_loss", "train_accuracy"]
        else:
            assert content == straight[name], f"{name} is not what the straight run made"


def assert_cache_is_intact(root: Path) -> None:
    # A killed DVC leaves temporary files there, whose names start with a dot.
    for file in (root / ".dvc/cache/files/md5").glob("??/[!.]*"):
        name = file.parent.name + file.name.removesuffix(".dir")
        assert hashlib.md5(file.read_bytes()).hexdigest() == name


def retrain(repository: Repository) -> None:
    """Leave train to be run again: its outputs and what DVC remembers of it are gone."""
    for name in ("models", "metrics", "plots", ".dvc/cache/runs"):
        shutil.rmtree(repository.root / name, ignore_errors=True)
    bring_back_ignored(repository)
    lock = repository.read("dvc.lock")
    (repository.root / "dvc.lock").write_text(lock[: lock.index("  train:\n")] if "  train:\n" in lock else lock)
