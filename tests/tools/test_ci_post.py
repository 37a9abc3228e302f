"""The review as one comment of a pull request, on a real HTTP server that plays GitHub."""

import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from classifier.common.errors import UserError
from tests.support import warm
from tests.support.github_server import BOT, MAX_CHARACTERS, TOKEN, GitHub, github_server
from tools.ci.post import main, post, shortened
from tools.review.markdown import MARK

REVIEW = f"{MARK}\n\n### Review\n\nBetter.\n"
IN_SUMMARY = "the review is in the summary of this run"


@pytest.fixture
def github() -> Iterator[GitHub]:
    with github_server() as running:
        yield running


def test_the_first_push_writes_a_comment_and_the_next_one_writes_over_it(github: GitHub) -> None:
    github.add("I like this", "ann")
    line, status = post(REVIEW, github.environment)
    assert (line, status) == ("https://github.com/ann/project/pull/7#issuecomment-1001", 0)
    assert post(REVIEW.replace("Better", "Worse"), github.environment) == (line, 0)
    assert [comment["body"] for comment in github.comments] == ["I like this", REVIEW.replace("Better", "Worse")]
    assert github.tokens == {f"Bearer {TOKEN}"}
    assert github.log[-1] == "PATCH /repos/ann/project/issues/comments/1001"


def test_ours_is_found_on_the_third_page(github: GitHub) -> None:
    for number in range(230):
        github.add(f"comment {number}", "ann")
    ours = github.add(REVIEW)
    github.add("the last", "ann")
    assert post("new", github.environment)[1] == 0
    assert github.comments[ours - 1000]["body"] == "new"
    assert [entry.partition("?")[2] for entry in github.log] == [
        "per_page=100",
        "per_page=100&page=2",
        "per_page=100&page=3",
        "",
    ]


def test_nobody_elses_comment_is_written_over(github: GitHub) -> None:
    """Neither one that a person began with our mark, nor one of another workflow, nor an empty one, nor one that quotes us."""
    bodies = [(REVIEW, "mallory"), ("coverage: 90 %", BOT), (None, BOT), (f"> {REVIEW}", BOT)]
    for body, login in bodies:
        github.add(body, login)
    github.comments[2]["user"] = None  # as of an account that is gone
    assert post(REVIEW, github.environment)[1] == 0
    assert [comment["body"] for comment in github.comments] == [*(body for body, _ in bodies), REVIEW]


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
@pytest.mark.parametrize(
    ("status", "body", "words", "exit_status"),
    [
        (401, '{"message": "Bad credentials"}', "HTTP 401: Bad credentials", 0),
        (403, '{"message": "Resource not accessible by integration"}', "HTTP 403: Resource not accessible by integration", 0),
        (404, '{"message": "Not Found"}', "HTTP 404: Not Found", 0),
        (422, '{"message": "Validation\\nFailed"}', "HTTP 422: Validation Failed", 1),
        (500, "<html>oops</html>", "HTTP 500: Internal Server Error", 1),
        (502, "{}", "HTTP 502: Bad Gateway", 1),
        (200, "<html>log in</html>", "an answer that is not JSON", 1),
        (200, '{"truth": 42}', "an answer of GitHub has no", 1),
    ],
)
def test_each_error_is_one_line_and_the_review_goes_to_the_summary(
    github: GitHub, tmp_path: Path, method: str, status: int, body: str, words: str, exit_status: int
) -> None:
    if method == "PATCH":
        github.add(REVIEW)
    github.failures[method] = status, body
    summary = tmp_path / "summary.md"
    summary.write_text("of a step before\n", encoding="utf-8")
    line, exited = post(REVIEW, github.environment | {"GITHUB_STEP_SUMMARY": str(summary)})
    assert words in line and line.endswith(IN_SUMMARY) and "\n" not in line and TOKEN not in line
    assert exited == exit_status
    assert summary.read_text(encoding="utf-8") == f"of a step before\n{REVIEW}"


def test_nobody_answers(tmp_path: Path, github: GitHub) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        line, status = post(REVIEW, github.environment | {"GITHUB_API_URL": address})
    assert re.match(rf"GET {address}/repos/ann/project/issues/7/comments\?per_page=100: no answer from GitHub: ", line)
    assert line.endswith("and no GITHUB_STEP_SUMMARY to write the review to") and "\n" not in line
    assert status == 1


def test_without_a_token_nobody_is_asked(tmp_path: Path, github: GitHub) -> None:
    summary = tmp_path / "summary.md"
    environment = github.environment | {"GITHUB_TOKEN": "", "GITHUB_STEP_SUMMARY": str(summary)}
    assert post(REVIEW, environment) == (f"no GITHUB_TOKEN; {IN_SUMMARY}", 0)
    assert summary.read_text(encoding="utf-8") == REVIEW
    assert github.log == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITHUB_REF", "refs/heads/main"),
        ("GITHUB_REF", "refs/pull/7/merge/x"),
        ("GITHUB_REPOSITORY", "x"),
        ("GITHUB_REF", ""),
    ],
)
def test_outside_of_a_pull_request_it_says_what_to_do(github: GitHub, name: str, value: str) -> None:
    with pytest.raises(UserError, match=r"^post: needs GITHUB_REPOSITORY and GITHUB_REF .*; elsewhere use `make review`$"):
        post(REVIEW, github.environment | {name: value})
    assert github.log == []


def test_a_long_review_is_cut_between_lines_and_outside_of_its_folds(github: GitHub, tmp_path: Path) -> None:
    """A row of each of 2,000 classes, as a review folds them; the characters count, not their bytes."""
    row = "| ö | 1 | 0.5000 | 0.5000 | 0 | 0 | 0 | 1 | no evidence of a difference |\n"
    text = f"{REVIEW}\n<details><summary>By class</summary>\n\n{row * 2000}\n</details>\n"
    summary = tmp_path / "summary.md"
    line, status = post(text, github.environment | {"GITHUB_STEP_SUMMARY": str(summary)})
    assert (line.endswith(f" has the beginning; {IN_SUMMARY}"), status) == (True, 0)
    posted = github.comments[0]["body"]
    assert MAX_CHARACTERS - 2 * len(row) < len(posted) <= MAX_CHARACTERS
    note = f"\n**Cut here**: the review has {len(text):,} characters and 65,536 fit. `make review` prints all of it.\n"
    assert posted.endswith(f"{row}\n</details>\n{note}")
    assert posted.startswith(MARK) and text.startswith(posted.removesuffix(f"\n</details>\n{note}"))
    assert summary.read_text(encoding="utf-8") == text


def test_what_just_fits_is_not_cut() -> None:
    assert shortened("x\n" * 500, 1000) == "x\n" * 500
    cut = shortened("x\n" * 501, 1000)
    assert len(cut) <= 1000 and "**Cut here**" in cut and "</details>" not in cut


def test_the_command(github: GitHub, tmp_path: Path) -> None:
    """In a process of its own: where it was posted, or one line and status 1."""
    review = tmp_path / "review.md"
    review.write_text(REVIEW, encoding="utf-8")
    command = [warm.python(), "-m", "tools.ci.post", str(review)]

    def run(**changed: str) -> tuple[int, str, str]:
        environment = os.environ | github.environment | changed
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    assert run() == (0, "review: https://github.com/ann/project/pull/7#issuecomment-1000\n", "")
    status, out, err = run(GITHUB_REF="refs/heads/main")
    assert (status, out) == (1, "") and err.startswith("error: post: needs") and err.count("\n") == 1
    with pytest.raises(UserError, match=r"^usage: python -m tools\.ci\.post FILE$"):
        main([])
