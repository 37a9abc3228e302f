"""The one way to ask git. Only the standard library, for `make doctor`."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from classifier.common.errors import UserError, one_line, short_message

NOT_STARTED = 127
"""Status where there is no git, or one that does not start or end; as a shell has it."""


@dataclass(frozen=True)
class Answer:
    """What git says: `output` on stdout, `errors` on stderr or why it does not start."""

    status: int
    output: bytes
    errors: str

    @property
    def text(self) -> str:
        """The output without line ends at its end; empty where git failed."""
        return "" if self.status else self.output.decode(errors="replace").rstrip("\n")

    def checked(self, advice: str = "", purpose: str = "experiments are kept in git") -> Self:
        """Raises UserError, with git's words and then `advice`, where it failed; where there is no git, with the `purpose`."""
        if self.status == NOT_STARTED:
            raise UserError(f"git: not found; {purpose}, so install git first")
        if self.status:
            raise UserError(f"git: {short_message(Exception(self.errors.removeprefix('fatal: ')))}{advice}")
        return self


def run_git(*arguments: str, folder: Path = Path(), request: bytes | None = None, seconds: float | None = None) -> Answer:
    """Run it in `folder`, with `request` on its stdin, for so many seconds at most."""
    command = ["git", *arguments]
    try:
        done = subprocess.run(command, cwd=folder, input=request, capture_output=True, timeout=seconds, check=False)
    except BlockingIOError:  # no process is to be had
        raise
    except (OSError, subprocess.TimeoutExpired) as error:
        return Answer(NOT_STARTED, b"", one_line(error))
    errors = done.stderr.decode(errors="replace").rstrip() or f"{' '.join(command[:2])} ended with status {done.returncode}"
    return Answer(done.returncode, done.stdout, errors)


def git(*arguments: str, folder: Path = Path()) -> str:
    """What git prints, without the last line end. Raises UserError with its words when it fails."""
    return run_git(*arguments, folder=folder).checked().text


def head_commit() -> str:
    """Raises UserError where there is no commit yet, or no repository."""
    try:
        return git("rev-parse", "--verify", "HEAD^{commit}")
    except UserError:
        raise UserError("git: experiments begin from a commit, and here is none; `git commit` the project first") from None
