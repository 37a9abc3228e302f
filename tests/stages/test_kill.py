"""Real `dvc repro` processes killed at random moments: what is there is never half, and the end is that of a straight run."""

import hashlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import psutil
import pytest

from record.killed import interrupted_experiment
from record.lock_file import lock_file_problem
from tests.support.pipeline import Committed, Repository
from tools.check import problems

STAGES = ["download", "convert", "build", "weights", "train", "evaluate", "plot"]
MADE = ["data", "models", "metrics", "plots", "dvc.lock", ".dvc/cache", ".dvc/tmp"]
GROWING = {"metrics/train.json", "plots/history.csv", "plots/steps.csv"}
"""What `train` rewrites after every epoch."""
EPOCHS = 60
SECONDS_FOR_AN_ORPHAN = 15
"""A second, on a machine that does nothing else."""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The digits, run and committed, with enough epochs that a good part of the time is training."""
    return Committed(tmp_path_factory.mktemp("kill") / "project", tmp_path_factory, epochs=EPOCHS, eval_every=30)


@pytest.fixture(scope="module")
def straight(repository: Repository) -> dict[str, bytes]:
    """Every output of a run that nothing disturbed, and its dvc.lock."""
    return outputs(repository.root)


def outputs(root: Path) -> dict[str, bytes]:
    files = [file for folder in MADE[:4] for file in (root / folder).rglob("*") if file.is_file() and file.name != ".gitignore"]
    lock = [root / "dvc.lock"] if (root / "dvc.lock").exists() else []
    return {str(file.relative_to(root)): file.read_bytes() for file in sorted(files + lock)}


def wipe(repository: Repository) -> None:
    for name in MADE:
        path = repository.root / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    repository.git("checkout", "--", ":(glob)**/.gitignore")  # a dvc killed before it wrote one would leave data to `git add`


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
            assert json.loads(content)["best_epoch"] >= 1
        elif name in ("plots/history.csv", "plots/steps.csv"):
            assert straight[name].startswith(content)
            assert len(pd.read_csv(root / name)) >= 1
        else:
            assert content == straight[name], f"{name} is not what the straight run made"


def assert_cache_is_intact(root: Path) -> None:
    # A killed DVC leaves temporary files there, whose names start with a dot.
    for file in (root / ".dvc/cache/files/md5").glob("??/[!.]*"):
        name = file.parent.name + file.name.removesuffix(".dir")
        assert hashlib.md5(file.read_bytes()).hexdigest() == name


def ended_before(dvc: subprocess.Popen[bytes], rng: random.Random, aim: str | None) -> bool:
    """Wait for a random moment, one in the stage `aim` where there is one; return whether dvc ended well before it."""
    deadline = time.monotonic() + (60 if aim else rng.uniform(0.3, 9))
    while dvc.poll() is None and time.monotonic() < deadline:
        if aim and name_of(running_stage(dvc)) == aim:
            deadline, aim = time.monotonic() + rng.uniform(0, 0.15), None
        time.sleep(0.02)
    assert dvc.returncode in (None, 0)
    return dvc.returncode == 0


def kill_often(repository: Repository, straight: dict[str, bytes], num_kills: int, seed: int) -> Counter[str]:
    """Kill `dvc repro` at random moments, a round from nothing after the other; return how often each stage was hit.

    In a round each stage is killed, most of which take no longer than a blink, and three times whatever runs then. It goes on
    until each was hit: one may end between aiming and killing.
    """
    rng = random.Random(seed)
    hits: Counter[str] = Counter()
    rounds = 0
    while hits.total() < num_kills or not set(STAGES) <= hits.keys():
        rounds += 1
        assert rounds <= num_kills, hits
        wipe(repository)
        aims: list[str | None] = [*STAGES]
        for _ in range(3):
            aims.insert(rng.randrange(len(aims)), None)
        for aim in aims[: num_kills - hits.total()] if hits.total() < num_kills else sorted(set(STAGES) - hits.keys()):
            dvc = start(repository)
            if ended_before(dvc, rng, aim):
                wipe(repository)
                continue
            hits[kill(dvc, rng.choice(["dvc", "stage", "group"]))] += 1
            mend_lock(repository.root)
            assert_nothing_is_half(repository.root, straight)
        assert start(repository).wait(timeout=120) == 0
        assert outputs(repository.root) == straight
        assert_cache_is_intact(repository.root)
        assert not list((repository.root / ".dvc/tmp/resume").glob("*.safetensors")), "a finished run leaves no state"
    return hits


def test_killed_at_ten_random_moments_it_ends_with_the_same_bytes(repository: Repository, straight: dict[str, bytes]) -> None:
    hits = kill_often(repository, straight, num_kills=10, seed=1)
    assert set(STAGES) <= hits.keys(), hits
    assert "up to date" in repository.dvc("status")


@pytest.mark.slow
def test_killed_at_a_hundred_random_moments(repository: Repository, straight: dict[str, bytes]) -> None:
    hits = kill_often(repository, straight, num_kills=100, seed=2)
    print(dict(hits))
    assert set(STAGES) <= hits.keys(), hits


def wait_for_epochs(repository: Repository, dvc: subprocess.Popen[bytes], epochs: int, folder: Path | None = None) -> None:
    """Wait until that many epochs stand in the history of the run that goes on."""
    history = (folder or repository.root) / "plots/history.csv"
    deadline = time.monotonic() + 300
    while not history.exists() or history.read_text().count("\n") <= epochs:
        assert time.monotonic() < deadline
        assert dvc.poll() is None, printed(repository).read_text()
        time.sleep(0.02)


def wait_for_state(repository: Repository, dvc: subprocess.Popen[bytes]) -> None:
    """Wait until an epoch is kept. The history tells less: `dvc exp run` puts the committed one there at its start."""
    deadline = time.monotonic() + 300
    while not list((repository.root / ".dvc/tmp/resume").glob("*.safetensors")):
        assert time.monotonic() < deadline
        assert dvc.poll() is None, printed(repository).read_text()
        time.sleep(0.02)


def retrain(repository: Repository) -> None:
    """Leave train to be run again: its outputs and what DVC remembers of it are gone."""
    for name in ("models", "metrics", "plots", ".dvc/cache/runs"):
        shutil.rmtree(repository.root / name, ignore_errors=True)
    lock = repository.read("dvc.lock")
    (repository.root / "dvc.lock").write_text(lock[: lock.index("  train:\n")] if "  train:\n" in lock else lock)


def test_a_killed_training_goes_on_and_does_not_start_anew(repository: Repository, straight: dict[str, bytes]) -> None:
    repository.dvc("repro")
    retrain(repository)
    dvc = start(repository)
    wait_for_epochs(repository, dvc, 5)
    kill(dvc, "dvc")
    mend_lock(repository.root)
    output = repository.dvc("repro")
    assert "where this run was broken off" in output
    assert f"epoch 1/{EPOCHS}" not in output
    assert outputs(repository.root) == straight


def test_ctrl_c_ends_everything_with_our_line_and_the_same_command_goes_on(
    repository: Repository, straight: dict[str, bytes]
) -> None:
    repository.dvc("repro")
    retrain(repository)
    dvc = start(repository)
    wait_for_epochs(repository, dvc, 3)
    stage = running_stage(dvc)
    assert stage
    began = time.monotonic()
    os.killpg(dvc.pid, signal.SIGINT)
    dvc.wait(timeout=120)
    assert time.monotonic() - began < 10
    assert ended(stage, 0.1)
    said = printed(repository).read_text()
    assert "train: interrupted; the same command goes on after the last whole epoch" in said
    assert "Traceback" not in said
    assert "where this run was broken off" in repository.dvc("repro")
    assert outputs(repository.root) == straight


def test_a_killed_experiment_is_recognised_and_mended_without_loss(repository: Repository, straight: dict[str, bytes]) -> None:
    """The user has an edit of his own, and an experiment is killed in training; check says what to type; it is typed."""
    repository.dvc("repro")
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--allow-empty", "--message", "straight run")
    edited = repository.read("catalogue.yaml") + "# an edit that is not committed\n"
    (repository.root / "catalogue.yaml").write_text(edited)
    shutil.rmtree(repository.root / ".dvc/tmp/resume")
    dvc = start(repository, "exp", "run", "--set-param", "lr=0.003")
    wait_for_state(repository, dvc)
    assert interrupted_experiment(repository.root) is None, "it still runs"
    kill(dvc, "group")
    (repository.root / "metrics/test.json").unlink()
    line = interrupted_experiment(repository.root)
    assert line
    assert line in problems(repository.root)
    mend = re.search(r"keeps your changes: (.*); then", line)
    assert mend
    subprocess.run(mend[1], shell=True, cwd=repository.root, check=True)
    assert interrupted_experiment(repository.root) is None
    assert repository.git("symbolic-ref", "--short", "HEAD").strip() == "main"
    assert (repository.root / "metrics/test.json").exists()
    assert repository.read("catalogue.yaml") == edited
    assert "where this run was broken off" in repository.dvc("exp", "run", "--set-param", "lr=0.003")
    repository.git("checkout", "--quiet", "--force", "--detach", "HEAD")
    assert interrupted_experiment(repository.root) is None, "an experiment that ended well, and a look at an old commit"
