"""What a `dvc exp run` that was killed at any moment leaves is recognised, and the printed commands mend it without loss.

A real `dvc exp run` goes through in a small repository, which is copied after each of its git operations: a copy is what a
SIGKILL at that moment leaves. Some moments are tried with a real SIGKILL too.
"""

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

from record.killed import interrupted_experiment

PYTHON = shlex.quote(sys.executable)
EXPERIMENT = ["exp", "run", "--set-param", "lr=2"]
OPERATIONS = ["set_ref", "remove_ref", "checkout", "reset", "add", "commit", "_stash_push", "_stash_apply", "_stash_drop"]
CAUGHT = """
import os, shutil, signal, sys
import scmrepo.git
from dvc.cli import main

folder, kill_at, done = sys.argv[1], int(sys.argv[2]), 0

def caught(operation):
    def run(*all, **options):
        global done
        result = operation(*all, **options)
        done += 1
        if done == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if not kill_at:
            shutil.copytree(".", f"{folder}/{done:02}-{operation.__name__}", symlinks=True)
        return result
    return run

for name in sys.argv[3].split(","):
    operation = getattr(scmrepo.git.Git, name)
    call = lambda self, *all, _name=name, **options: self._backend_func(_name, *all, **options)
    call.__name__ = name
    setattr(scmrepo.git.Git, name, caught(call))
sys.argv[:4] = ["dvc"]
sys.exit(main(sys.argv[1:]))
"""
PIPELINE = """
stages:
  train:
    cmd: python train.py
    deps: [train.py]
    params: [lr]
    metrics:
      - metrics/train.json: {cache: false}
"""
TRAIN = """
from pathlib import Path
Path("metrics/train.json").write_text('{"lr": %s}' % Path("params.yaml").read_text().split()[1])
"""
OWN = {"edited.txt": "mine\n", "staged.txt": "mine\n", "added.txt": "mine\n", "not added.txt": "mine\n"}
"""The person's changes that are not committed; besides, gone.txt is deleted."""


def sh(command: str, folder: Path) -> str:
    return subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one stage, run and committed."""
    root = tmp_path_factory.mktemp("small") / "repository"
    (root / "metrics").mkdir(parents=True)
    for name, text in {"params.yaml": "lr: 1\n", "dvc.yaml": PIPELINE, "train.py": TRAIN}.items():
        (root / name).write_text(text)
    for name in ("edited.txt", "staged.txt", "gone.txt", "metrics/.gitkeep"):
        (root / name).write_text("old\n")
    sh("git init --quiet --initial-branch=main; git config user.name Ann; git config user.email ann@example.org", root)
    sh(f"{PYTHON} -m dvc init --quiet; {PYTHON} -m dvc repro --quiet", root)
    sh("git add --all; git commit --quiet --message start", root)
    return root


@pytest.fixture(scope="module")
def edited(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with changes of each kind."""
    root = tmp_path_factory.mktemp("edited") / "repository"
    shutil.copytree(small, root)
    for name, text in OWN.items():
        (root / name).write_text(text)
    (root / "gone.txt").unlink()
    sh("git add staged.txt added.txt", root)
    return root


