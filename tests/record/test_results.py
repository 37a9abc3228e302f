"""What a review reads, from real git: every way to name a revision, and one line for whatever is wrong with it."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from classifier.common.errors import UserError
from record.results import Results, read_results
from record.revisions import find_revision
from tests.support import warm
from tests.support.review_case import TEST_HASH, Case
from tools.review.__main__ import main

SOURCE = Path(__file__).parents[2]
ACTUAL = [0, 1, 2, 0, 1, 2]
RIGHT, WRONG = ACTUAL, [0, 1, 2, 0, 1, 0]


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    """Two commits: `first`, tagged, with a mistake, and `main` without; the working folder."""
    case = Case(tmp_path / "a folder")
    monkeypatch.chdir(case.root)
    case.results(ACTUAL, WRONG)
    case.commit("first")
    case.git("tag", "first")
    case.results(ACTUAL, RIGHT, lr=0.002)
    case.commit("second")
    return case


def read(name: str) -> Results:
    return read_results(find_revision(name))


class TestNames:
    def test_a_tag_a_branch_a_short_commit_and_the_workspace(self, case: Case) -> None:
        commit = case.git("rev-parse", "first")
        for name in ("first", commit, commit[:8], "main~1", "HEAD^"):
            assert read(name).predicted_N.tolist() == WRONG
            assert read(name).revision.commit == commit
        assert read("workspace").predicted_N.tolist() == RIGHT
        assert read("workspace").revision.commit is None

    def test_the_workspace_is_what_is_not_committed(self, case: Case) -> None:
        case.results(ACTUAL, [1, 1, 2, 0, 1, 2])
        assert read("workspace").predicted_N.tolist() == [1, 1, 2, 0, 1, 2]
        assert read("HEAD").predicted_N.tolist() == RIGHT

    def test_an_experiment_and_one_of_two_of_the_same_name(self, case: Case) -> None:
        first, second = case.git("rev-parse", "first"), case.git("rev-parse", "main")
        case.git("update-ref", f"refs/exps/{second[:2]}/{second[2:]}/wispy-pods", first)
        assert read("wispy-pods").predicted_N.tolist() == WRONG
        case.git("update-ref", f"refs/exps/{first[:2]}/{first[2:]}/wispy-pods", second)
        assert read("wispy-pods").revision.commit == first, "that of HEAD"
        case.commit("third")
        with pytest.raises(
            UserError, match=r"^wispy-pods: 2 experiments have this name; name one by its commit: \w{7}, \w{7}$"
        ):
            read("wispy-pods")

    def test_a_name_that_means_two_things(self, case: Case) -> None:
        """Git takes the tag before the branch, and both before an experiment, without a word that is seen."""
        first, second = case.git("rev-parse", "first"), case.git("rev-parse", "main")
        case.git("update-ref", f"refs/exps/{first[:2]}/{first[2:]}/main", first)
        meanings = f"the branch refs/heads/main or the experiment {first[:7]}"
        with pytest.raises(UserError, match=rf"^main: may be {meanings}; write refs/heads/main or {first[:7]}$"):
            read("main")
        assert read("refs/heads/main").revision.commit == second
        assert read(first[:7]).revision.commit == first
        case.git("branch", "first", "main")
        with pytest.raises(
            UserError,
            match=r"^first: may be the branch refs/heads/first or the tag refs/tags/first; write refs/heads/first or refs",
        ):
            read("first")
        assert read("refs/tags/first").revision.commit == first
        case.git("branch", "--force", "first", "refs/tags/first")
        assert read("first").revision.commit == first, "both are the same"

    @pytest.mark.parametrize("name", ["nothing", "EXEC_HEAD", "", "--all", "first:params.yaml", "main\n", "."])
    def test_an_unknown_one_is_refused(self, case: Case, name: str) -> None:
        case.git("update-ref", "refs/exps/exec/EXEC_HEAD", "HEAD")
        with pytest.raises(UserError, match="git knows no such revision and DVC no such experiment; see `git branch --all`"):
            find_revision(name)

    def test_in_a_folder_of_the_repository(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The project may be a part of a larger repository."""
        around = Case(tmp_path / "around")
        shutil.rmtree(around.root / ".git")
        inner = Case(around.root / "the project")
        shutil.rmtree(inner.root / ".git")
        around.git("init", "--quiet")
        around.git("config", "user.name", "Test")
        around.git("config", "user.email", "test@example.com")
        inner.results(ACTUAL, WRONG)
        around.commit()
        monkeypatch.chdir(inner.root)
        assert read("HEAD").predicted_N.tolist() == WRONG

    def test_a_bare_repository_has_revisions_but_no_workspace(self, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
        case.git("clone", "--quiet", "--bare", ".", "../bare")
        monkeypatch.chdir(case.root.parent / "bare")
        assert read("main").predicted_N.tolist() == RIGHT
        assert main(["first", "main"]) == 0
        with pytest.raises(UserError, match=r"^workspace: a bare repository has none; name two revisions"):
            main(["main"])

    def test_without_a_repository_or_without_git(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UserError, match=r"^git: not a git repository.*; run this in a folder of the project's repository$"):
            find_revision("HEAD")
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(UserError, match=r"^git: not found; a review compares what git holds, so install git first$"):
            find_revision("HEAD")


def replace(name: str, old: str, new: str) -> Callable[[Case], None]:
    def damage(case: Case) -> None:
        text = (case.root / name).read_text(encoding="utf-8")
        assert old in text
        case.write(name, text.replace(old, new, 1))

    return damage


def write(name: str, text: str) -> Callable[[Case], None]:
    return lambda case: case.write(name, text)


def remove(name: str) -> Callable[[Case], None]:
    return lambda case: (case.root / name).unlink()


def edit_json(name: str, **figures: Any) -> Callable[[Case], None]:
    def damage(case: Case) -> None:
        values = json.loads((case.root / name).read_text(encoding="utf-8"))
        case.write(name, json.dumps(values | figures))

    return damage


PREDICTIONS, TEST, LOCK = "plots/predictions.csv", "metrics/test.json", "dvc.lock"
DAMAGES = [
    (remove(PREDICTIONS), r"has no plots/predictions\.csv; run `dvc repro` there and commit its results"),
    (remove(LOCK), "has no dvc.lock; run `dvc repro`"),
    (write(PREDICTIONS, ""), "predictions.csv: not readable as CSV"),
    (write(PREDICTIONS, "actual,predicted\ncat,cat\n"), "predictions.csv: needs the column 'confidence'"),
    (replace(PREDICTIONS, "0.75,0.5", "0.75,nan"), "predictions.csv: row 1, column 'loss': needs a number, found 'nan'"),
    (replace(PREDICTIONS, "0.75,0.5", "0.75"), "predictions.csv: row 1: needs 4 cells, found 3"),
    (replace(PREDICTIONS, "cat", "horse"), "predictions.csv: 'horse' is not a class of classes.csv"),
    (replace(PREDICTIONS, "cat,cat,0.75,0.5\n", ""), "predictions.csv: needs the 6 images .* found 5 rows of other counts"),
    (replace("plots/classes.csv", "dog", "cat"), "classes.csv: needs each class once"),
    (replace("plots/history.csv", "epoch", "step"), "history.csv: needs the column 'epoch'"),
    (write(TEST, "{"), "test.json: the file: Invalid JSON"),
    (write(TEST, "[1]"), "test.json: the file: Input should be an object, got"),
    (edit_json(TEST, test_loss="low"), "test.json: test_loss: Input should be a valid number, got 'low'"),
    (write(TEST, '{"test_loss": NaN}'), "test.json: .*"),
    (write(TEST, '{"test_loss": 0.5}'), "test.json: needs test_accuracy"),
    (edit_json(TEST, test_accuracy=0.5), "test.json: test_accuracy is 0.5, but 1 by predictions.csv"),
    (edit_json(TEST, test_baseline_accuracy=0.9), r"test_baseline_accuracy is 0\.9, but 0\.[0-9]+ by predictions.csv"),
    (edit_json(TEST, test_balanced_accuracy=0.9), r"test_balanced_accuracy is 0\.9, but 1 by predictions.csv"),
    (edit_json(TEST, more=1), "metrics/test.json: is not the file that dvc.lock records; run `dvc repro`, and commit both"),
    (write(LOCK, "stages: {"), "dvc.lock: not readable as YAML"),
    (
        write(LOCK, "<<<<<<< HEAD\nstages: {}\n=======\n"),
        r"dvc\.lock: has merge conflicts; docs/guide/pull_requests\.md says how to resolve them$",
    ),
    (write(TEST, "<<<<<<< HEAD\n{}\n=======\n"), r"metrics/test\.json: has merge conflicts; docs/guide/pull_requests\.md"),
    (write(LOCK, "stages: []"), "dvc.lock: stages: Input should be .* dictionary, got .*; run `dvc repro`"),
    (write(LOCK, "schema: '2.0'"), "dvc.lock: stages: Field required"),
    (write(LOCK, "stages: {}"), "dvc.lock: needs a stage evaluate that reads data/dataset/test"),
    (
        replace(LOCK, f"md5: {TEST_HASH}", "md5: 7"),
        "dvc.lock: stages.evaluate.deps.0.md5: Input should be a valid string, got 7",
    ),
]


@pytest.mark.parametrize("committed", [True, False])
@pytest.mark.parametrize(("damage", "message"), DAMAGES)
def test_what_is_damaged_is_named(case: Case, damage: Callable[[Case], None], message: str, committed: bool) -> None:
    damage(case)
    if committed:
        case.commit("damage")
    name = "HEAD" if committed else "workspace"
    with pytest.raises(UserError, match=f"^{name}:.*{message}") as refused:
        read(name)
    assert "\n" not in str(refused.value)


def test_a_link_to_elsewhere_is_not_followed_in_a_commit(case: Case, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_bytes((case.root / PREDICTIONS).read_bytes())
    (case.root / PREDICTIONS).unlink()
    (case.root / PREDICTIONS).symlink_to(tmp_path / "secret.csv")
    case.commit()
    with pytest.raises(UserError, match=r"^HEAD:plots/predictions\.csv: needs the column 'actual'"):
        read("HEAD")


def test_the_command_line_prints_one_line_and_exits_with_1(case: Case) -> None:
    command = [warm.python(), "-m", "tools.review", "nothing"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(command, cwd=case.root, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"error: nothing: git knows no such revision .*\n", done.stderr)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tolerance", "0.1"], "--metric and --tolerance need --fail-on"),
        (["--fail-on", "worse", "--tolerance", "-1"], "must be 0 or more, got -1"),
        (["--fail-on", "worse", "--tolerance", "nan"], "must be 0 or more, got nan"),
        (["--fail-on", "worse", "--tolerance", "much"], "invalid .* value: 'much'"),
        (["--fail-on", "worse", "--metric", "train_loss"], "invalid choice: 'train_loss'"),
        (["--fail-on", "better"], "invalid choice: 'better'"),
        (["a", "b", "c"], "unrecognized arguments: c"),
    ],
)
def test_a_wrong_command_line_exits_with_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert re.search(message, capsys.readouterr().err)
