"""A person's own images that git does not track are refused before an experiment is queued, whose copy would lack them."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tools.experiments.named import missing_images, untracked_images

FOLDER: dict[str, Any] = {"dataset": "folder", "source": "pictures"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pictures/a").mkdir(parents=True)
    (tmp_path / "pictures/a/1.png").touch()
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    return tmp_path


@pytest.mark.parametrize("ignored", ["", "/pictures\n", "*.png\n"])
def test_what_git_does_not_track_is_named_with_two_ways_out(project: Path, ignored: str) -> None:
    (project / ".gitignore").write_text(ignored)
    problem = untracked_images(FOLDER, project)
    assert problem is not None
    assert problem.startswith("pictures: git does not track 'pictures/")
    assert problem.endswith(
        f"; `dvc add pictures` and commit pictures.dvc, or name the whole path: `-S source={project}/pictures`"
    )


def test_what_is_in_reach_passes(project: Path) -> None:
    assert untracked_images({"dataset": "folder", "source": str(project / "pictures")}, project) is None
    assert untracked_images({"dataset": "mnist", "source": "catalogue.yaml"}, project) is None
    subprocess.run(["git", "add", "pictures"], cwd=project, check=True)
    (project / "pictures/.DS_Store").touch()
    assert untracked_images(FOLDER, project) is None
    (project / "pictures/a/2.png").touch()
    assert untracked_images(FOLDER, project) is not None
    inner = {"dataset": "folder", "source": "pictures/a"}
    assert untracked_images(inner, project) is not None
    (project / "pictures.dvc").touch()
    assert untracked_images(FOLDER, project) is None
    assert untracked_images(inner, project) is None


def test_images_that_are_only_in_the_workspace_are_named_with_the_way_out(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`run` and `search` make a copy of the last commit; what git ignores is not in it."""
    monkeypatch.chdir(project)
    copy = tmp_path / "copy"
    copy.mkdir()
    problem = missing_images(FOLDER, copy)
    assert problem is not None
    assert problem.startswith("pictures: is not in the last commit, in a copy of which experiments run; `dvc add pictures` ")
    assert problem.endswith(f"`-S source={project.resolve() / 'pictures'}`")
    assert missing_images(FOLDER, project) is None
