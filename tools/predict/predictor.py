"""The trained model, asked about picture files. Legend: N pictures, K classes, M of them the likeliest."""

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self

import numpy as np
import torch
from tqdm import tqdm

from classifier.common.errors import UserError
from classifier.conversion.decode import quiet_pillow
from classifier.conversion.picture_reader import in_order
from classifier.model.compute import set_up_compute
from classifier.model.file import WEIGHTS, ModelDescription, load_model
from classifier.model.image_classifier import ImageClassifier
from classifier.model.inference import class_logits
from classifier.table.unreadable import Unreadable
from tools.predict.ground import Invert
from tools.predict.preparation import Preparation, Prepared
from tools.predict.settings import Settings, read_settings

BATCH_SIZE = 64
MOST_CLASSES = 3


@dataclass(frozen=True)
class Answer:
    """`top` are the likeliest classes and their probabilities, 0 to 1, at most three, the likeliest first."""

    picture: Prepared
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

    def answers(self, paths: Sequence[Path]) -> Iterator[Answer | Unreadable]:
        """An answer for each picture, in their order, or why it cannot be read. Raises UserError for weights that give NaN."""
        # Lines on a terminal are progress enough, and a bar would stand among them.
        bar = tqdm(total=len(paths), unit=" pictures", disable=sys.stdout.isatty() or None, leave=False)
        with quiet_pillow(), bar:
            items = in_order(self.preparation.prepare, paths, lambda path: math.prod(self.description.shape_CHW))
            while batch := list(islice(items, BATCH_SIZE)):
                tops = iter(self._tops([item for item in batch if isinstance(item, Prepared)]))
                for item in batch:
                    bar.update()
                    yield Answer(item, next(tops)) if isinstance(item, Prepared) else item

    @torch.inference_mode()
    def _tops(self, pictures: list[Prepared]) -> list[list[tuple[str, float]]]:
        if not pictures:
            return []
        images_NCHW = torch.from_numpy(np.stack([picture.image_CHW for picture in pictures])).to(self.device)
        flip_tta = self.settings.mirrors(self.description)
        probabilities_NK = class_logits(self.model, images_NCHW, flip_tta).softmax(dim=1)
        if not bool(probabilities_NK.isfinite().all()):
            raise UserError(f"{self.models / WEIGHTS}: needs weights that give numbers, found others; run `dvc repro`")
        classes = self.description.classes
        values_NM, indices_NM = probabilities_NK.topk(min(MOST_CLASSES, len(classes)), dim=1)
        return [
            [(classes[index], value) for index, value in zip(indices, values, strict=True)]
            for indices, values in zip(indices_NM.tolist(), values_NM.tolist(), strict=True)
        ]
