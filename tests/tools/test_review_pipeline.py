"""A review, and a report, of what real DVC leaves: a commit, the workspace after a run, and an experiment by its name."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support import warm
from tests.support.pipeline import Committed, Repository
from tools.review.__main__ import main


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A committed run, and an experiment with another learning rate that is no longer in the workspace."""
    repository = Committed(tmp_path_factory.mktemp("review") / "project", tmp_path_factory, epochs=2)
    repository.dvc("exp", "run", "--name", "slower", "--set-param", "lr=0.00002")
    repository.git("checkout", "--quiet", "HEAD", "--", ".")
    return repository


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main([*arguments, "--json"]) == 0
    read: dict[str, Any] = json.loads(capsys.readouterr().out)
    return read


def test_an_experiment_is_found_by_name_and_its_change_by_stage(
    repository: Repository, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(repository.root)
    review = document(capsys, "HEAD", "slower")
    assert (
        review["head"]["commit"]
        == repository.git(
            "rev-parse", f"{repository.git('for-each-ref', '--format=%(refname)', 'refs/exps/*/*/slower').strip()}"
        ).strip()
    )
    assert [(change["kind"], change["name"], change["stages"]) for change in review["changes"]] == [("param", "lr", ["train"])]
    assert review["touched_stages"] == {
        "directly": ["train"],
        "by_inputs": ["evaluate", "plot"],
        "by_machine": [],
        "unexplained": [],
    }
    assert review["stale"] == {}
    assert [metric["verdict"] for metric in review["metrics"]] == ["worse"] * 3
    assert document(capsys, "HEAD", "workspace")["identical_predictions"]


def test_the_gallery_finds_the_images_that_dvc_made(repository: Repository, tmp_path: Path) -> None:
    """In a process of its own, as a person calls it."""
    command = [warm.python(), "-m", "tools.review", "slower", "HEAD", "--pictures", str(tmp_path)]
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(command, cwd=repository.root, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr.decode()) == (0, "")
    assert "**Better**: test accuracy" in done.stdout.decode("utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["confusion.png", "curves.png", "flips.png"]


def test_the_report_of_what_dvc_made_lacks_nothing(repository: Repository) -> None:
    """In a process of its own, as a person calls it; git keeps no trace of the page."""
    command = [warm.python(), "-m", "tools.report"]
    done = subprocess.run(
        command, cwd=repository.root, env=repository.environment(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    page = repository.read("report.html")
    accuracy = json.loads(repository.read("metrics/test.json"))["test_accuracy"]
    assert f"<dd>{100 * accuracy:.2f}\u00a0%" in page
    assert "Left out." not in page and "Stale." not in page
    assert all(f'<section id="{part}">' in page for part in ("confusion", "mistakes", "data", "provenance"))
    assert '<th scope="row"><bdi>torch</bdi></th>' in page
    assert page.count("data:image/png;base64,") > 100
    assert repository.git("status", "--porcelain") == ""