@pytest.fixture(scope="module")
def moments(edited: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The repository after each git operation of an experiment, from the first."""
    return photographed(edited, tmp_path_factory.mktemp("moments"))


def photographed(start: Path, folder: Path) -> list[Path]:
    root = folder / "run"
    shutil.copytree(start, root)
    assert run_caught(root, folder, 0) == 0
    return sorted(path for path in folder.iterdir() if path != root)


def run_caught(root: Path, folder: Path, kill_at: int) -> int:
    command = [sys.executable, "-c", CAUGHT, str(folder), str(kill_at), ",".join(OPERATIONS), *EXPERIMENT]
    return subprocess.run(command, cwd=root, capture_output=True, check=False).returncode


def own_changes(root: Path) -> dict[str, str]:
    return {name: (root / name).read_text() for name in OWN if (root / name).exists()}


def is_as_before(root: Path) -> bool:
    """HEAD on its branch, and every change of the person's there."""
    head = subprocess.run(["git", "symbolic-ref", "HEAD"], cwd=root, capture_output=True, text=True, check=False).stdout
    return head == "refs/heads/main\n" and own_changes(root) == OWN and not (root / "gone.txt").exists()


def mend(root: Path) -> None:
    """Type what is printed."""
    line = interrupted_experiment(root)
    assert line
    commands = re.search(r"keep your changes: (.*); then", line)
    assert commands, line
    subprocess.run(commands[1], shell=True, cwd=root, capture_output=True, text=True, check=True)


def test_whenever_it_is_killed_the_mend_brings_everything_back(moments: list[Path], tmp_path: Path) -> None:
    kept, hurt = 0, 0
    for moment in moments:
        root = tmp_path / moment.name
        shutil.copytree(moment, root, symlinks=True)
        if not is_as_before(root):
            hurt += 1
            assert interrupted_experiment(root), moment.name
        if interrupted_experiment(root):
            mend(root)
        else:
            kept += 1
        assert interrupted_experiment(root) is None, moment.name
        assert is_as_before(root), moment.name
        assert (root / "metrics/train.json").exists()
        assert "repro.dat" not in sh("git status --porcelain", root)
        assert sh("git for-each-ref refs/exps/stash", root) == "", "the next experiment would run the killed one too"
    assert hurt >= 20
    assert kept >= 3, "the last moments need no mend"


@pytest.mark.slow
def test_an_older_stash_stays_where_it_is(small: Path, tmp_path: Path) -> None:
    """There were no changes to stash; what the person had put there before is none of DVC's."""
    root = tmp_path / "small"
    shutil.copytree(small, root)
    (root / "edited.txt").write_text("an idea for later\n")
    sh("git stash", root)
    older = sh("git rev-parse refs/stash", root)
    time.sleep(1.1)  # git notes seconds
    for moment in photographed(root, tmp_path / "moments")[::3]:
        if interrupted_experiment(moment):
            mend(moment)
        assert interrupted_experiment(moment) is None
        assert (moment / "edited.txt").read_text() == "old\n"
        assert sh("git rev-parse refs/stash", moment) == older


def test_a_head_that_was_on_no_branch_before_stays_there(edited: Path, tmp_path: Path) -> None:
    root = tmp_path / "edited"
    shutil.copytree(edited, root)
    sh("git switch --quiet --detach", root)
    before = sh("git rev-parse HEAD", root)
    for moment in photographed(root, tmp_path / "moments")[1::3]:
        if interrupted_experiment(moment):
            mend(moment)
        assert interrupted_experiment(moment) is None
        assert sh("git rev-parse HEAD", moment) == before
        assert own_changes(moment) == OWN


def test_a_real_kill_and_the_locks_of_git(edited: Path, tmp_path: Path) -> None:
    """Killed with the changes in the stash; git's own lock files are left, as by a kill while it wrote; then it runs again."""
    root = tmp_path / "edited"
    shutil.copytree(edited, root)
    assert run_caught(root, tmp_path, kill_at=6) == -signal.SIGKILL
    for name in ("index.lock", "HEAD.lock"):
        (root / ".git" / name).touch()
    assert own_changes(root).keys() == {"edited.txt", "staged.txt", "not added.txt"}
    line = interrupted_experiment(root)
    assert line
    assert line.startswith(
        "git: `dvc exp run` was killed here in its first moments; these commands repair it and keep your changes: rm -f "
    )
    mend(root)
    assert is_as_before(root)
    printed = sh(f"{PYTHON} -m dvc exp run --set-param lr=3", root)
    assert printed.count("Reproducing experiment") == 1, "the killed one is forgotten"
    assert (root / "metrics/train.json").read_text() == '{"lr": 3}'
    assert is_as_before(root)


def test_a_kill_before_anything_was_touched_is_none_of_our_business(edited: Path, tmp_path: Path) -> None:
    """The person's own stash, made later, is not taken for DVC's."""
    root = tmp_path / "edited"
    shutil.copytree(edited, root)
    table = root / ".dvc/tmp/exps/rwlock"
    table.parent.mkdir(parents=True)
    dead = subprocess.Popen(["true"])
    dead.wait()
    table.write_text(f'{{"write": {{"workspace": {{"pid": {dead.pid}, "cmd": "dvc exp run"}}}}}}')
    assert interrupted_experiment(root) is None
    long_ago = time.time() - 600
    os.utime(table, (long_ago, long_ago))
    sh("git stash", root)
    assert interrupted_experiment(root) is None


def test_a_look_at_a_commit_is_no_interruption(moments: list[Path], tmp_path: Path) -> None:
    """After an experiment that ended well: the same commit, the experiment itself, and a commit made there."""
    root = tmp_path / "ended"
    shutil.copytree(moments[-1], root)
    sh("git checkout --quiet --force --detach", root)
    assert interrupted_experiment(root) is None
    (experiment,) = sh("git for-each-ref --format='%(refname)' 'refs/exps/*/*/*'", root).splitlines()
    sh(f"git checkout --quiet --force --detach {experiment}", root)
    assert interrupted_experiment(root) is None
    sh("git checkout --quiet --force --detach main; git commit --quiet --allow-empty --message aside", root)
    assert interrupted_experiment(root) is None


def test_while_it_runs_nothing_is_said(moments: list[Path], tmp_path: Path) -> None:
    root = tmp_path / "running"
    shutil.copytree(next(moment for moment in moments if interrupted_experiment(moment)), root)
    note = root / ".dvc/tmp/exps/run/workspace/workspace.json"
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(f'{{"pid": {os.getpid()}}}')
    assert interrupted_experiment(root) is None


def test_outside_of_a_repository_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert interrupted_experiment(tmp_path) is None
