"""Killed experiments that DVC lists as running are named, with the command that forgets them."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from record.killed import left_experiments

PYTHON = shlex.quote(sys.executable)
PIPELINE = "stages:\n  wait:\n    cmd: echo > started && sleep 600\n    params: [lr]\n"


def sh(command: str, folder: Path) -> str:
    return subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def waiting(tmp_path: Path) -> Path:
    """A repository whose one stage takes ten minutes."""
    root = tmp_path / "repository"
    root.mkdir()
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / "params.yaml").write_text("lr: 1\n")
    sh("git init --quiet; git config user.name Ann; git config user.email ann@example.org", root)
    sh(f"{PYTHON} -m dvc init --quiet; git add --all; git commit --quiet --message start", root)
    return root


def test_a_killed_temporary_experiment_is_named_and_can_be_forgotten(waiting: Path) -> None:
    command = [sys.executable, "-m", "dvc", "exp", "run", "--temp", "--set-param", "lr=2"]
    dvc = subprocess.Popen(command, cwd=waiting, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not list(waiting.glob(".dvc/tmp/exps/standalone/tmp*/started")):
            assert time.monotonic() < deadline
            assert dvc.poll() is None
            time.sleep(0.02)
        assert list(left_experiments(waiting)) == [], "it still runs"
    finally:
        os.killpg(dvc.pid, signal.SIGKILL)
        dvc.wait()
    deadline = time.monotonic() + 30
    while not (lines := list(left_experiments(waiting))):  # the stage ends a moment after its dvc
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert len(lines) == 1
    shown = sh(f"{PYTHON} -m dvc exp show --csv", waiting)
    assert shown.count("Running") == 1
    named = re.search(r"^the experiment (\S+) of .*; `(rm -rf \.dvc/tmp/exps/standalone/tmp\S+)` removes", lines[0])
    assert named
    assert f"\n{named[1]}," in shown
    sh(named[2], waiting)
    assert list(left_experiments(waiting)) == []
    assert "Running" not in sh(f"{PYTHON} -m dvc exp show --csv", waiting)


def test_a_killed_queued_experiment_is_named(tmp_path: Path) -> None:
    """By notes as DVC writes them; tests/stages/test_interruptions.py kills a real queue."""
    dead = subprocess.Popen(["true"])
    dead.wait()

    def note(file: str, **values: object) -> None:
        path = tmp_path / ".dvc/tmp/exps" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))

    note("run/1a/1a.json", pid=dead.pid, returncode=None)
    note("run/1a/1a.run", name="crass-dado", status=2)
    note("run/2b/2b.json", pid=dead.pid, returncode=0)
    note("run/2b/2b.run", name="ended-well", status=3)
    note("run/3c/3c.json", pid=os.getpid(), returncode=None)
    note("run/3c/3c.run", name="still-runs", status=2)
    note("celery/dvc-exp-worker-1.json", pid=dead.pid, returncode=None)
    lines = list(left_experiments(tmp_path))
    assert len(lines) == 1
    assert lines[0].startswith("the queued experiment crass-dado was killed")
    assert lines[0].endswith("`dvc queue kill crass-dado && dvc queue remove crass-dado` removes it from the list")
    note("celery/dvc-exp-worker-1.json", pid=os.getpid(), returncode=None)
    assert list(left_experiments(tmp_path)) == [], "a worker that lives notes the end itself"


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "{}", '{"status": 2}', '{"status": 2, "root_dir": 3}'])
def test_notes_that_say_nothing(tmp_path: Path, text: str) -> None:
    for file in ("standalone/run/1a/1a.run", "run/1a/1a.json", "celery/dvc-exp-worker-1.json"):
        path = tmp_path / ".dvc/tmp/exps" / file
        path.parent.mkdir(parents=True)
        path.write_text(text)
    assert list(left_experiments(tmp_path)) == []


def test_a_killed_one_of_the_workspace_is_none_of_the_queue(waiting: Path) -> None:
    """`dvc exp run -n X` notes its process as the queue does. To forget it by the commands of the queue fails."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    for place, expected in (("1a2b", 1), ("workspace", 0)):
        folder = waiting / ".dvc/tmp/exps/run" / place
        folder.mkdir(parents=True)
        (folder / f"{place}.json").write_text(json.dumps({"pid": dead.pid, "returncode": None}))
        (folder / f"{place}.run").write_text(json.dumps({"name": "X", "status": 2}))
        assert len(list(left_experiments(waiting))) == expected, place
        shutil.rmtree(folder)
