"""The input of training: which images each step takes, cut out of the arrays, augmented. Legend: N images of a batch."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from classifier.compute.seeds import generator
from classifier.images.arrays import row_slices
from classifier.model.dataset import ImageDataset
from classifier.training.augment import Augmentations, CutMix, Mixture
from classifier.training.recipe import Recipe


def steps_of_epoch(recipe: Recipe, epoch: int, device: torch.device) -> tuple[Tensor, ...]:
    """The rows of each step, on `device`: as they are stored, or with `shuffle` in an order drawn for this epoch.

    With `drop_last` the last ones are left out where they fill no batch.
    """
    if recipe.shuffle:
        order_N = torch.randperm(recipe.num_images, generator=generator(recipe.seed, "shuffle", epoch))
    else:
        order_N = torch.arange(recipe.num_images)
    num_used = recipe.steps_per_epoch * recipe.batch_size
    steps: tuple[Tensor, ...] = order_N.to(device)[:num_used].split(recipe.batch_size)
    return steps


SHARE_OF_FREE_MEMORY = 0.5
"""A data set that takes less than this of a GPU's free memory is moved there once, and cut there."""


class Batches:
    """The images and labels of `dataset` on `device`, by rows.

    Unless the data set is moved to the device, a batch is cut from the memory-mapped arrays when it is asked for, and nothing
    is kept of it here. So a loop that keeps its batch until it has the next one holds two batches in memory, as bytes and
    normalised, however large the data set is; augmentation adds three copies of one's bytes at most, cutmix as much again.
    What is moved to the device goes there block by block.
    """

    def __init__(self, dataset: ImageDataset, device: torch.device) -> None:
        self.dataset = dataset
        self.device = device
        self.resident = move_to(device, dataset) if _fits(dataset, device) else None

    @property
    def rows_device(self) -> torch.device:
        """Where `cut` needs the rows."""
        return self.device if self.resident else torch.device("cpu")

    def cut(self, rows_N: Tensor) -> tuple[Tensor, Tensor]:
        """Images_NCHW (uint8) and labels_N (int64) of rows on `rows_device`; the copy to the device need not have arrived."""
        if self.resident:
            return self.resident[0][rows_N], self.resident[1][rows_N]
        batch = self.dataset.batch(rows_N)
        if self.device.type == "cpu":
            return batch
        if self.device.type == "cuda":
            batch = (batch[0].pin_memory(), batch[1].pin_memory())
        return batch[0].to(self.device, non_blocking=True), batch[1].to(self.device, non_blocking=True)


def move_to(device: torch.device, dataset: ImageDataset) -> tuple[Tensor, Tensor]:
    """All images_NCHW and labels_N, on `device`; memory holds a block of them at a time."""
    like = dataset.batch(torch.arange(0))[0]
    images_NCHW = torch.empty((len(dataset), *dataset.shape_CHW), dtype=like.dtype, device=device)
    labels_N = torch.empty(len(dataset), dtype=torch.int64, device=device)
    for rows in row_slices(len(dataset), math.prod(dataset.shape_CHW)):
        images_NCHW[rows], labels_N[rows] = dataset.batch(torch.arange(rows.start, rows.stop))
    return images_NCHW, labels_N


def _fits(dataset: ImageDataset, device: torch.device) -> bool:
    if device.type != "cuda":
        return False
    free_bytes, _ = torch.cuda.mem_get_info(device)
    return dataset.images_NCHW.nbytes < SHARE_OF_FREE_MEMORY * free_bytes


BYTES_AT_ONCE = 2**19
"""Batches of fewer bytes are made ready several at once: each operation costs some microseconds, however few images."""


class StepInput(NamedTuple):
    """What one step trains on: images_NCHW, normalised, and labels_N of `rows_N`, and what else is in the images."""

    rows_N: Tensor
    images_NCHW: Tensor
    labels_N: Tensor
    mixture: Mixture | None


class EpochInput:
    """Cuts batches from `batches`, augments them and, where the recipe says so, mixes them: the draws are those of `epoch`.

    They are uint8 until the last: `normalise` makes of them what the network takes.
    """

    def __init__(self, batches: Batches, recipe: Recipe, epoch: int, normalise: Callable[[Tensor], Tensor]) -> None:
        num_images = len(batches.dataset)
        self.batches = batches
        self.normalise = normalise
        self.augment = Augmentations(recipe.augment, num_images, recipe.seed, epoch, batches.device)
        self.cutmix = None
        if epoch <= recipe.last_mixed_epoch:
            self.cutmix = CutMix(num_images, recipe.seed, epoch, batches.device, batches.rows_device)

    def of_steps(self, steps: Sequence[Tensor]) -> Iterator[StepInput]:
        """The input of each step; `steps` are their rows, on `rows_device`."""
        batch_bytes = len(steps[0]) * self.batches.dataset.images_NCHW[:1].nbytes
        at_once = max(1, BYTES_AT_ONCE // max(batch_bytes, 1))
        for start in range(0, len(steps), at_once):
            yield from self._cut(steps[start : start + at_once])

    def _cut(self, steps: Sequence[Tensor]) -> Iterator[StepInput]:
        rows_N = torch.cat(list(steps)) if len(steps) > 1 else steps[0]
        images_NCHW, labels_N, mixture = self._mix(rows_N)
        sizes = [len(rows) for rows in steps]
        mixtures = mixture.split(sizes) if mixture else [None] * len(steps)
        yield from map(StepInput, steps, self.normalise(images_NCHW).split(sizes), labels_N.split(sizes), mixtures)

    def _mix(self, rows_N: Tensor) -> tuple[Tensor, Tensor, Mixture | None]:
        images_NCHW, labels_N = self._cut_augmented(rows_N)
        if self.cutmix is None:
            return images_NCHW, labels_N, None
        others_NCHW, others_N = self._cut_augmented(self.cutmix.partners_of(rows_N))
        images_NCHW, share_N = self.cutmix(images_NCHW, others_NCHW, rows_N)
        return images_NCHW, labels_N, Mixture(others_N, share_N)

    def _cut_augmented(self, rows_N: Tensor) -> tuple[Tensor, Tensor]:
        images_NCHW, labels_N = self.batches.cut(rows_N)
        return self.augment(images_NCHW, rows_N), labels_N
