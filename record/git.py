"""What this package asks of git, in the current folder."""

import subprocess
from pathlib import Path

from classifier.common.errors import UserError, short_message


def git(*arguments: str, folder: Path = Path()) -> str:
    """What git prints, without the last line end. Raises UserError with its words when it fails."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise UserError("git: not found; experiments are kept in git, so install git first") from None
    if done.returncode:
        raise UserError(f"git: {short_message(Exception(done.stderr.removeprefix('fatal: ')))}")
    return done.stdout.rstrip("\n")


def head_commit() -> str:
    """Raises UserError where there is no commit yet, or no repository."""
    try:
        return git("rev-parse", "--verify", "HEAD^{commit}")
    except UserError:
        raise UserError("git: experiments begin from a commit, and here is none; `git commit` the project first") from None
