"""Real `dvc repro` processes killed at random moments: what is there is never half, and the end is that of a straight run."""

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from record.killed import interrupted_experiment
from tests.support.killed_runs import (
    EPOCHS,
    STAGES,
    assert_cache_is_intact,
    assert_nothing_is_half,
    ended,
    kill,
    mend_lock,
    name_of,
    outputs,
    printed,
    retrain,
    running_stage,
    start,
    wipe,
)
from tests.support.pipeline import Committed, Repository
from tools.check import problems


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The digits, run and committed, with enough epochs that a good part of the time is training."""
    return Committed(tmp_path_factory.mktemp("kill") / "project", tmp_path_factory, epochs=EPOCHS, eval_every=30)


@pytest.fixture(scope="module")
def straight(repository: Repository) -> dict[str, bytes]:
    """Every output of a run that nothing disturbed, and its dvc.lock."""
    return outputs(repository.root)


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

    In a round each stage is killed, most of which take no longer than a blink, and three times whatever runs then. It
    goes on until each was hit: one may end between aiming and killing.
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


@pytest.mark.slow
def test_killed_at_ten_random_moments_it_ends_with_the_same_bytes(repository: Repository, straight: dict[str, bytes]) -> None:
    hits = kill_often(repository, straight, num_kills=10, seed=1)
    assert set(STAGES) <= hits.keys(), hits
    assert "up to date" in repository.dvc("status")


@pytest.mark.nightly
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


def wait_for_training(dvc: subprocess.Popen[bytes]) -> psutil.Process:
    """The stage `train`, once it runs."""
    deadline = time.monotonic() + 300
    while name_of(stage := running_stage(dvc)) != "train":
        assert time.monotonic() < deadline
        assert dvc.poll() is None
        time.sleep(0.02)
    assert stage
    return stage


def wait_for_state(repository: Repository, dvc: subprocess.Popen[bytes]) -> None:
    """Wait until an epoch is kept. The history tells less: `dvc exp run` puts the committed one there at its start."""
    deadline = time.monotonic() + 300
    while not list((repository.root / ".dvc/tmp/resume").glob("*.safetensors")):
        assert time.monotonic() < deadline
        assert dvc.poll() is None, printed(repository).read_text()
        time.sleep(0.02)


def test_a_killed_training_goes_on_and_ctrl_c_ends_it_with_our_line_and_it_goes_on_again(
    repository: Repository, straight: dict[str, bytes]
) -> None:
    repository.dvc("repro")
    retrain(repository)
    dvc = start(repository)
    wait_for_epochs(repository, dvc, 5)
    kill(dvc, "group")  # a stage that outlives its dvc would train on for a moment, perhaps to the end
    mend_lock(repository.root)
    assert_nothing_is_half(repository.root, straight)
    dvc = start(repository)
    stage = wait_for_training(dvc)  # before that the history is the killed one's
    wait_for_epochs(repository, dvc, 6)
    began = time.monotonic()
    os.killpg(dvc.pid, signal.SIGINT)
    dvc.wait(timeout=120)
    assert time.monotonic() - began < 10
    assert ended(stage, 0.1)
    said = printed(repository).read_text()
    assert "train: interrupted; the same command goes on after the last whole epoch" in said
    assert "Traceback" not in said
    for output in (said, repository.dvc("repro")):
        assert "where this run was broken off" in output
        assert f"epoch 1/{EPOCHS}" not in output
    assert outputs(repository.root) == straight
    assert_cache_is_intact(repository.root)
    assert not list((repository.root / ".dvc/tmp/resume").glob("*.safetensors")), "a finished run leaves no state"


@pytest.mark.slow
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
    mend = re.search(r"keep your changes: (.*); then", line)
    assert mend
    subprocess.run(mend[1], shell=True, cwd=repository.root, check=True)
    assert interrupted_experiment(repository.root) is None
    assert repository.git("symbolic-ref", "--short", "HEAD").strip() == "main"
    assert (repository.root / "metrics/test.json").exists()
    assert repository.read("catalogue.yaml") == edited
    assert "where this run was broken off" in repository.dvc("exp", "run", "--set-param", "lr=0.003")
    repository.git("checkout", "--quiet", "--force", "--detach", "HEAD")
    assert interrupted_experiment(repository.root) is None, "an experiment that ended well, and a look at an old commit"
