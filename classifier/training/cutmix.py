"""CutMix (Yun et al. 2019): a piece of another image in an image. Legend: N images of a batch of C×H×W, K classes."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from classifier.model.randomness import generator
from classifier.params.train import TrainParams
from classifier.training.augmentations import CUTMIX, inside
from classifier.training.batches import Batches
from classifier.training.losses import one_hot

MIXED_SHARE = 0.5
"""Of the images of an epoch."""
EPOCHS_TO_A_PLAIN_ONE = 5
"""Of so many epochs one is left for the end, where nothing is mixed: the last steps are about whole images."""


class CutMix:
    """The pieces of one epoch: which images get one, of what other image, how large and where.

    All is drawn for (seed, epoch, image), as augmentations are, so it depends neither on the batch nor on its order.
    """

    def __init__(self, batches: Batches, seed: int, epoch: int) -> None:
        num_images = len(batches.dataset)
        self.partners = batches.placed(torch.randperm(num_images, generator=generator(seed, "cutmix partners", epoch)))
        self.draws = torch.rand(num_images, 4, generator=generator(seed, "cutmix", epoch)).to(batches.device)

    @classmethod
    def of_epoch(cls, batches: Batches, params: TrainParams, epoch: int) -> Self | None:
        """None where `params` ask for none, or for none in this epoch."""
        last = params.epochs - params.epochs // EPOCHS_TO_A_PLAIN_ONE
        return cls(batches, params.seed, epoch) if CUTMIX in params.augment and epoch <= last else None

    def partners_of(self, rows_N: Tensor) -> Tensor:
        """The rows of the images that the pieces for the images `rows_N` are of."""
        return self.partners[rows_N]

    def __call__(self, images_NCHW: Tensor, others_NCHW: Tensor, rows_N: Tensor) -> tuple[Tensor, Tensor]:
        """The images `rows_N` with pieces of `others_NCHW`, and which share_N of its area is still an image's own.

        A piece is a rectangle of the image's proportions, its area uniform from nothing to all; it may reach over the edge.
        """
        draws_N4 = self.draws[rows_N]
        height, width = images_NCHW.shape[2:]
        side_N1 = (1 - draws_N4[:, 1:2]).sqrt()
        rows_NH = inside(draws_N4[:, 2], height, (side_N1 * height).round().long())
        columns_NW = inside(draws_N4[:, 3], width, (side_N1 * width).round().long())
        mixed_N11 = draws_N4[:, :1, None] < MIXED_SHARE
        piece_NHW = rows_NH[:, :, None] & columns_NW[:, None, :] & mixed_N11
        return torch.where(piece_NHW[:, None], others_NCHW, images_NCHW), 1 - piece_NHW.float().mean(dim=(1, 2))


@dataclass(frozen=True)
class Mixture:
    """What else is in the images of a batch: pieces of the classes `others_N`; `share_N` of each is the image's own."""

    others_N: Tensor
    share_N: Tensor

    def split(self, sizes: list[int]) -> list["Mixture"]:
        """That of each of several batches, one after the other."""
        return [Mixture(*parts) for parts in zip(self.others_N.split(sizes), self.share_N.split(sizes), strict=True)]

    def targets(self, labels_N: Tensor, logits_NK: Tensor) -> Tensor:
        """Probabilities like `logits_NK`: the share for the class of the image, the rest for that of the piece."""
        share_N1, num_classes = self.share_N[:, None], logits_NK.shape[1]
        targets_NK = share_N1 * one_hot(labels_N, num_classes) + (1 - share_N1) * one_hot(self.others_N, num_classes)
        return targets_NK.to(logits_NK.dtype)
