"""Edits that `dvc exp apply` takes out of the workspace are named, with commands that bring them back."""

import re
import subprocess
from pathlib import Path

import pytest
from dvc.repo import Repo
from dvc.repo.experiments.apply import apply

from record.killed import edits_taken_by_apply

GRAPH = "stages:\n  train:\n    cmd: cp params.yaml model.txt\n    params: [a]\n    outs: [model.txt]\n"


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in a folder of a larger one, with two experiments, one of which is in the workspace."""
    root = tmp_path / "below"
    root.mkdir()
    monkeypatch.chdir(root)
    for name, text in {"dvc.yaml": GRAPH, "params.yaml": "a: 1\n", "my notes.md": "as committed\n", "code.py": "1\n"}.items():
        (root / name).write_text(text)
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", ".."], check=True)
    git("config", "user.name", "Test")
    git("config", "user.email", "test@example.com")
    with Repo.init(str(root), subdir=True) as repo:
        repo.reproduce()
        git("add", "--all")
        git("commit", "--quiet", "--message", "a: 1")
        for a in (2, 3):
            repo.experiments.run(name=f"e{a}", params=[f"a={a}"], copy_paths=[])
    return root


def apply_experiment(name: str) -> None:
    with Repo() as repo:
        apply(repo, name)


def mend(line: str) -> None:
    commands = re.search(r"brings them back: (.*); or `", line)
    assert commands
    subprocess.run(commands[1], shell=True, check=True)


def test_edits_come_back_and_what_experiments_made_is_none(root: Path) -> None:
    assert edits_taken_by_apply(root) is None
    apply_experiment("e2")
    assert edits_taken_by_apply(root) is None, "only e3 was there"
    (root / "my notes.md").write_text("an hour of work\n")
    (root / "code.py").write_text("2\n")
    (root / "new.py").write_text("3\n")
    git("add", "code.py")
    apply_experiment("e3")
    assert (root / "my notes.md").read_text() == "as committed\n"
    line = edits_taken_by_apply(root)
    assert line is not None
    assert line.startswith("git: `dvc exp apply` took your edits of code.py, my notes.md out of the workspace; ")
    mend(line)
    assert [(root / name).read_text() for name in ("my notes.md", "code.py")] == ["an hour of work\n", "2\n"]
    assert (root / "params.yaml").read_text() == "a: 3\n"
    assert edits_taken_by_apply(root) is None


def test_what_is_edited_since_stays(root: Path) -> None:
    (root / "my notes.md").write_text("an hour of work\n")
    apply_experiment("e2")
    (root / "my notes.md").write_text("and another\n")
    line = edits_taken_by_apply(root)
    assert line is not None
    mend(line)
    assert (root / "my notes.md").read_text() == "and another\n"
    assert (root / "my notes.md.before-apply").read_text() == "an hour of work\n"
    forget = re.search(r"`(git update-ref [^`]*)` forgets them", line)
    assert forget
    subprocess.run(forget[1], shell=True, check=True)
    assert edits_taken_by_apply(root) is None
