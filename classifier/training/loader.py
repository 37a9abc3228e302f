"""The input of training: which images each step takes, cut out of the arrays, augmented. Legend: N images of a batch."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from classifier.common.errors import UserError
from classifier.compute.seeds import generator
from classifier.images.arrays import row_slices
from classifier.model.dataset import ImageDataset
from classifier.training.augment import Augmentations, CutMix, Mixture
from classifier.training.params import TrainParams

MAX_ROWS = 10_000
"""Of the history by step: the training state carries it, and git keeps it."""


def order_of_epoch(num_images: int, params: TrainParams, epoch: int) -> Tensor:
    """The rows as they are stored, or with `shuffle` in an order drawn for this epoch."""
    if not params.shuffle:
        return torch.arange(num_images)
    return torch.randperm(num_images, generator=generator(params.seed, "shuffle", epoch))


def steps_of_epoch(order_N: Tensor, params: TrainParams) -> tuple[Tensor, ...]:
    """The rows of each step; with `drop_last` the last ones are left out where they fill no batch."""
    num_used = _num_steps(len(order_N), params) * params.batch_size
    steps: tuple[Tensor, ...] = order_N[:num_used].split(params.batch_size)
    return steps


def num_epochs(num_images: int, params: TrainParams) -> int:
    """`epochs`, or as many more as `min_steps` need: passes over a small data set have few steps."""
    return max(params.epochs, -(-params.min_steps // max(_num_steps(num_images, params), 1)))


def check_steps(num_images: int, params: TrainParams) -> None:
    """Raise UserError when an epoch would have no step, and when `eval_every` would make no row or more than MAX_ROWS."""
    num_steps = _num_steps(num_images, params) * params.epochs
    if num_steps == 0:
        raise UserError(
            f"drop_last: {num_images} training images do not fill a batch of {params.batch_size}; lower batch_size or write "
            "`drop_last: false`"
        )
    if params.eval_every is None:
        return
    num_rows = num_steps // params.eval_every
    if num_rows == 0:
        raise UserError(
            f"eval_every {params.eval_every} has no effect on a run of {num_steps} steps; write {num_steps} or less, or "
            "`eval_every: null`"
        )
    if num_rows > MAX_ROWS:
        raise UserError(
            f"eval_every {params.eval_every} makes {num_rows} rows of {num_steps} steps; plots/steps.csv takes {MAX_ROWS}; "
            f"write {-(-num_steps // MAX_ROWS)} or more"
        )


def check_batch_size(batch_size: int, num_processes: int) -> None:
    """Raise UserError when `batch_size`, the images that all processes take together in a step, is not dealt out evenly."""
    if batch_size % num_processes:
        lower = batch_size // num_processes * num_processes
        nearest = lower if lower and batch_size - lower <= num_processes / 2 else lower + num_processes
        raise UserError(
            f"batch_size is that of all processes together and must be a multiple of {num_processes}, their number, "
            f"got {batch_size}; the nearest is {nearest}"
        )


def _num_steps(num_images: int, params: TrainParams) -> int:
    """Of an epoch."""
    return num_images // params.batch_size if params.drop_last else -(-num_images // params.batch_size)


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
        self.resident = moved(dataset, device) if _fits(dataset, device) else None

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


def moved(dataset: ImageDataset, device: torch.device) -> tuple[Tensor, Tensor]:
    """All images_NCHW and labels_N, on `device`; memory holds a block of them at a time."""
    images_NCHW = torch.empty((len(dataset), *dataset.shape_CHW), dtype=torch.uint8, device=device)
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
    """Cuts batches from `batches`, augments them and, where `params` say so, mixes them: the draws are those of `epoch`.

    They are uint8 until the last: `normalised` makes of them what the network takes.
    """

    def __init__(self, batches: Batches, params: TrainParams, epoch: int, normalised: Callable[[Tensor], Tensor]) -> None:
        self.batches = batches
        self.normalised = normalised
        self.augmented = Augmentations(params.augment, len(batches.dataset), params.seed, epoch, batches.device)
        self.cutmix = None
        if CutMix.is_used(params, epoch):
            self.cutmix = CutMix(len(batches.dataset), params.seed, epoch, batches.device, batches.rows_device)

    def of_steps(self, steps: Sequence[Tensor]) -> Iterator[StepInput]:
        """The input of each step; `steps` are their rows, on `rows_device`."""
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
