"""A run in the layout of the project, from the workspace or from git and the cache; and its folder in runs/."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from classifier.common.errors import UserError
from classifier.common.files import naming
from record.lock_file import LOCK_FILE, Lock, is_recorded, read_lock
from record.metrics import TEST_METRICS, TRAIN_METRICS
from record.results import EVALUATE, HISTORY, MODEL_FILES, PREDICTIONS
from record.revisions import Revision

RUNS = Path("runs")
STATE = Path(".dvc/tmp")
_EVENTS = "events.out.tfevents."
"""What SummaryWriter begins the name of its file with."""


@contextmanager
def replacing_run(path: Path) -> Iterator[Path]:
    """Yield an empty folder that takes the place of `path` on success.

    TensorBoard reads hidden folders in runs/ too, so the temporary one lies in .dvc/tmp. SummaryWriter gives each of its files
    another name, by which a server at work sees that there is something new.
    """
    check_is_ours(path)
    STATE.mkdir(parents=True, exist_ok=True)
    path.parent.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=STATE, prefix="tensorboard-") as temporary, naming(path):
        partial = Path(temporary) / path.name
        partial.mkdir()
        yield partial
        remove_run(path)
        partial.replace(path)


def remove_run(path: Path) -> None:
    """Delete the folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)


def check_is_ours(path: Path) -> None:
    """Raise UserError for a path that holds something else than one of our runs."""
    files = list(path.iterdir()) if path.is_dir() else []
    if (path.exists() and not path.is_dir()) or any(not file.name.startswith(_EVENTS) for file in files):
        raise UserError(f"{path}: holds other things than a run of this tool; move it away")


STEPS = "plots/steps.csv"
DATASET = "data/dataset"
SAMPLED = ("dataset.json", "train/images.npy", "train/labels.npy")
"""Of data/dataset, what the sample images are taken from."""
CONFUSION = "plots/confusion.png"
IN_GIT = [LOCK_FILE, HISTORY, STEPS, PREDICTIONS, TRAIN_METRICS, TEST_METRICS, CONFUSION]
WATCHED = [*IN_GIT, *MODEL_FILES, *(f"{DATASET}/{name}" for name in SAMPLED)]
"""All that a run in TensorBoard is made from."""


@dataclass(frozen=True)
class RunFiles:
    """`folder` has plots/history.csv, and of the rest what the fields say."""

    name: str
    """Of its folder in runs/."""
    folder: Path
    has_samples: bool
    has_model: bool
    """And it is the one that this history led to."""
    has_confidences: bool
    """And test metrics; and they are those of this model."""
    params: dict[str, Any]
    """That the stages of this run ran with; empty while it goes on."""
    notes: list[str] = field(default_factory=list)
    """What is left out, and why: a line each."""


@contextmanager
def open_run(revision: Revision) -> Iterator[RunFiles]:
    """The run that `revision` holds. Raises UserError, naming the revision, where there is none or a part is damaged."""
    if revision.commit is None:
        yield _described(revision, Path(), "is not here; `dvc pull` or `dvc repro` brings it")
        return
    with revision.unpacked(IN_GIT) as folder:
        if (lock := _lock(folder)) is not None:
            _link_cached(folder, lock)
        yield _described(revision, folder, f"is not in DVC's cache; `dvc exp apply {revision.name}`, then `dvc repro` makes it")


def run_name(revision: Revision) -> str:
    """A plain folder name: where a name has more than letters, digits, `_`, `-` and inner `.`, the commit stands behind it."""
    plain = re.sub(r"[^\w.-]+", "-", revision.name).lstrip(".-")
    return plain if plain == revision.name else f"{plain}-{revision.short_commit}".lstrip("-")


def _described(revision: Revision, folder: Path, missing: str) -> RunFiles:
    """`missing` says of a file that belongs to the run what is the matter and how to mend it."""
    if not (folder / HISTORY).is_file():
        raise UserError(f"{revision.name}: has no {HISTORY}, so no run yet; `dvc repro` makes one")
    lock = _lock(folder)
    reasons = _reasons(folder, missing, lock)
    return RunFiles(
        run_name(revision),
        folder,
        has_samples="sample images" not in reasons,
        has_model="graph, weights" not in reasons,
        has_confidences="confidences" not in reasons,
        params=lock.param_values if lock and is_recorded(lock, HISTORY, folder) else {},
        notes=[f"without {part}: {reason}" for part, reason in reasons.items()],
    )


def _reasons(folder: Path, missing: str, lock: Lock | None) -> dict[str, str]:
    """Each part that is to be left out, with the reason."""
    reasons = {}
    absent = [name for name in SAMPLED if not (folder / DATASET / name).is_file()]
    if absent:
        reasons["sample images"] = f"{DATASET}/{absent[0]} {missing}"
    if lock is None or not is_recorded(lock, HISTORY, folder):
        # While `train` is at work, model and predictions are missing or those of an earlier run.
        unfinished = f"dvc.lock does not record this {HISTORY}, so its run has not ended"
        return reasons | {"graph, weights": unfinished, "confidences": unfinished}
    if reason := _reason_without_model(folder, lock, missing):
        reasons["graph, weights"] = reason
    if not _are_of_one_run(lock) or not all(
        is_recorded(lock, path, folder) for path in (PREDICTIONS, TRAIN_METRICS, TEST_METRICS)
    ):
        reasons["confidences"] = f"dvc.lock does not record this {PREDICTIONS} for the model of this {HISTORY}; run `dvc repro`"
    return reasons


def _reason_without_model(folder: Path, lock: Lock, missing: str) -> str | None:
    for path in MODEL_FILES:
        if not (folder / path).is_file():
            return f"{path} {missing}"
        if not is_recorded(lock, path, folder):
            return f"{path} is not the file that dvc.lock records; `dvc checkout` or `dvc repro` brings that one"
    return None


def _are_of_one_run(lock: Lock) -> bool:
    """Whether `evaluate` measured the model that `train` made last."""
    evaluated = lock.stages[EVALUATE].dep_hashes if EVALUATE in lock.stages else {}
    return all(path in evaluated and evaluated[path] == lock.out_hashes.get(path) for path in MODEL_FILES)


def _lock(folder: Path) -> Lock | None:
    return read_lock(folder / LOCK_FILE) if (folder / LOCK_FILE).is_file() else None


def _link_cached(folder: Path, lock: Lock) -> None:
    """Link what DVC's cache has of the model and of the images: they may be large, and are only read."""
    from dvc.repo import Repo  # takes a second to import

    from record.content import cached_hashes, cached_path

    with Repo() as repo:
        hashes = {path: lock.out_hashes.get(path, "") for path in MODEL_FILES}
        for key, md5 in cached_hashes(repo, lock.out_hashes.get(DATASET, "")).items():
            hashes |= {f"{DATASET}/{'/'.join(key)}": md5} if "/".join(key) in SAMPLED else {}
        for path, md5 in hashes.items():
            if cached := cached_path(repo, md5):
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).symlink_to(cached)
