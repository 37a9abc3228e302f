"""A split as a PyTorch data set."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from classifier.arrays import load_split
from classifier.blocks import Images, Labels
from classifier.common.errors import UserError
from classifier.model.row_requests import RowRequests
from classifier.schema import Described

Sample = tuple[Tensor, int]
"""An image_CHW of uint8, 0 to 255, and its label."""


class ImageDataset(Dataset[Sample]):
    """Images and labels as they are stored: neither scaled nor standardised, which is faster done for a batch on the device.

    The arrays may be read-only memory maps, also of files larger than memory; every sample and batch is a copy. An index out of
    range raises IndexError.
    """

    def __init__(self, images_NCHW: Images, labels_N: Labels) -> None:
        if images_NCHW.ndim != 4 or labels_N.shape != images_NCHW.shape[:1]:
            raise ValueError(f"needs images_NCHW and as many labels_N, got {images_NCHW.shape} and {labels_N.shape}")
        _, channels, height, width = images_NCHW.shape
        self.shape_CHW = (channels, height, width)
        self.images_NCHW = images_NCHW
        self.labels_N = labels_N
        self._requests = RowRequests.of_large(images_NCHW)

    def __getstate__(self) -> dict[str, object]:
        """For another process, as a DataLoader starts them: it gets the arrays, and no map to ask for rows of."""
        return self.__dict__ | {"_requests": None}

    @classmethod
    def from_folder(cls, folder: Path, described: Described | None = None) -> Self:
        """The split in `folder`, memory-mapped.

        Raises UserError when it is not one (classifier.arrays.load_split), and when its images have another shape or its labels
        belong to more classes than `described`.
        """
        dataset = cls(*load_split(folder))
        if described:
            dataset._refuse_misfits(folder, described)
        return dataset

    def _refuse_misfits(self, folder: Path, described: Described) -> None:
        if self.shape_CHW != described.shape_CHW:
            raise UserError(f"{folder}: needs images of shape {described.shape_CHW}, found {self.shape_CHW}; run `dvc repro`")
        num_classes = len(described.classes)
        wrong = self.labels_N[(self.labels_N < 0) | (self.labels_N >= num_classes)]
        if len(wrong):
            raise UserError(f"{folder}: needs labels from 0 to {num_classes - 1}, found {wrong[0]}; run `dvc repro`")

    def __len__(self) -> int:
        return len(self.labels_N)

    def __getitem__(self, index: int) -> Sample:
        return torch.from_numpy(self.images_NCHW[index].copy()), int(self.labels_N[index])

    def __getitems__(self, indices: Sequence[int]) -> list[Sample]:
        """The samples of one batch, for a DataLoader with its default collate function."""
        images_NCHW, labels_N = self.batch(np.asarray(indices, dtype=np.int64))
        return list(zip(images_NCHW, labels_N.tolist(), strict=True))

    def batch(self, indices: Tensor | NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Images_NCHW (uint8) and labels_N (int64) for a one-dimensional array of indices, in its order."""
        rows = np.asarray(indices)
        if self._requests:
            self._requests.ask_for(rows)
        return torch.from_numpy(self.images_NCHW[rows]), torch.from_numpy(self.labels_N[rows])
