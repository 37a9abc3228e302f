"""Put a review into the pull request as one comment: `python -m tools.ci.post FILE`; the next push replaces its text.

It uses what GitHub gives a workflow: GITHUB_TOKEN, GITHUB_API_URL, GITHUB_REPOSITORY, GITHUB_REF and GITHUB_STEP_SUMMARY.
Where the token may not write, as that of a fork, the review goes to the summary of the run, with exit status 0. So it does when
GitHub does not answer well, with exit status 1.
"""

import os
import re
import sys
from pathlib import Path
from typing import Any

import requests

from classifier.common.errors import UserError, short_message, short_repr
from tools.command import run_command
from tools.review.markdown import MARK

AUTHOR = "github-actions[bot]"
"""Whom GitHub names as the author of what GITHUB_TOKEN writes. Anybody may write a comment that begins with our mark."""
MAX_CHARACTERS = 65_536
"""Of a comment."""
MAX_IN_SUMMARY = 1024 * 1024 // 4
"""A summary takes a mebibyte; a character is at most four bytes."""
FORBIDDEN = (401, 403, 404)
"""GitHub also says "not found" of what a token may not see."""
SECONDS = 30


class ApiError(Exception):
    """GitHub did not do what it was asked. Its text is one line."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.forbidden = status in FORBIDDEN


class Comments:
    """Those of one pull request."""

    def __init__(self, api: str, repository: str, number: int, token: str) -> None:
        self.base = f"{api.rstrip('/')}/repos/{repository}/issues"
        self.number = number
        self.session = requests.Session()
        self.session.headers.update(
            {"Accept": "application/vnd.github+json", "Authorization": f"Bearer {token}", "X-GitHub-Api-Version": "2022-11-28"}
        )

    def put(self, body: str) -> str:
        """Write `body` over our comment, or as a new one; return its address. Raises ApiError."""
        mine = self._mine()
        if mine is None:
            answer = self._ask("POST", f"{self.base}/{self.number}/comments", json={"body": body})
        else:
            answer = self._ask("PATCH", f"{self.base}/comments/{mine}", json={"body": body})
        return str(_field(answer.json(), "html_url"))

    def _mine(self) -> int | None:
        """The number of the first comment that is ours, by its mark and its author; the list comes in pages."""
        address: str | None = f"{self.base}/{self.number}/comments?per_page=100"
        while address:
            answer = self._ask("GET", address)
            for comment in answer.json():
                author, body = _field(comment, "user"), _field(comment, "body") or ""
                if author and _field(author, "login") == AUTHOR and body.startswith(MARK):
                    return int(_field(comment, "id"))
            address = answer.links.get("next", {}).get("url")
        return None

    def _ask(self, method: str, address: str, **options: Any) -> requests.Response:
        try:
            answer = self.session.request(method, address, timeout=SECONDS, **options)
        except requests.RequestException as error:
            raise ApiError(f"{method} {address}: no answer from GitHub: {short_message(error)}") from None
        if not answer.ok:
            raise ApiError(f"{method} {address}: HTTP {answer.status_code}: {_message(answer)}", answer.status_code)
        if not answer.headers.get("Content-Type", "").startswith("application/json"):
            raise ApiError(f"{method} {address}: an answer that is not JSON")
        return answer


def _message(answer: requests.Response) -> str:
    """GitHub's own words on what went wrong."""
    try:
        return short_message(Exception(answer.json()["message"]))
    except (ValueError, KeyError, TypeError):
        return answer.reason or "no reason given"


def _field(value: Any, name: str) -> Any:
    """A field of an answer. Raises ApiError for an answer without it."""
    if not isinstance(value, dict) or name not in value:
        raise ApiError(f"an answer of GitHub has no {name}, got {short_repr(value)}")
    return value[name]


def shortened(text: str, most: int) -> str:
    """`text`, or as many of its lines as fit into `most` characters, with a last line that says so."""
    if len(text) <= most:
        return text
    note = f"\n**Cut here**: the review has {len(text):,} characters and {most:,} fit. `make review` prints all of it.\n"
    close = "\n</details>\n"
    kept = text[: most - len(note) - len(close)].rpartition("\n")[0] + "\n"
    folded = kept.count("<details>") > kept.count("</details>")
    return kept + (close if folded else "") + note


def post(text: str, environment: dict[str, str]) -> tuple[str, int]:
    """Bring the review to where it can be read; return a line that says where, and the exit status.

    Raises UserError outside of a pull request's workflow.
    """
    repository, number = _pull_request(environment)
    token, api = environment.get("GITHUB_TOKEN", ""), environment.get("GITHUB_API_URL", "https://api.github.com")
    if not token:
        return f"no GITHUB_TOKEN; {_summarise(text, environment)}", 0
    try:
        where = Comments(api, repository, number, token).put(shortened(text, MAX_CHARACTERS))
    except ApiError as error:
        return f"{error}; {_summarise(text, environment)}", 0 if error.forbidden else 1
    if len(text) > MAX_CHARACTERS:
        return f"{where} has the beginning; {_summarise(text, environment)}", 0
    return where, 0


def _pull_request(environment: dict[str, str]) -> tuple[str, int]:
    """Repository and number."""
    repository, ref = environment.get("GITHUB_REPOSITORY", ""), environment.get("GITHUB_REF", "")
    match = re.fullmatch(r"refs/pull/(\d+)/merge", ref)
    if not match or not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        needed = "GITHUB_REPOSITORY and GITHUB_REF of a pull request's workflow"
        raise UserError(
            f"post: needs {needed}, got {short_repr(repository)} and {short_repr(ref)}; elsewhere use `make review`"
        )
    return repository, int(match[1])


def _summarise(text: str, environment: dict[str, str]) -> str:
    """Append the review to the run's summary; return words that say so."""
    path = environment.get("GITHUB_STEP_SUMMARY")
    if not path:
        return "and no GITHUB_STEP_SUMMARY to write the review to"
    with Path(path).open("a", encoding="utf-8") as summary:
        summary.write(shortened(text, MAX_IN_SUMMARY))
    return "the review is in the summary of this run"


def main(arguments: list[str]) -> int:
    """Post the file that `arguments` name."""
    if len(arguments) != 1:
        raise UserError("usage: python -m tools.ci.post FILE")
    line, status = post(Path(arguments[0]).read_text(encoding="utf-8"), dict(os.environ))
    print(f"review: {line}", file=sys.stderr if status else sys.stdout)
    return status


if __name__ == "__main__":
    run_command(lambda: main(sys.argv[1:]))
