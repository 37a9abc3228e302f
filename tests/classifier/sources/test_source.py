"""What `source` must be for a data set."""

import os
from pathlib import Path

import pytest

from classifier.common.errors import UserError
from classifier.sources.params import check_source


def test_an_archive_or_a_folder_of_pictures(tmp_path: Path) -> None:
    for name in ("a.zip", "b.TAR.GZ"):
        (tmp_path / name).touch()
        check_source(tmp_path / name, "folder")
    check_source(tmp_path, "folder")
    (tmp_path / "a.rar").touch()
    needed = r"a folder of pictures, a \.zip or \.tar of one, or \.parquet files, such as"
    with pytest.raises(UserError, match=rf"a\.rar: found a file; dataset 'folder' needs as source {needed}"):
        check_source(tmp_path / "a.rar", "folder")


def test_a_folder_that_the_copy_of_an_experiment_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project/pictures").mkdir(parents=True)
    (tmp_path / "copy").mkdir()
    monkeypatch.chdir(tmp_path / "copy")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "project"))
    with pytest.raises(
        UserError, match=r"pictures: found nothing there, as this experiment .*; `dvc add pictures` .*project/pic"
    ):
        check_source(Path("pictures"), "folder")
    with pytest.raises(UserError, match=r"other: found nothing there; dataset 'folder' needs"):
        check_source(Path("other"), "folder")


def test_a_pipe_or_a_device_is_neither_a_file_nor_a_folder(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.zip")
    with pytest.raises(UserError, match=r"a\.zip: found neither a file nor a folder; dataset 'folder' needs"):
        check_source(tmp_path / "a.zip", "folder")
