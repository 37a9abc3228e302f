"""`make quickstart` after set-up: which data set, what it says, and what it runs. A stand-in for DVC notes how it is called."""

import gzip
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from classifier.common.errors import UserError
from tests.support import warm
from tests.support.file_server import FileServer, file_server
from tools.quickstart import where_to_look, with_fallback, without_fallback

SOURCE = Path(__file__).parents[2]
FILES = {
    role: (f"{role}.gz", gzip.compress(role.encode(), mtime=0))
    for role in ("train_images", "train_labels", "test_images", "test_labels")
}
STAND_IN = """
import json, os, pathlib, sys, time
with open("calls", "a") as calls:
    print(*sys.argv[1:], file=calls)
if sys.argv[1] == "status":
    sys.exit(int(os.environ.get("STATUS", "1")))
if "SLOW" in os.environ:
    try:
        print("at work", flush=True)
        time.sleep(20)
    except KeyboardInterrupt:
        time.sleep(0.6)
        pathlib.Path("calls").write_text("ended in its own time")
        sys.exit(255)
pathlib.Path("metrics").mkdir(exist_ok=True)
pathlib.Path("metrics/test.json").write_text(json.dumps({"test_accuracy": 0.5}))
sys.exit(int(os.environ.get("REPRO", "0")))
"""


