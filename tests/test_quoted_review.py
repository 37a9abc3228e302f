"""The review that docs/guide/pull_requests.md shows is what tools.review says of the two commits that it names."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support import warm

ROOT = Path(__file__).parents[1]


def quoted() -> str:
    """The review on the page, without its signs of quotation."""
    page = (ROOT / "docs/guide/pull_requests.md").read_text(encoding="utf-8")
    (review,) = re.findall(r"(?:^> ### Review:.*\n)(?:^>.*\n)+", page, re.MULTILINE)
    return re.sub(r"^> ?", "", review, flags=re.MULTILINE)


def words(text: str) -> list[str]:
    """Line breaks, bars and the marks of folded parts apart: the page wraps its lines."""
    return re.sub(r"</?(details|summary)>|▸|\\|`[^`]*`", " ", text).split()


def test_the_review_on_the_page_is_what_the_tool_says() -> None:
    shown = quoted()
    commits = re.findall(r"\(([0-9a-f]{7,})\)", shown.splitlines()[0])
    assert len(commits) == 2
    for commit in commits:
        if subprocess.run(["git", "cat-file", "-e", commit], cwd=ROOT, capture_output=True, check=False).returncode:
            pytest.skip(f"this clone has no commit {commit}: it is a shallow one, or an archive")
    command = [warm.python(), "-m", "tools.review", *commits]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    before_folds, *folded = said.split("<details><summary>")
    titles = [part.partition("</summary>")[0] for part in folded]
    told = before_folds.partition("\n### Review: ")[2]
    assert words(shown.replace("### Review:", "")) == words("\n".join([told, *titles]))
