"""`python -m tools.check` finds every problem before anything runs, one line each."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import warm
from tools.check import problems

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ("stages", "classifier"):
        shutil.copytree(REPOSITORY / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("params.yaml", "dvc.yaml", "catalogue.yaml", ".dvcignore"):
        shutil.copy(REPOSITORY / name, tmp_path / name)
    return tmp_path


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_this_repository_has_none() -> None:
    assert problems(REPOSITORY) == []


def test_all_problems_of_the_params_come_at_once(copy: Path) -> None:
    edit(copy / "params.yaml", "lr: 0.009", "lr: -0.001\nweight_decy: 0")
    edit(copy / "params.yaml", "seed: 0", "seed: -1")
    edit(copy / "params.yaml", "epochs: 5\n", "")
    assert [line.removeprefix(f"{copy}/") for line in problems(copy)] == [
        "params.yaml: no stage in dvc.yaml uses the key 'weight_decy'; did you mean 'weight_decay'?",
        "params.yaml: seed must be greater than or equal to 0, got -1",
        "params.yaml: lr must be greater than 0, got -0.001",
        "params.yaml: the key 'epochs' is missing",
    ]


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("params.yaml", "dataset: fashion_mnist", "dataset: fashon_mnist", "fashion_mnist"),
        ("params.yaml", "source: catalogue.yaml", "source: nowhere.yaml", r"nowhere\.yaml: no such file"),
        ("params.yaml", "image_size: 28", "image_size: 7", "network 'pyramid' needs images of 8x8 pixels or more, got 7x7;"),
        (
            "params.yaml",
            "augment: auto",
            "augment: [flip, flip]",
            "augment must name each augmentation once, got 'flip' twice",
        ),
        ("params.yaml", "lr: 0.009", "lr: [", r"params\.yaml: not readable as YAML"),
        ("dvc.yaml", "      - lr\n", "", r"stage train: its code uses but dvc\.yaml does not list the param lr"),
        (
            "dvc.yaml",
            "      - lr\n",
            "      - lr\n      - lrr\n",
            r"stage train: dvc\.yaml lists but its code does not use the param lrr",
        ),
        (
            "dvc.yaml",
            "      - classifier/training\n",
            "",
            r"stage train: its code uses but dvc\.yaml does not list the dependency classifier/training/loop\.py",
        ),
        (
            "dvc.yaml",
            "      - classifier/images\n      - classifier/sources\n",
            "      - classifier/sources\n",
            r"stage download: its code uses but dvc\.yaml does not list the dependency classifier/images/schema\.py",
        ),
        (
            "dvc.yaml",
            "      - classifier/training\n",
            "      - classifier/trainings\n      - classifier/training\n",
            r"stage train: dvc\.yaml lists but its code does not use the dependency classifier/trainings",
        ),
        (
            "dvc.yaml",
            "      - classifier/training\n",
            "      - classifier/figures\n      - classifier/training\n",
            r"stage train: dvc\.yaml lists but its code does not use the dependency classifier/figures$",
        ),
        (
            "dvc.yaml",
            "      - classifier/training\n",
            "      - classifier/figures/charts.py\n      - classifier/training\n",
            r"stage train: dvc\.yaml lists but its code does not use the dependency classifier/figures/charts\.py$",
        ),
        ("params.yaml", "source: catalogue.yaml", "source: ''", r"params\.yaml: source must have at least 1 character, got ''"),
        (
            "params.yaml",
            "source: catalogue.yaml",
            "source: .",
            r": found a folder; dataset 'fashion_mnist' needs as source the catalogue",
        ),
        (
            "dvc.yaml",
            "    outs:\n      - data/raw\n",
            "    outs:\n",
            r"dvc\.yaml: stages\.download\.outs: needs a list of names, got None",
        ),
        (
            "dvc.yaml",
            "    outs:\n      - data/raw\n",
            "    outs:\n      - 5\n",
            r"dvc\.yaml: stages\.download\.outs: needs a list of names, got \[5\]",
        ),
        (
            "dvc.yaml",
            "    outs:\n      - data/raw\n",
            "    outs:\n      - ''\n",
            r"dvc\.yaml: stages\.download\.outs: needs a list of names, got",
        ),
        (
            "dvc.yaml",
            "      - class_depth\n      - dataset\n",
            "      - class_depth\n      - {}\n",
            r"stage download: its code uses but dvc\.yaml does not list the param dataset",
        ),
        (".dvcignore", "/runs/", "*.csv", r"\.dvcignore: the rule '\*\.csv' may hide from DVC what stages read or write"),
        ("dvc.yaml", "stages:", "stagez:", r"dvc\.yaml: needs a mapping `stages:`"),
        ("dvc.yaml", "stages:\n", "stages: 3\nothers:\n", r"dvc\.yaml: needs a mapping below `stages:` for each stage, got 3"),
        ("stages/plot.py", "import", "imp ort", "invalid syntax"),
    ],
)
def test_each_problem_is_named(copy: Path, file: str, old: str, new: str, message: str) -> None:
    edit(copy / file, old, new)
    found = problems(copy)
    assert any(re.search(message, line) for line in found), found


def test_a_room_may_hold_more_than_the_stage_imports_and_all_that_it_imports_is_listed(copy: Path) -> None:
    for name in ("notes.txt", ".DS_Store", "loop.py~", "__pycache__/spare.cpython-311.pyc", "spare.py"):
        (copy / "classifier/training" / name).parent.mkdir(exist_ok=True)
        (copy / "classifier/training" / name).touch()
    assert problems(copy) == []
    edit(copy / "dvc.yaml", "      - classifier/training\n", files_of(copy, "classifier/training", but="spare.py"))
    assert problems(copy) == []
    (copy / "stages/train.py").write_text("import classifier.training.spare\n" + (copy / "stages/train.py").read_text())
    assert problems(copy) == [
        f"{copy}/dvc.yaml: stage train: its code uses but dvc.yaml does not list the dependency classifier/training/spare.py"
    ]


@pytest.mark.parametrize("name", ["a-b.py", "broken.py", "odd.py", "two\nlines.py"])
def test_what_git_dvc_and_python_take_for_different_things(copy: Path, name: str) -> None:
    path = copy / "classifier/training" / name
    if name == "broken.py":
        path.symlink_to("nowhere.py")
    elif name == "odd.py":
        path.mkdir()
    else:
        path.touch()
    assert any("needs a plain file with a name that Python can import; rename or remove it" in line for line in problems(copy))


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("classifier/training/", "write classifier/training for the dependency classifier/training/"),
        ("./classifier/training", "write classifier/training for the dependency ./classifier/training"),
        ("classifier/empty", "the dependency classifier/empty needs a folder with modules in it"),
    ],
)
def test_a_folder_of_code_is_written_in_one_way_and_has_modules(copy: Path, written: str, message: str) -> None:
    (copy / "classifier/empty").mkdir()
    edit(copy / "dvc.yaml", "      - classifier/training\n", f"      - {written}\n")
    assert any(line.endswith(f"stage train: {message}") for line in problems(copy)), problems(copy)


def files_of(root: Path, folder: str, but: str) -> str:
    names = sorted(path.name for path in (root / folder).glob("*.py") if path.name != but)
    return "".join(f"      - {folder}/{name}\n" for name in names)


def test_what_a_killed_dvc_left_comes_first_and_hides_nothing(copy: Path) -> None:
    edit(copy / "params.yaml", "seed: 0", "seed: -1")
    (copy / ".dvc/tmp").mkdir(parents=True)
    (copy / ".dvc/tmp/rwlock").touch()
    (copy / "dvc.lock").touch()
    assert [line.removeprefix(f"{copy}/") for line in problems(copy)] == [
        "dvc.lock: empty, as when `dvc` is killed or the disk is full; run `rm dvc.lock`, then `dvc repro`: "
        "finished stages come from the cache",
        f".dvc/tmp/rwlock: damaged, for instance by a kill, and every `dvc` command fails; when no `dvc` runs here, "
        f"`rm {copy}/.dvc/tmp/rwlock`",
        "params.yaml: seed must be greater than or equal to 0, got -1",
    ]


def test_the_command_prints_the_lines_and_exits_with_1(copy: Path) -> None:
    for name in ("record", "tools"):
        shutil.copytree(REPOSITORY / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    command = [warm.python(), "-m", "tools.check"]
    good = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert (good.returncode, good.stdout, good.stderr) == (0, "", "")
    edit(copy / "params.yaml", "lr: 0.009", "lr: 0")
    bad = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert (bad.returncode, bad.stdout, bad.stderr) == (1, "", "params.yaml: lr must be greater than 0, got 0\n")


def test_checking_does_not_import_torch() -> None:
    program = "import sys, tools.check; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=False).returncode == 0
