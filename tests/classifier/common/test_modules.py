"""What counts of a folder of code, for our own looks at it and for DVC."""

from pathlib import Path, PurePath

import pytest
from dvc.fs import localfs
from dvc.ignore import DvcIgnoreFilter

from classifier.common.graph import counts, is_code, with_modules

REPOSITORY = Path(__file__).parents[3]
MODULES = ["__init__.py", "loop.py", "deep/er/loop.py"]
JUNK = [
    *("notes.txt", "README", "loop.py~", "loop.pyc", "#loop.py#", "deep/notes.txt", "core"),
    *(".DS_Store", ".loop.py.swp", ".#loop.py", "._loop.py", ".hidden/loop.py", ".ipynb_checkpoints/loop-checkpoint.py"),
    *("__pycache__/loop.cpython-311.pyc", "__pycache__/loop.py", "deep/__pycache__/loop.cpython-311.pyc"),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Modules and junk in folders of code, in a folder of data and in both packages."""
    for folder in ("classifier/training", "classifier", "stages", "data/raw", "data/classifier"):
        for name in (*MODULES, *JUNK):
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / folder / name).touch()
    (tmp_path / ".dvcignore").write_text((REPOSITORY / ".dvcignore").read_text())
    return tmp_path


def test_a_folder_of_code_stands_for_its_modules_and_all_else_for_itself(root: Path) -> None:
    deps = [Path(name) for name in ("data/raw", "stages/loop.py", "classifier/training", "classifier/gone", "requirements.txt")]
    modules = [Path("classifier/training", name) for name in sorted(MODULES)]
    assert with_modules(deps, root) == [*deps[:2], *modules, *deps[3:]]


@pytest.mark.parametrize("name", [*MODULES, *JUNK])
def test_modules_count_and_junk_does_not(name: str) -> None:
    assert counts(PurePath("classifier/training", name)) == (name in MODULES)
    assert counts(PurePath("data/classifier", name))


def test_code_lies_in_the_packages_of_the_project() -> None:
    code = ["classifier", "classifier/training", "classifier/images/schema.py", "stages/train.py"]
    other = [
        "data/classifier",
        "classifiers/x.py",
        "/classifier/x.py",
        "../classifier/x.py",
        "classifier/../x.py",
        "tools/check.py",
        "",
        ".",
    ]
    assert [name for name in (*code, *other) if is_code(PurePath(name))] == code


def test_dvc_sees_the_same_files(root: Path) -> None:
    """And every file of data, whatever it is called."""
    ignore = DvcIgnoreFilter(localfs, str(root))
    seen = {Path(file).relative_to(root) for file in ignore.find(localfs, str(root))}
    files = {path.relative_to(root) for path in root.rglob("*") if path.is_file()}
    assert seen == {path for path in files if counts(path) or not is_code(path)}
