import gzip
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from classifier.common.errors import UserError
from classifier.images.schema import RawDescription
from classifier.sources.catalogue import load_dataset
from classifier.sources.params import DownloadParams
from stages.download import main
from stages.runner import run_stage
from tests.support.data_params import download_params
from tests.support.file_server import FileServer, file_server

ROOT = Path(__file__).parents[2]
MIRROR = os.environ.get("DATASET_MIRROR", "")
ROLES = ["train_images", "train_labels", "test_images", "test_labels"]
CONTENTS = {f"{role}.gz": gzip.compress(role.encode() * 1000, mtime=0) for role in ROLES}
PARAMS = download_params(dataset="mine", source="catalogue.yaml")


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("DATASET_MIRROR", raising=False)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with file_server() as running:
        running.files = {f"/{name}": content for name, content in CONTENTS.items()}
        yield running


@pytest.fixture
def root(tmp_path: Path, server: FileServer) -> Path:
    """A folder as DVC runs the stage in: a catalogue with one data set of four files on `server`, params.yaml and dvc.yaml."""
    files: dict[str, Any] = {
        role: {
            "name": name,
            "size": len(content),
            "md5": hashlib.md5(content).hexdigest(),
            "urls": [f"{server.address}/{name}"],
        }
        for role, (name, content) in zip(ROLES, CONTENTS.items(), strict=True)
    }
    entry = {"title": "Mine", "reference": "nobody", "format": "idx", "classes": ["é", "no"], "hflip_invariant": True}
    entry["files"] = files
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "catalogue.yaml").write_text(yaml.safe_dump({"mine": entry}), encoding="utf-8")
    stage = {"cmd": "x", "params": list(DownloadParams.model_fields)}
    (folder / "params.yaml").write_text(yaml.safe_dump(PARAMS.model_dump()), encoding="utf-8")
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"download": stage}}), encoding="utf-8")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_data_raw_holds_the_files_and_their_description(root: Path) -> None:
    main(PARAMS, root)
    made = contents(root / "data/raw")
    description = made.pop("raw.json")
    assert made == CONTENTS
    assert json.loads(description) == {
        "dataset": "mine",
        "format": "idx",
        "classes": ["é", "no"],
        "hflip_invariant": True,
        "files": {role: f"{role}.gz" for role in ROLES},
    }
    RawDescription.model_validate_json(description, strict=True)


