"""What `.dvcignore` may hide from DVC. What its rules for code mean to DVC itself is in test_modules.py."""

from pathlib import Path

import pytest

from tests.pipeline import Repository
from tools.check import problems
from tools.ignored import CODE_RULES, IGNORE_FILE, ignore_problems

SOURCE = Path(__file__).parents[1]
DECLARED = ["pictures", "/elsewhere/pictures", "classifier/common", "stages/train.py", "data/csv", "metrics/test.json"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with this repository's rules."""
    (tmp_path / IGNORE_FILE).write_text((SOURCE / IGNORE_FILE).read_text(encoding="utf-8"), encoding="utf-8")
    return tmp_path


def add(root: Path, rule: str) -> None:
    with (root / IGNORE_FILE).open("a", encoding="utf-8") as file:
        file.write(f"{rule}\n")


def found(root: Path) -> list[str]:
    return [line.removeprefix(f"{root}/") for line in ignore_problems(root, DECLARED)]


def test_these_rules_hide_nothing_else(root: Path) -> None:
    assert found(root) == []


@pytest.mark.parametrize(
    "rule",
    [
        *("*.csv", "train.csv", "data", "data/", "/data", "data/csv/train.csv", "**/x", "/*/x.npy", "d?ta/x", "[d]ata/x"),
        *("!*.pyc", "/pictures/cats/", "pictures", "metrics/", "metrics/*.json", "\\data/x"),
    ],
)
def test_a_rule_that_may_hide_what_stages_read_or_write(root: Path, rule: str) -> None:
    add(root, rule)
    assert len(found(root)) == 1
    assert found(root)[0].startswith(".dvcignore: the rule ")
    assert found(root)[0].endswith("remove it, or bind it to another folder, as /runs/ is")


@pytest.mark.parametrize(
    "rule", ["# *.csv", "", "  ", "/notebooks/", "notebooks/*.csv", "!/notebooks/a", ".DS_Store", "Thumbs.db", "data/.b/", ".*"]
)
def test_a_rule_about_what_no_stage_looks_at(root: Path, rule: str) -> None:
    add(root, rule)
    assert found(root) == []


@pytest.mark.parametrize("rule", ["/classifier/common/files.py", "!/stages/*.json", "classifier/*.py"])
def test_another_rule_about_code(root: Path, rule: str) -> None:
    add(root, rule)
    assert any(line.startswith(".dvcignore: needs these rules for the folders of code, in this order") for line in found(root))


def test_rules_for_code_that_are_lacking_or_in_another_order(root: Path) -> None:
    for rules in ([], CODE_RULES[1:], CODE_RULES[::-1]):
        (root / IGNORE_FILE).write_text("\n".join(rules), encoding="utf-8")
        assert len(found(root)) == 1
    (root / IGNORE_FILE).unlink()
    assert len(found(root)) == 1
    (root / IGNORE_FILE).write_bytes(b"\xff\xfe")
    assert len(found(root)) == 2


@pytest.mark.parametrize("folder", ["classifier", "classifier/common/deep", "data", "metrics"])
def test_rules_in_another_folder(root: Path, folder: str) -> None:
    (root / folder).mkdir(parents=True)
    (root / folder / IGNORE_FILE).write_text("*\n")
    assert found(root) == [f"{folder}/.dvcignore: DVC obeys it, and the stages do not; remove it"]


def test_a_rule_makes_dvc_lock_lie_and_is_named(tmp_path: Path) -> None:
    """DVC goes over the hidden file without a word; so does `dvc status` when it changes."""
    repository = Repository(tmp_path / "project", threads=1)
    add(repository.root, "train.csv")
    repository.dvc("repro", "convert")
    (repository.root / "data/csv/train.csv").unlink()
    assert "up to date" in repository.dvc("status", "convert")
    [told] = problems(repository.root)
    assert told.startswith(f"{repository.root}/.dvcignore: the rule 'train.csv' may hide from DVC what stages read or write; ")
