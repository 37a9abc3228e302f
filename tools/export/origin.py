"""What an export is made from: the model, its test images and its results, which must belong together by dvc.lock."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from classifier.common.csv_file import read_csv
from classifier.common.errors import UserError
from classifier.common.files import read_json
from classifier.model.dataset import ImageDataset
from classifier.model.description import ModelDescription
from classifier.model.file import load_model
from classifier.model.image_classifier import ImageClassifier
from classifier.scores.params import resolve_flip_tta
from record.lock_file import LOCK_FILE, Lock, is_recorded
from record.metrics import DATA_METRICS, DataMetrics
from record.results import DATA_TABLE, EVALUATE, MODEL_FILES, TEST_SPLIT, Results, read_results
from record.revisions import WORKSPACE, find_revision

MODELS = Path("models")
TRAIN_SPLIT = "data/dataset/train"


@dataclass(frozen=True)
class Origin:
    """All of one run."""

    model: ImageClassifier
    description: ModelDescription
    results: Results
    test_set: ImageDataset
    data: DataMetrics
    images_of_classes: pd.DataFrame
    """Columns class, train, val, test: images of each."""

    @property
    def lock(self) -> Lock:
        """The dvc.lock that all of it agrees with."""
        return self.results.lock

    @property
    def dataset(self) -> str:
        """Its name; of a person's own images, that of their folder or file."""
        return self.lock.dataset or self.description.dataset

    def param(self, stage: str, name: str) -> Any:
        """The value that `stage` ran with. Raises UserError where dvc.lock has none."""
        locked = self.lock.stages.get(stage)
        if locked is None or name not in locked.param_values:
            raise UserError(f"{LOCK_FILE}: needs the param {name} of stage {stage}, and has none; run `dvc repro`")
        return locked.param_values[name]

    @property
    def measured_precision(self) -> str:
        """In which `evaluate` made the results."""
        asked = self.param(EVALUATE, "precision")
        return self.description.precision if asked == "auto" else str(asked)

    @property
    def flip_tta(self) -> bool:
        """Whether `evaluate` classified each image together with its mirror image."""
        return bool(resolve_flip_tta(self.param(EVALUATE, "flip_tta"), self.description.hflip_invariant))


def read_origin() -> Origin:
    """Read what lies in the current folder.

    Raises UserError for what is missing or damaged, and where something is of another run than dvc.lock records.
    """
    for path in MODEL_FILES:
        if not Path(path).is_file():
            raise UserError(f"{path}: no model here yet; `dvc repro` trains one, `dvc pull` fetches the one of dvc.lock")
    model, description = load_model(MODELS)
    results = read_results(find_revision(WORKSPACE))
    if not Path(TEST_SPLIT).is_dir():
        raise UserError(f"{TEST_SPLIT}: the test images are not here; `dvc pull {TEST_SPLIT}` or `dvc repro` brings them")
    check_lock(results.lock)
    test_set = ImageDataset.from_folder(Path(TEST_SPLIT), description)
    for path in (DATA_METRICS, DATA_TABLE):
        _check_unrecorded(results.lock, path)
    data, table = read_json(Path(DATA_METRICS), DataMetrics), read_csv(Path(DATA_TABLE), ["class", "train", "test"])
    return Origin(model, description, results, test_set, data, table)


def read_train_set(origin: Origin) -> ImageDataset:
    """The images that the model was trained on. Raises UserError where they are missing or others."""
    from record.content import md5  # the import of DVC takes a second

    if not Path(TRAIN_SPLIT).is_dir() or md5(Path(TRAIN_SPLIT)) != origin.lock.stages["train"].dep_hashes.get(TRAIN_SPLIT):
        raise UserError(
            f"{TRAIN_SPLIT}: int8 needs the images that the model was trained on; `dvc checkout` or `dvc repro` brings them"
        )
    return ImageDataset.from_folder(Path(TRAIN_SPLIT), origin.description)


def check_lock(lock: Lock) -> None:
    """Raise UserError unless model and test images are those on which dvc.lock's results were measured."""
    from record.content import md5  # the import of DVC takes a second

    measured, made = lock.stages[EVALUATE], lock.out_hashes
    for path in (*MODEL_FILES, TEST_SPLIT):
        if path in made and made[path] != measured.dep_hashes.get(path):
            raise UserError(f"{LOCK_FILE}: the results are those of another {path} than was made last; run `dvc repro`")
        if md5(Path(path)) != measured.dep_hashes.get(path):
            raise UserError(
                f"{path}: is not what the results of dvc.lock were measured on; "
                "`dvc checkout` or `dvc pull` brings that, `dvc repro` makes new results"
            )


def _check_unrecorded(lock: Lock, path: str) -> None:
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file; `git checkout HEAD -- {path}` or `dvc repro` brings it")
    if not is_recorded(lock, path):
        raise UserError(f"{path}: is not the file that dvc.lock records; run `dvc repro`")