def test_the_same_bytes_from_another_place(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    main(PARAMS, root)
    (tmp_path / "mirror/mine").mkdir(parents=True)
    for name, content in CONTENTS.items():
        (tmp_path / "mirror/mine" / name).write_bytes(content)
    monkeypatch.setenv("DATASET_MIRROR", str(tmp_path / "mirror"))
    main(download_params(dataset="mine", source=str(root / "catalogue.yaml")), tmp_path / "other")
    assert contents(root / "data/raw") == contents(tmp_path / "other/data/raw")


def test_what_the_store_has_is_not_requested_again(root: Path, server: FileServer) -> None:
    main(PARAMS, root)
    main(PARAMS, root)
    assert len(server.log) == 4


def test_data_raw_shares_no_bytes_with_the_store(root: Path) -> None:
    main(PARAMS, root)
    stored = {path.stat().st_ino for path in (root / ".dvc/tmp/downloads").rglob("*.gz")}
    assert len(stored) == 4
    assert stored.isdisjoint(path.stat().st_ino for path in (root / "data/raw").iterdir())


def test_a_temporary_copy_uses_the_store_of_the_repository(
    root: Path, server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(PARAMS, root)
    monkeypatch.setenv("DVC_ROOT", str(root))
    main(download_params(dataset="mine", source=str(root / "catalogue.yaml")), tmp_path / "copy")
    assert len(server.log) == 4
    assert not (tmp_path / "copy/.dvc").exists()


def test_the_files_of_another_data_set_go_away(root: Path) -> None:
    (root / "data/raw").mkdir(parents=True)
    (root / "data/raw/old.gz").touch()
    main(PARAMS, root)
    assert sorted(contents(root / "data/raw")) == sorted([*CONTENTS, "raw.json"])


def test_the_digits_need_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASET_MIRROR", str(tmp_path / "none"))
    main(download_params(dataset="digits", source=str(ROOT / "catalogue.yaml")), tmp_path)
    rows = gzip.decompress((tmp_path / "data/raw/digits.csv.gz").read_bytes()).splitlines()
    assert (len(rows), rows[0].count(b",")) == (1797, 64)
    assert json.loads((tmp_path / "data/raw/raw.json").read_text())["hflip_invariant"] is False


@pytest.mark.skipif(not MIRROR, reason="needs DATASET_MIRROR")
def test_the_real_files_from_the_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATASET_MIRROR", MIRROR)
    main(download_params(dataset="fashion_mnist", source=str(ROOT / "catalogue.yaml")), tmp_path)
    for file in load_dataset(ROOT / "catalogue.yaml", "fashion_mnist").files.values():
        assert hashlib.md5((tmp_path / "data/raw" / file.name).read_bytes()).hexdigest() == file.md5


FAULTS = {
    "404": r"error: mine/test_labels\.gz: no source gave the right file: .*/test_labels\.gz \(HTTP 404\); check the network",
    "html": r"error: mine/test_labels\.gz: .* \(an HTML page came in place of the file; .*\)",
    "short": r"error: mine/test_labels\.gz: .* \(has \d+ bytes, \d+ needed\)",
    "corrupt": r"error: mine/test_labels\.gz: .* \(has MD5 [0-9a-f]{32}, [0-9a-f]{32} needed\)",
}


@pytest.mark.parametrize(("behaviour", "line"), FAULTS.items())
def test_a_file_that_cannot_be_had_leaves_data_raw_as_it_was(
    root: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch, behaviour: str, line: str
) -> None:
    server.script["/test_labels.gz"] = [behaviour]
    monkeypatch.chdir(root)
    with pytest.raises(SystemExit, match=line) as caught:
        run_stage("download", main, DownloadParams)
    assert "\n" not in str(caught.value.code)
    assert not (root / "data").exists()


def test_an_unknown_data_set_is_refused(root: Path) -> None:
    with pytest.raises(UserError, match="no data set named 'min'; it has mine; did you mean 'mine'"):
        main(download_params(dataset="min", source="catalogue.yaml"), root)


@pytest.mark.parametrize("stored", [False, True])
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(root: Path, stored: bool) -> None:
    """A limit on the size of files stands in for the full disk: the write fails in the same place."""
    if stored:
        main(PARAMS, root)
        (root / "data/raw/raw.json").write_text("old")
    before = contents(root / "data/raw") if stored else {}
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))"
    run = "import stages.download as d; d.run_stage('download', d.main, d.DownloadParams)"
    process = subprocess.run(
        [sys.executable, "-c", f"{limit}; {run}"], cwd=root, env=module_path(), capture_output=True, text=True, check=False
    )
    full = "data/raw" if stored else next(root.rglob("*.partial")).relative_to(root)
    assert process.returncode == 1
    assert process.stderr.splitlines() == [f"error: {full}: File too large"]
    assert (contents(root / "data/raw") if stored else {}) == before
    assert [path.name for path in root.glob("data/*")] == (["raw"] if stored else [])


def module_path() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT)}


def test_a_missing_mirror_folder_ends_the_command_with_one_line(root: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "stages.download"],
        cwd=root,
        env=module_path() | {"DATASET_MIRROR": "none"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 1
    assert process.stderr.startswith("error: DATASET_MIRROR: must be a folder or an http(s) address")
    assert len(process.stderr.splitlines()) == 1
    assert not (root / "data").exists()


def test_the_stage_imports_no_framework() -> None:
    code = "import sys, stages.download; print({'torch', 'sklearn', 'pandas', 'numpy'} & {*sys.modules})"
    process = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert process.stdout == "set()\n"
