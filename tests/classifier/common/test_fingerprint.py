"""A change is told from a touch, by content."""

import hashlib
import os
from pathlib import Path

import pytest

from classifier.common.fingerprint import changed_file, combined_digest, fingerprints


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    (tmp_path / "folder/deep").mkdir(parents=True)
    (tmp_path / "folder/deep/b").write_text("b")
    (tmp_path / "folder/a").write_text("a")
    (tmp_path / "single").write_text("one")
    return [tmp_path / "single", tmp_path / "folder", tmp_path / "missing"]


def test_folders_are_walked_and_what_is_missing_is_left_out(paths: list[Path]) -> None:
    found = fingerprints(paths)
    assert list(found) == [paths[1] / "a", paths[1] / "deep/b", paths[0]]
    assert found[paths[0]].digest == hashlib.sha256(b"one").hexdigest()


def test_untouched_files_are_unchanged(paths: list[Path]) -> None:
    assert changed_file(fingerprints(paths), paths) is None


def test_a_touch_is_no_change(paths: list[Path]) -> None:
    before = fingerprints(paths)
    os.utime(paths[0], (1, 1))
    (paths[1] / "a").unlink()
    (paths[1] / "a").write_text("a")
    assert changed_file(before, paths) is None


@pytest.mark.parametrize("kind", ["edit", "same length", "delete", "add", "appear"])
def test_every_kind_of_change_is_named(paths: list[Path], kind: str) -> None:
    before = fingerprints(paths)
    file = {"edit": paths[0], "same length": paths[0], "delete": paths[1] / "a", "add": paths[1] / "c", "appear": paths[2]}[
        kind
    ]
    if kind == "delete":
        file.unlink()
    else:
        file.write_text({"edit": "longer", "same length": "two"}.get(kind, "new"))
    if kind == "same length":  # before Linux 6.13 the time of two writes in a row can be the same
        os.utime(file, ns=(0, before[file].figures[2] + 1000))
    assert changed_file(before, paths) == file


def test_the_digest_depends_on_names_contents_and_facts(paths: list[Path]) -> None:
    digests = [combined_digest(fingerprints(paths), {"lr": 1}), combined_digest(fingerprints(paths), {"lr": 2})]
    (paths[1] / "a").rename(paths[1] / "z")
    digests.append(combined_digest(fingerprints(paths), {"lr": 1}))
    (paths[1] / "z").write_text("y")
    digests.append(combined_digest(fingerprints(paths), {"lr": 1}))
    (paths[1] / "z").write_text("a")
    (paths[1] / "z").rename(paths[1] / "a")
    assert len(set(digests)) == 4
    assert combined_digest(fingerprints(paths), {"lr": 1}) == digests[0]
