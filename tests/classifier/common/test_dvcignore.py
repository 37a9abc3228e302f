"""What `.dvcignore` may hide from DVC. What its rules for code mean to DVC itself is in test_modules.py."""

import shutil
from pathlib import Path

import pytest
from dvc.fs import localfs
from dvc.ignore import DvcIgnoreFilter

from classifier.common.dvcignore import CODE_RULES, HARMLESS, IGNORE_FILE, check_not_ignored, ignore_problems
from classifier.common.errors import UserError
from classifier.sources.files import LEFT_BY_SYSTEMS
from record.revisions import find_revision
from tests.support.pipeline import Repository
from tools.check import problems
from tools.fresh import stale_lines

SOURCE = Path(__file__).parents[3]
DECLARED = [
    "pictures",
    "/elsewhere/photos",
    "../photos",
    "classifier/common",
    "stages/train.py",
    "data/csv",
    "metrics/test.json",
    ".",
]
FILES = ["pictures/cats/1.png", "data/csv/train.csv", "metrics/test.json", "classifier/common/a.py", "stages/train.py"]
SAYS = "may hide from DVC what stages read or write; remove it, or bind it to another folder, as /runs/ is"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with this repository's rules."""
    shutil.copy(SOURCE / IGNORE_FILE, tmp_path)
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def add(root: Path, rule: str) -> None:
    with (root / IGNORE_FILE).open("a", encoding="utf-8") as file:
        file.write(f"{rule}\n")


def found(root: Path) -> list[str]:
    return [line.removeprefix(f"{root}/") for line in ignore_problems(root, DECLARED)]


def hidden(root: Path) -> list[str]:
    """Those of FILES that DVC itself does not see."""
    ignore = DvcIgnoreFilter(localfs, str(root))
    return [name for name in FILES if ignore.is_ignored_file(str(root / name))]


def test_these_rules_hide_nothing_else(root: Path) -> None:
    assert found(root) == hidden(root) == []


@pytest.mark.parametrize(
    "rule",
    [
        *("*.csv", "train.csv", "data", "data/", "/data", "data/csv/train.csv", "**/cats", "/*/csv", "d?ta/csv", "[d]ata/csv"),
        *("/pictures/cats/", "pictures", "metrics/", "metrics/*.json", "\\data/csv", "pic*/cats", "**", "*", "/stages/*.py"),
        *("/classifier/common/a.py", "classifier/common", "[^x]ata/csv"),
    ],
)
def test_a_rule_that_hides_what_stages_read_or_write(root: Path, rule: str) -> None:
    add(root, rule)
    assert hidden(root)
    assert found(root) == [f".dvcignore: the rule {rule!r} {SAYS}"]


@pytest.mark.parametrize("rule", ["!*.pyc", "!**/.*", "!*/**/.a.py", ".*", ".*/", "x.json", "![x]", "\ufeff# a comment"])
def test_a_rule_that_might(root: Path, rule: str) -> None:
    """For what a stage reads, another time; or for files in folders of code that do not count."""
    add(root, rule)
    assert len(found(root)) == 1
    assert found(root)[0].endswith(SAYS)


@pytest.mark.parametrize(
    "rule",
    [
        *(
            "# *.csv",
            "#*.csv",
            "",
            "  ",
            "/notebooks/",
            "notebooks/*.csv",
            "!/notebooks/a",
            "/runs*/",
            "/README.md",
            "# a\u2028*.csv",
        ),
        *("/data.old/", "//data", "./data", *sorted(HARMLESS)),
    ],
)
def test_a_rule_about_what_no_stage_looks_at(root: Path, rule: str) -> None:
    add(root, rule)
    assert hidden(root) == found(root) == []


def test_the_harmless_names_are_those_that_pictures_are_not_read_from() -> None:
    assert {rule.lower() for rule in HARMLESS} >= LEFT_BY_SYSTEMS


def test_rules_for_code_that_are_lacking_or_in_another_order(root: Path) -> None:
    file = root / IGNORE_FILE
    for rules in (CODE_RULES[1:], CODE_RULES[::-1], CODE_RULES[:1]):
        file.write_text("\n".join(rules), encoding="utf-8")
        assert found(root) == [f".dvcignore: needs these rules for the folders of code, in this order: {' '.join(CODE_RULES)}"]
        with pytest.raises(UserError, match=r"needs these rules"):
            check_not_ignored(root, DECLARED)
    assert hidden(root) == ["classifier/common/a.py"]
    file.unlink()
    assert len(found(root)) == 1
    check_not_ignored(root, DECLARED)  # DVC sees too much, which is no lie


def test_what_is_no_text(root: Path) -> None:
    (root / IGNORE_FILE).write_bytes(b"# caf\xe9\n")
    with pytest.raises(UserError, match=r"\.dvcignore: needs UTF-8; 'utf-8' codec can't decode byte 0xe9"):
        found(root)
    (root / IGNORE_FILE).unlink()
    (root / IGNORE_FILE).mkdir()
    with pytest.raises(IsADirectoryError):
        found(root)


@pytest.mark.parametrize("folder", ["data", "metrics"])
def test_rules_in_another_folder(root: Path, folder: str) -> None:
    (root / folder / IGNORE_FILE).write_text("*\n")
    assert hidden(root) == [name for name in FILES if name.startswith(folder)]
    [line] = found(root)
    assert line.endswith(f"{folder}/.dvcignore': DVC obeys it, and the stages do not; remove it")


def test_rules_in_a_folder_of_code_mean_nothing_to_dvc(root: Path) -> None:
    (root / "classifier/common" / IGNORE_FILE).write_text("*\n")
    assert hidden(root) == found(root) == []


def test_an_absolute_path_into_the_project(root: Path) -> None:
    add(root, "/pictures/cats/")
    assert len(ignore_problems(root, [str(root / "pictures")])) == 1
    assert ignore_problems(root, ["/elsewhere/pictures"]) == []


def test_a_rule_that_makes_dvc_blind_stops_the_stage_and_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without that, dvc.lock has data/csv without the file, and `dvc status` calls it up to date when the file is gone."""
    repository = Repository(tmp_path / "project", threads=1)
    repository.dvc("repro", "download")
    add(repository.root, "train.csv")
    line = f".dvcignore: the rule 'train.csv' {SAYS}"
    assert f"error: {line}\n" in repository.dvc("repro", "convert", status=255)
    assert not (repository.root / "data/csv").exists()
    assert problems(repository.root) == [f"{repository.root}/{line}"]
    monkeypatch.chdir(repository.root)
    with pytest.raises(UserError, match=r"^workspace:\.dvcignore: the rule 'train\.csv' may hide"):
        stale_lines(find_revision("workspace"))
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message", "a rule")
    with pytest.raises(UserError, match=r"^HEAD:\.dvcignore: the rule 'train\.csv' may hide"):
        stale_lines(find_revision("HEAD"))
