""".github/workflows/pipeline.yml: what it runs are scripts of this repository, with as few rights as will do."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from classifier.common.params import read_yaml
from tests.support import warm
from tests.support.github_server import GitHub, github_server
from tests.support.review_case import Case
from tools.review.markdown import MARK

SOURCE = Path(__file__).parents[2]
WORKFLOW = read_yaml(SOURCE / ".github/workflows/pipeline.yml")
NIGHTLY = read_yaml(SOURCE / ".github/workflows/nightly.yml")
JOB: dict[str, Any] = WORKFLOW["jobs"]["pipeline"]
STEPS: list[dict[str, Any]] = JOB["steps"]
RUN = [step["run"] for step in STEPS if "run" in step]
REVIEW = RUN[-1]
NUM_IMAGES = 300


class TestTheFile:
    def test_it_runs_scripts_of_this_repository_and_nothing_else(self) -> None:
        assert RUN == ["make test", "sh tools/ci/pipeline.sh", "sh tools/ci/review.sh --fail-on worse"]
        text = (SOURCE / ".github/workflows/pipeline.yml").read_text(encoding="utf-8")
        assert text.count("run: ") == len(RUN) and WORKFLOW["jobs"].keys() == {"pipeline"}
        assert all((SOURCE / line.split()[1]).is_file() for line in RUN[1:])

    def test_every_action_is_githubs_own_and_pinned_by_its_commit(self) -> None:
        """A tag can be moved to other code. The release stands behind the commit."""
        used = [step["uses"] for step in STEPS if "uses" in step]
        assert [name.partition("@")[0] for name in used] == ["actions/checkout", "actions/setup-python"]
        for path in (SOURCE / ".github/workflows").glob("*.yml"):
            lines = re.findall(r"uses: (.*)", path.read_text(encoding="utf-8"))
            assert [line.partition(" #")[0] for line in lines] == used
            assert all(re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line) for line in lines)

    def test_a_fork_gets_nothing_and_a_branch_may_only_write_comments(self) -> None:
        assert WORKFLOW["on"] == "pull_request"
        assert WORKFLOW["permissions"] == {}
        assert JOB["permissions"] == {"contents": "read", "pull-requests": "write"}
        assert STEPS[0]["with"] == {"fetch-depth": 0, "persist-credentials": False}
        with_token = [step["name"] for step in STEPS if "token" in str(step.get("env", {}))]
        assert with_token == ["Review"] and "token" not in str(JOB["env"])
        assert "secrets." not in str(WORKFLOW)

    def test_pips_cache_belongs_to_the_pins(self) -> None:
        options = STEPS[1]["with"]
        assert options["cache"] == "pip"
        pins = [path for pattern in options["cache-dependency-path"].split() for path in SOURCE.glob(pattern)]
        assert {path.name for path in pins} >= {"requirements.txt", "requirements-dev.txt", "constraints.txt"}


class TestTheNightlyFile:
    JOB: dict[str, Any] = NIGHTLY["jobs"]["nightly"]

    def test_it_sets_up_as_the_pipeline_does_and_runs_one_script(self) -> None:
        *set_up, last = self.JOB["steps"]
        assert set_up == STEPS[:2]
        assert last["run"] == "sh tools/ci/nightly.sh"
        assert (self.JOB["runs-on"], self.JOB["env"]) == (JOB["runs-on"], JOB["env"])

    def test_it_runs_once_a_night_and_may_only_read(self) -> None:
        assert NIGHTLY["on"].keys() == {"schedule", "workflow_dispatch"}
        (schedule,) = NIGHTLY["on"]["schedule"]
        assert re.fullmatch(r"\d+ \d+ \* \* \*", schedule["cron"])
        assert (NIGHTLY["permissions"], self.JOB["permissions"]) == ({}, {"contents": "read"})
        assert "secrets." not in str(NIGHTLY) and "token" not in str(NIGHTLY)

    @pytest.mark.parametrize("mirror", [True, False])
    def test_its_script_hands_the_official_files_to_the_nightly_tests(self, tmp_path: Path, mirror: bool) -> None:
        """With commands that say what they were asked in the place of make and Python."""
        for name, line in {
            "commands/make": 'echo "make $1"; [ "$1" = setup ] || ls "$DATASET_MIRROR/fashion_mnist/"',
            ".venv/bin/python": 'echo "$@"; mkdir -p data/raw; touch data/raw/images.gz',
        }.items():
            (tmp_path / name).parent.mkdir(parents=True)
            (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
            (tmp_path / name).chmod(0o755)
        (tmp_path / "mirror/fashion_mnist").mkdir(parents=True)
        (tmp_path / "mirror/fashion_mnist/mirrored.gz").touch()
        environment = os.environ | {"PATH": f"{tmp_path / 'commands'}{os.pathsep}{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
        environment["DATASET_MIRROR"] = str(tmp_path / "mirror") if mirror else ""
        command = ["sh", str(SOURCE / "tools/ci/nightly.sh")]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        fetched = ["make setup", "-m stages.download", "make test-nightly", "images.gz"]
        assert done.stdout.splitlines() == (["make test-nightly", "mirrored.gz"] if mirror else fetched)


@pytest.fixture
def github() -> Iterator[GitHub]:
    with github_server() as running:
        yield running


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """A checkout as the platform makes it: detached at the merge commit of a pull request, beside origin/main."""
    case = Case(tmp_path / "checkout")
    case.results([0, 1, 2] * (NUM_IMAGES // 3), [0, 1, 2] * (NUM_IMAGES // 3))
    case.commit("main")
    case.git("update-ref", "refs/remotes/origin/main", "HEAD")
    push(case, num_wrong=NUM_IMAGES // 3)
    return case


def push(case: Case, num_wrong: int) -> None:
    """A push to the pull request: the first images are answered wrong there."""
    case.git("checkout", "--quiet", "-B", "theirs", "refs/remotes/origin/main")
    actual = [0, 1, 2] * (NUM_IMAGES // 3)
    case.results(actual, [(label + (row < num_wrong)) % 3 for row, label in enumerate(actual)], lr=0.5)
    case.commit("pull request")
    case.git("checkout", "--quiet", "--detach", "refs/remotes/origin/main")
    case.git("merge", "--quiet", "--no-ff", "--message", "Merge", "theirs")


def run(case: Case, github: GitHub, summary: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The workflow's own line, in the checkout, with this project's tools."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GITHUB_")} | github.environment
    environment |= {"GITHUB_BASE_REF": "main", "GITHUB_STEP_SUMMARY": str(summary or os.devnull), "PYTHONPATH": str(SOURCE)}
    environment = warm.on_path(environment)
    command = [str(SOURCE / word) if word.startswith("tools/") else word for word in REVIEW.split()]
    return subprocess.run(command, cwd=case.root, env=environment, capture_output=True, text=True, check=False)


def test_a_regression_is_told_in_the_comment_and_fails_and_the_next_push_replaces_it(case: Case, github: GitHub) -> None:
    done = run(case, github)
    assert (done.returncode, done.stdout) == (3, "review: https://github.com/ann/project/pull/7#issuecomment-1000\n")
    assert done.stderr == "--fail-on worse: test_accuracy is worse by 0.3333, more than the tolerance of 0\n"
    [comment] = github.comments
    base, head = (case.git("rev-parse", "--short=7", name) for name in ("origin/main", "HEAD"))
    first = comment["body"]
    assert first.startswith(f"{MARK}\n\n### Review: `origin/main ({base})` → `HEAD ({head})`\n\n**Worse**: test accuracy")
    assert "| param `lr` | `0.001` | `0.5` | train |" in first
    push(case, num_wrong=1)
    done = run(case, github)
    assert (done.returncode, done.stderr) == (0, "")
    assert github.comments == [comment] and "**No evidence of a difference**" in comment["body"]


def test_a_branch_that_moved_on_since_is_not_what_it_is_compared_with(case: Case, github: GitHub) -> None:
    base = case.git("rev-parse", "--short=7", "HEAD^1")
    case.git("update-ref", "refs/remotes/origin/main", case.git("commit-tree", "-p", "HEAD", "-m", "later", "HEAD^{tree}"))
    assert run(case, github).returncode == 3
    assert f"### Review: `{base}` → " in github.comments[0]["body"]


def test_results_that_were_made_here_are_the_ones_reviewed(case: Case, github: GitHub) -> None:
    case.results([0, 1, 2] * (NUM_IMAGES // 3), [0, 1, 2] * (NUM_IMAGES // 3), lr=0.5)
    assert run(case, github).returncode == 0
    assert re.search(r"→ `workspace`\n\n\*\*No difference\*\*", github.comments[0]["body"])


def test_no_review_replaces_the_one_of_an_earlier_push(case: Case, github: GitHub) -> None:
    github.add(f"{MARK}\n\nof an earlier push")
    (case.root / "metrics/test.json").write_text('{"@ann": "```"}', encoding="utf-8")
    case.git("commit", "--quiet", "--all", "--amend", "--no-edit")
    done = run(case, github)
    assert done.returncode == 1
    assert re.fullmatch(r"error: HEAD:metrics/test\.json: @ann: .*\n", done.stderr)
    assert github.comments[0]["body"] == f"{MARK}\n\n### No review\n\n    {done.stderr}"


def test_a_fork_reads_it_in_the_summary_and_is_not_failed_for_that(case: Case, github: GitHub, tmp_path: Path) -> None:
    push(case, num_wrong=1)
    github.failures["POST"] = 403, '{"message": "Resource not accessible by integration"}'
    done = run(case, github, tmp_path / "summary.md")
    assert done.returncode == 0
    assert re.search(
        r"HTTP 403: Resource not accessible by integration; the review is in the summary of this run$", done.stdout
    )
    assert (tmp_path / "summary.md").read_text(encoding="utf-8").startswith(f"{MARK}\n\n### Review")


def test_a_review_that_nobody_can_see_fails(case: Case, github: GitHub) -> None:
    push(case, num_wrong=1)
    github.failures["GET"] = 503, ""
    done = run(case, github)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "HTTP 503: Service Unavailable" in done.stderr


def test_a_checkout_without_history_says_what_it_needs(tmp_path: Path, github: GitHub) -> None:
    case = Case(tmp_path)
    case.commit()
    done = run(case, github)
    assert (done.returncode, done.stderr) == (1, "review: HEAD has no parent here; check out with fetch-depth: 0\n")
