"""git is asked in one way, without any package, and its failures are one line."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from classifier.common.errors import UserError
from record.git import NOT_STARTED, git, run_git

SOURCE = Path(__file__).parents[2]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", str(tmp_path)], check=True)
    return tmp_path


def test_the_answer_is_what_git_prints_and_its_bytes_are_kept(repository: Path) -> None:
    (repository / "katze ü.txt").write_bytes(b"a\r\n")
    assert git("symbolic-ref", "HEAD", folder=repository) == "refs/heads/main"
    assert run_git("ls-files", "-z", "--others", folder=repository).output == "katze ü.txt\0".encode()
    blob = hashlib.sha1(b"blob 3\0a\r\n").hexdigest()  # as git defines it
    assert run_git("hash-object", "--stdin", request=b"a\r\n", folder=repository).text == blob


def test_a_failure_has_gits_words(repository: Path) -> None:
    answer = run_git("rev-parse", "--verify", "nothing", folder=repository)
    assert answer.status != 0 and answer.text == "" and answer.errors.startswith("fatal: ")
    with pytest.raises(UserError, match=r"^git: Needed a single revision$"):
        git("rev-parse", "--verify", "nothing", folder=repository)
    with pytest.raises(UserError, match=r"^git: Needed a single revision; look there$"):
        answer.checked("; look there")


def test_without_git_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run_git("--version").status == NOT_STARTED
    with pytest.raises(UserError, match=r"^git: not found; a test needs it, so install git first$"):
        run_git("--version").checked(purpose="a test needs it")


def test_what_the_doctor_needs_starts_without_any_package() -> None:
    """With -S there is no site-packages; git and DVC's locks are asked by a Python that has nothing installed."""
    code = "import sys; import record.git, record.dvc_locks, tools.doctor; print(record.git.run_git('--version').text)"
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("git version ")
