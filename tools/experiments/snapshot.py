"""A copy of the last commit to run experiments in, so that the workspace may be edited, committed or used meanwhile.

`dvc exp run` itself, also with `--temp` and `--queue`, stashes the workspace's changes and resets it for a moment: what is
saved there in that moment is lost, and an edit between two runs would end up in the second one alone.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from dvc.repo import Repo

from classifier.common.errors import UserError
from classifier.common.files import one_process, write_text
from record.git import git
from record.killed import interrupted_experiment

STATE = Path(".dvc/tmp")
PLACE = STATE / "experiments"


@dataclass(frozen=True)
class Snapshot:
    """`folder` is the project's folder in a clone at `commit`."""

    commit: str
    folder: Path

    def clear(self) -> None:
        """Put the files of git back as they are in the commit. Data and models stay, which saves copying them again."""
        git("checkout", "--quiet", "--force", "--detach", self.commit, folder=self.folder)
        git("clean", "--quiet", "--force", "-d", folder=self.folder)

    def hand_over(self, name: str) -> str:
        """Bring the experiment `name` into the repository, in place of one of this name and commit; return its own commit."""
        ref = _ref_of(self.commit, name)
        git("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", str(self.folder), f"+{ref}:{ref}")
        return git("rev-parse", ref)


@contextmanager
def alone() -> Iterator[None]:
    """Keep others of these tools out of this repository.

    Raises UserError while one is at work here, and where a killed `dvc exp run` has left git off its branch.
    """
    if not Path(".dvc").is_dir():
        raise UserError(".dvc: no such folder; run this in the folder that has dvc.yaml")
    if problem := interrupted_experiment(Path()):
        raise UserError(problem)
    busy = "another `python -m tools.experiments` is at work here; wait until it has ended"
    with one_process(STATE / "experiments.lock", busy):
        yield


@contextmanager
def snapshot(commit: str, states: Path = STATE / "resume") -> Iterator[Snapshot]:
    """One of `snapshots`."""
    with snapshots(commit, 1, states) as (place,):
        yield place


@contextmanager
def snapshots(commit: str, number: int, states: Path = STATE / "resume") -> Iterator[list[Snapshot]]:
    """They share DVC's cache, the downloads and the features with the workspace, and are removed in any case.

    The states of trainings that were broken off are kept in the folder `states`. Raises UserError as `alone` does.
    """
    with alone():
        try:
            shutil.rmtree(PLACE, ignore_errors=True)  # what a kill left
            PLACE.mkdir()
            shared = {"downloads": STATE / "downloads", "features": STATE / "features", "resume": states}
            yield [_clone(commit, shared) for _ in range(number)]
        finally:
            shutil.rmtree(PLACE, ignore_errors=True)


def _clone(commit: str, shared: dict[str, Path]) -> Snapshot:
    """`shared` are folders for its .dvc/tmp whose content is checked before it is used."""
    top, clone = git("rev-parse", "--show-toplevel"), Path(mkdtemp(dir=PLACE)).resolve()
    git("clone", "--quiet", "--shared", "--no-checkout", "--no-tags", top, str(clone))
    for key in ("user.name", "user.email"):
        git("config", key, git("config", "--default", "", "--get", key), folder=clone)
    found = Snapshot(commit, clone / git("rev-parse", "--show-prefix"))
    found.clear()
    if not (found.folder / ".dvc").is_dir():
        raise UserError(".dvc: git does not hold it; `git add .dvc` and commit, so that experiments can begin from the commit")
    state = found.folder / STATE
    state.mkdir()
    for name, folder in shared.items():
        folder.mkdir(parents=True, exist_ok=True)
        (state / name).symlink_to(folder.resolve(), target_is_directory=True)
    with Repo() as repo:
        cache = repo.cache.local_cache_dir
    write_text(
        found.folder / ".dvc/config.local", f"[cache]\n    dir = {cache}\n[core]\n    site_cache_dir = {state / 'site'}\n"
    )
    return found


def _ref_of(baseline: str, name: str) -> str:
    """Where DVC keeps the experiment `name` that begins from the commit `baseline`."""
    return f"refs/exps/{baseline[:2]}/{baseline[2:]}/{name}"
