"""The training images of one epoch, as the network sees them. Legend: N images of a batch, C, H, W of an image, K classes."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from classifier.params.train import TrainParams
from classifier.training.augmentations import Augmentations
from classifier.training.batches import Batches
from classifier.training.cutmix import CutMix, Mixture

BYTES_AT_ONCE = 2**19
"""Batches of fewer bytes are made ready several at once: each operation costs some microseconds, however few images."""


class StepInput(NamedTuple):
    """What one step trains on: images_NCHW, normalised, and labels_N of `rows_N`, and what else is in the images."""

    rows_N: Tensor
    images_NCHW: Tensor
    labels_N: Tensor
    mixture: Mixture | None


class EpochInput:
    """Cuts batches from `batches`, augments them and, where `params` say so, mixes them: the draws are those of `epoch`.

    They are uint8 until the last: `normalised` makes of them what the network takes.
    """

    def __init__(self, batches: Batches, params: TrainParams, epoch: int, normalised: Callable[[Tensor], Tensor]) -> None:
        self.batches = batches
        self.normalised = normalised
        self.augmented = Augmentations(params.augment, len(batches.dataset), params.seed, epoch, batches.device)
        self.cutmix = CutMix.of_epoch(batches, params, epoch)

    def of_steps(self, steps: Sequence[Tensor]) -> Iterator[StepInput]:
        """The input of each step; `steps` are their `placed` rows."""
        at_once = self._steps_at_once(steps)
        for start in range(0, len(steps), at_once):
            yield from self._cut(steps[start : start + at_once])

    def _steps_at_once(self, steps: Sequence[Tensor]) -> int:
        batch_bytes = len(steps[0]) * math.prod(self.batches.dataset.shape_CHW)
        return max(1, BYTES_AT_ONCE // max(batch_bytes, 1))

    def _cut(self, steps: Sequence[Tensor]) -> Iterator[StepInput]:
        rows_N = torch.cat(list(steps)) if len(steps) > 1 else steps[0]
        images_NCHW, labels_N, mixture = self._mixed(rows_N)
        sizes = [len(rows) for rows in steps]
        mixtures = mixture.split(sizes) if mixture else [None] * len(steps)
        yield from map(StepInput, steps, self.normalised(images_NCHW).split(sizes), labels_N.split(sizes), mixtures)

    def _mixed(self, rows_N: Tensor) -> tuple[Tensor, Tensor, Mixture | None]:
        images_NCHW, labels_N = self._augmented_images(rows_N)
        if self.cutmix is None:
            return images_NCHW, labels_N, None
        others_NCHW, others_N = self._augmented_images(self.cutmix.partners_of(rows_N))
        images_NCHW, share_N = self.cutmix(images_NCHW, others_NCHW, rows_N)
        return images_NCHW, labels_N, Mixture(others_N, share_N)

    def _augmented_images(self, rows_N: Tensor) -> tuple[Tensor, Tensor]:
        images_NCHW, labels_N = self.batches.cut(rows_N)
        return self.augmented(images_NCHW, rows_N), labels_N