class Project:
    """A copy of this project in which fashion_mnist is four tiny files that nobody has, at one address."""

    def __init__(self, root: Path, address: str) -> None:
        self.root = root
        for name in ("classifier", "record", "stages", "tools"):
            shutil.copytree(SOURCE / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("params.yaml", "dvc.yaml", ".dvcignore"):
            shutil.copy(SOURCE / name, root / name)
        without = without_fallback((root / "params.yaml").read_bytes())
        assert b"\ndataset: fashion_mnist\n" in without
        (root / "params.yaml").write_bytes(without)
        catalogue = yaml.safe_load((SOURCE / "catalogue.yaml").read_text(encoding="utf-8"))
        catalogue["fashion_mnist"]["files"] = {
            role: {"name": name, "size": len(content), "md5": hashlib.md5(content).hexdigest(), "urls": [f"{address}/{name}"]}
            for role, (name, content) in FILES.items()
        }
        (root / "catalogue.yaml").write_text(yaml.safe_dump(catalogue), encoding="utf-8")
        (root / "dvc").mkdir()
        (root / "dvc/__init__.py").touch()
        (root / "dvc/__main__.py").write_text(STAND_IN, encoding="utf-8")
        self.before = self.params

    @property
    def params(self) -> bytes:
        return (self.root / "params.yaml").read_bytes()

    @property
    def calls(self) -> list[str]:
        """What the stand-in for DVC was asked to do, since the last time this was read."""
        path = self.root / "calls"
        said = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return said

    def start(self, python: str = sys.executable, **environment: str) -> subprocess.Popen[str]:
        inherited = {name: value for name, value in os.environ.items() if name not in ("DATASET_MIRROR", "DVC_ROOT")}
        return subprocess.Popen(
            [python, "-m", "tools.quickstart"],
            cwd=self.root,
            env=inherited | {"NO_PROXY": "127.0.0.1"} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def quickstart(self, status: int = 0, **environment: str) -> str:
        """All that it printed; fails unless its exit status is `status`."""
        process = self.start(warm.python(), **environment)
        said, _ = process.communicate()
        assert process.returncode == status, said
        return said

    def mirror(self) -> Path:
        """A folder that has the files after all."""
        folder = self.root / "mirror/fashion_mnist"
        folder.mkdir(parents=True)
        for name, content in FILES.values():
            (folder / name).write_bytes(content)
        return folder.parent


@pytest.fixture
def server() -> Iterator[FileServer]:
    """It answers 404 to everything."""
    with file_server() as running:
        yield running


@pytest.fixture
def project(tmp_path: Path, server: FileServer) -> Project:
    return Project(tmp_path, server.address)


def test_without_a_source_the_digits_stand_in_until_there_is_one(project: Project) -> None:
    said = project.quickstart()
    changed = b"\ndataset: digits  # put by make quickstart in place of fashion_mnist\n"
    assert project.params == project.before.replace(b"\ndataset: fashion_mnist\n", changed)
    assert re.search(r"^fashion_mnist/\w+\.gz: no source gave the right file: .*HTTP 404", said, re.MULTILINE)
    sentence = next(line for line in said.splitlines() if line.startswith("No source of fashion_mnist answered"))
    for part in ("digits inside scikit-learn", "`dataset: digits`", "git checkout HEAD -- ", "tries fashion_mnist again."):
        assert part in sentence
    assert "Test accuracy: 50.00%" in said
    assert project.calls == ["status --quiet download", "repro"]

    again = project.params
    project.quickstart()
    assert project.params == again

    said = project.quickstart(DATASET_MIRROR=str(project.mirror()))
    assert project.params == project.before
    assert "No source" not in said
    assert sorted(path.name for path in project.root.glob(".dvc/tmp/downloads/fashion_mnist/*/*.gz")) == sorted(
        name for name, _ in FILES.values()
    )


@pytest.mark.slow
def test_a_host_that_refuses_the_connection_is_out_of_reach_too(tmp_path: Path) -> None:
    project = Project(tmp_path, "http://127.0.0.1:9")
    assert "No source of fashion_mnist answered" in project.quickstart()


def test_what_is_there_already_is_not_swapped(project: Project) -> None:
    """DVC has the data although the download store was emptied: the stage will not run."""
    assert "No source" not in project.quickstart(STATUS="0")
    assert project.params == project.before
    assert project.calls == ["status --quiet download", "repro"]


def test_wrong_bytes_are_an_error_and_no_reason_to_swap(project: Project) -> None:
    mirror = project.mirror()
    (mirror / "fashion_mnist/train_labels.gz").write_bytes(b"x" * len(FILES["train_labels"][1]))
    said = project.quickstart(status=1, DATASET_MIRROR=str(mirror))
    assert "error: fashion_mnist/train_labels.gz: no source gave the right file" in said
    assert "Traceback" not in said
    assert project.params == project.before
    assert project.calls == []


def test_a_mirror_that_does_not_exist_is_an_error(project: Project) -> None:
    assert "error: DATASET_MIRROR: must be a folder" in project.quickstart(status=1, DATASET_MIRROR="/no/such/mirror")
    assert project.params == project.before


def test_a_person_who_chose_digits_keeps_them(project: Project) -> None:
    chosen = project.params.replace(b"\ndataset: fashion_mnist\n", b"\ndataset: digits\n")
    (project.root / "params.yaml").write_bytes(chosen)
    project.quickstart()
    project.quickstart(DATASET_MIRROR=str(project.mirror()))
    assert project.params == chosen


def test_a_bad_param_is_found_before_dvc_runs(project: Project) -> None:
    (project.root / "params.yaml").write_bytes(project.params.replace(b"\nlr: ", b"\nlr: -"))
    said = project.quickstart(status=1, DATASET_MIRROR=str(project.mirror()))
    assert "params.yaml: lr must be greater than 0" in said
    assert project.calls == []


def test_a_failed_run_fails_the_command(project: Project) -> None:
    assert "Test accuracy" not in project.quickstart(status=3, DATASET_MIRROR=str(project.mirror()), REPRO="3")


def test_ctrl_c_lets_dvc_end_in_its_own_time(project: Project) -> None:
    process = project.start(DATASET_MIRROR=str(project.mirror()), SLOW="1")
    assert process.stdout is not None
    while "at work" not in process.stdout.readline():
        assert process.poll() is None
    time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait() == 130
    assert project.calls == ["ended in its own time"]
    assert process.communicate()[0] == ""


other_bytes = st.binary().filter(lambda text: b"dataset:" not in text)


@given(
    before=other_bytes.map(lambda text: text + b"\n") | st.just(b""),
    value=st.sampled_from([b"mnist", b"'kmnist'", b"mnist   # mine", b"my set "]),
    after=other_bytes.map(lambda text: b"\n" + text) | other_bytes.map(lambda text: b"\r\n" + text) | st.just(b""),
)
def test_the_swap_changes_one_line_and_can_be_undone(before: bytes, value: bytes, after: bytes) -> None:
    text = before + b"dataset: " + value + after
    swapped = before + b"dataset: digits  # put by make quickstart in place of " + value + after
    assert with_fallback(text) == swapped
    assert without_fallback(swapped) == text
    assert without_fallback(text) == text


@pytest.mark.parametrize(
    "text",
    [
        b"dataset: digits\n",
        b"dataset: mnist  # put by make quickstart in place of fashion_mnist\n",
        b"#dataset: digits  # put by make quickstart in place of fashion_mnist\n",
    ],
)
def test_lines_of_another_hand_stay(text: bytes) -> None:
    assert without_fallback(text) == text


@pytest.mark.parametrize("text", [b"{dataset: mnist}\n", b"dataset: a\ndataset: b\n", b"dataset:\n  mnist\n"])
def test_a_file_it_cannot_change_by_one_line_is_refused(text: bytes) -> None:
    with pytest.raises(UserError, match=r"params\.yaml: needs one line like `dataset: fashion_mnist`"):
        with_fallback(text)


def test_the_end_shows_the_accuracy_and_the_pictures(tmp_path: Path) -> None:
    for name in ("metrics", "plots"):
        (tmp_path / name).mkdir()
    (tmp_path / "metrics/test.json").write_text(json.dumps({"test_loss": 0.3, "test_accuracy": 0.91237}), encoding="utf-8")
    for name in ("b.png", "a.png", "a.csv"):
        (tmp_path / "plots" / name).touch()
    said = where_to_look(tmp_path)
    assert "Test accuracy: 91.24%" in said
    assert "  plots/a.png\n  plots/b.png\n" in said
    assert "a.csv" not in said
