"""The trained model, asked about picture files, used as its results were made. Legend: N pictures, K classes."""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from tqdm import tqdm

from classifier.common.errors import UserError
from classifier.common.params import PARAMS_FILE, read_yaml, validate
from classifier.compute.device import set_up_compute
from classifier.decoding.pictures import in_order, quiet_pillow
from classifier.decoding.resize import Fit
from classifier.images.unreadable import Unreadable
from classifier.model.description import WEIGHTS, ModelDescription
from classifier.model.file import load_model
from classifier.model.image_classifier import ImageClassifier
from classifier.model.inference import class_logits
from classifier.scores.params import EvaluateParams, resolve_flip_tta
from record.lock_file import LOCK_FILE, read_lock
from tools.predict.pictures import Invert, Preparation, PreparedPicture
from tools.predict.tables import TableOfImages, prepared_rows

RECORDED = {"convert": ("resize", "image_shape"), "evaluate": ("flip_tta",)}
"""Stage to the params of it that a prediction must share with the run that made and measured the model."""


class Settings(EvaluateParams):
    """The params of other stages that matter for a prediction."""

    resize: Fit
    image_shape: list[int] | None

    def mirrors(self, description: ModelDescription) -> bool:
        """Whether the model that is so described is asked about a picture and its mirror image together."""
        return resolve_flip_tta(self.flip_tta, description.hflip_invariant)


def read_settings(root: Path) -> Settings:
    """`resize`, `image_shape` and `flip_tta` of the last run, so that an edit of params.yaml since then changes no answer.

    Of a stage that dvc.lock does not have, params.yaml says. Raises UserError for a file that is damaged.
    """
    lock, params = root / LOCK_FILE, root / PARAMS_FILE
    values = read_yaml(params)
    recorded = _recorded(lock) if lock.exists() else {}
    return validate(lock if recorded else params, values | recorded, Settings)


def _recorded(lock: Path) -> dict[str, Any]:
    stages = read_lock(lock).stages
    values = {stage: stages[stage].param_values for stage in RECORDED if stage in stages}
    return {name: of_stage[name] for stage, of_stage in values.items() for name in RECORDED[stage] if name in of_stage}


BATCH_SIZE = 64
MAX_CLASSES = 3


@dataclass(frozen=True)
class Answer:
    """`top` are the likeliest classes and their probabilities, 0 to 1, at most three, the likeliest first."""

    picture: PreparedPicture
    top: list[tuple[str, float]]


@dataclass(frozen=True)
class Predictor:
    """Computes as `evaluate` did, so that the accuracy in metrics/test.json is that of these answers."""

    models: Path
    model: ImageClassifier
    description: ModelDescription
    settings: Settings
    preparation: Preparation
    device: torch.device

    @classmethod
    def of_project(cls, root: Path, invert: Invert) -> Self:
        """The model in models/ below `root`. Raises UserError when there is none, or it or a file beside it is damaged."""
        models = root / "models"
        model, description = load_model(models)
        settings = read_settings(root)
        preparation = Preparation.of_model(root, description, settings.resize, invert)
        device = set_up_compute(settings.device, settings.threads)
        return cls(models, model.to(device), description, settings, preparation, device)

    def answers(self, paths: Sequence[Path], tables: Sequence[TableOfImages] = ()) -> Iterator[Answer | Unreadable]:
        """An answer for each picture, in their order, or why it cannot be read; then for each row of the tables.

        Raises UserError for weights that give NaN.
        """
        # Lines on a terminal are progress enough, and a bar would stand among them.
        total = len(paths) + sum(table.num_rows for table in tables)
        bar = tqdm(total=total, unit=" pictures", disable=sys.stdout.isatty() or None, leave=False)
        with quiet_pillow(), bar:
            pictures = in_order(self.preparation.prepare, paths, lambda path: math.prod(self.description.shape_CHW))
            items = chain(pictures, prepared_rows(tables, self.preparation))
            while batch := list(islice(items, BATCH_SIZE)):
                tops = iter(self._tops([item for item in batch if isinstance(item, PreparedPicture)]))
                for item in batch:
                    bar.update()
                    yield Answer(item, next(tops)) if isinstance(item, PreparedPicture) else item

    @torch.inference_mode()
    def _tops(self, pictures: list[PreparedPicture]) -> list[list[tuple[str, float]]]:
        if not pictures:
            return []
        images_NCHW = torch.from_numpy(np.stack([picture.image_CHW for picture in pictures])).to(self.device)
        flip_tta = self.settings.mirrors(self.description)
        probabilities_NK = class_logits(self.model, images_NCHW, flip_tta).softmax(dim=1)
        if not bool(probabilities_NK.isfinite().all()):
            raise UserError(f"{self.models / WEIGHTS}: needs weights that give numbers, found others; run `dvc repro`")
        classes = self.description.classes
        values_NM, indices_NM = probabilities_NK.topk(min(MAX_CLASSES, len(classes)), dim=1)
        return [
            [(classes[index], value) for index, value in zip(indices, values, strict=True)]
            for indices, values in zip(indices_NM.tolist(), values_NM.tolist(), strict=True)
        ]
