"""`python -m tools.gc`: what it keeps is not run again, of which `dvc gc` itself runs some."""

import subprocess
from pathlib import Path

import pytest
from dvc.repo import Repo

from tools import gc

GRAPH = """
stages:
  train:
    cmd: echo model of ${lr} > model.txt; cp params.yaml metrics.yaml; echo ${lr} >> ran.txt
    params: [lr]
    outs: [model.txt]
    metrics:
      - metrics.yaml: {cache: false}
  plot:
    cmd: cp metrics.yaml plot.txt
    deps: [model.txt, metrics.yaml]
    plots:
      - plot.txt: {cache: false}
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository in which lr 1 and 2 have run and are committed, and 3 has run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text(GRAPH)
    for line in ("init --quiet", "config user.name Test", "config user.email test@example.com"):
        subprocess.run(["git", *line.split()], check=True)
    Repo.init().close()
    for lr in (1, 2):
        run(lr)
        subprocess.run(["git", "add", "--all"], check=True)
        subprocess.run(["git", "commit", "--quiet", "--message", str(lr)], check=True)
    run(3)
    return tmp_path


def run(lr: int) -> bool:
    """Bring the results of `lr`; whether the stage ran for it."""
    ran = Path("ran.txt").read_text().count("\n") if Path("ran.txt").exists() else 0
    Path("params.yaml").write_text(f"lr: {lr}\n")
    with Repo() as repo:
        repo.reproduce()
    assert Path("model.txt").read_text() == f"model of {lr}\n"
    assert Path("metrics.yaml").read_text() == f"lr: {lr}\n"
    return Path("ran.txt").read_text().count("\n") > ran


def test_what_a_commit_needs_does_not_run_again(root: Path) -> None:
    assert not run(1)
    assert gc.main(["--force"]) == 0
    assert not (root / ".dvc/cache" / gc.KEPT).exists()
    assert not run(2)
    assert not run(1)
    assert run(3), "nothing names it"
    run(2)
    subprocess.run(["dvc", "gc", "--all-commits", "--force", "--quiet"], check=True)
    assert run(1), "then tools.gc is needless"


def test_one_that_was_killed_loses_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kill_after(command: list[str], **options: object) -> None:
        start(["dvc", "gc", "--all-commits", "--force"], check=True)
        raise KeyboardInterrupt

    start = subprocess.run
    with monkeypatch.context() as patch:
        patch.setattr("tools.gc.subprocess.run", kill_after)
        with pytest.raises(KeyboardInterrupt):
            gc.main([])
    assert gc.main(["--all-commits", "--force"]) == 0
    assert not run(1)


def test_nothing_is_deleted_where_its_first_line_cannot_be_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="No space left"), Path("/dev/full").open("w") as full:
        monkeypatch.setattr("sys.stdout", full)
        gc.main(["--workspace", "--force"])
    assert not run(1)


def test_the_workspace_alone(root: Path) -> None:
    """Of the others the models are gone, and with them the use of the rest: nothing of it takes room."""
    assert gc.main(["--workspace", "--force"]) == 0
    left = [path for path in (root / ".dvc/cache/files").rglob("*") if path.is_file()]
    assert len(left) == 2, "the model, and what both metrics and plot are"
    assert not run(3)
    assert run(1)
