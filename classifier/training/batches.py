"""Cuts batches straight out of a data set's arrays, onto the device. Legend: N images of a batch."""

import math

import torch
from torch import Tensor

from classifier.blocks import row_slices
from classifier.model.dataset import ImageDataset

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

    def placed(self, rows_N: Tensor) -> Tensor:
        """Rows that are on the CPU, brought to where `cut` needs them."""
        return rows_N.to(self.device) if self.resident else rows_N

    def cut(self, rows_N: Tensor) -> tuple[Tensor, Tensor]:
        """Images_NCHW (uint8) and labels_N (int64) of the `placed` rows; the copy to the device need not have arrived."""
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
