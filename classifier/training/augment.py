"""Random changes of training images, a whole batch at once. Legend: N images of a batch of C×H×W, K classes."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from classifier.compute.seeds import generator
from classifier.training.losses import one_hot

NUM_DRAWS = {"crop": 2, "shift": 2, "flip": 1, "cutout": 2}
"""Augmentation to the number of draws that an image needs for it, in the order in which they are applied."""
CUTMIX = "cutmix"
SHIFT = 1
"""Pixels, at most."""
CROP_PADDING_SHARE = 1 / 8
"""Of the shorter side; 4 pixels of 32, as He et al. 2016 crop CIFAR-10."""
CUTOUT_SHARE = 1 / 3
"""Side of the square that is cut out, of the shorter side of the image."""


class Augmentations:
    """The augmentations of one epoch, applied in the order: crop or shift, flip, cutout.

    `names` are of NUM_DRAWS, or "cutmix", which CutMix does after these. Raises ValueError for others.
    """

    def __init__(self, names: Sequence[str], num_images: int, seed: int, epoch: int, device: torch.device) -> None:
        if unknown := set(names) - NUM_DRAWS.keys() - {CUTMIX}:
            raise ValueError(f"augmentations must be of {', '.join(NUM_DRAWS)}, got {sorted(unknown)}")
        self.draws = {name: _draws(name, num_images, seed, epoch).to(device) for name in NUM_DRAWS if name in names}

    def __call__(self, images_NCHW: Tensor, rows_N: Tensor) -> Tensor:
        """Augmented copies of uint8 `images_NCHW`, which are the images `rows_N` of the data set."""
        for name, draws in self.draws.items():
            images_NCHW = _APPLY[name](images_NCHW, draws[rows_N])
        return images_NCHW


def _draws(name: str, num_images: int, seed: int, epoch: int) -> Tensor:
    """From 0 to below 1: (num_images, NUM_DRAWS[name])."""
    if name != "flip":
        return torch.rand(num_images, NUM_DRAWS[name], generator=generator(seed, name, epoch))
    return (torch.rand(num_images, 1, generator=generator(seed, name)) + 0.5 * (epoch % 2)) % 1


def flip(images_NCHW: Tensor, draws_N1: Tensor) -> Tensor:
    """Mirror left to right the images whose draw is below one half."""
    return torch.where(draws_N1[:, :, None, None] < 0.5, images_NCHW.flip(3), images_NCHW)


def shift(images_NCHW: Tensor, draws_N2: Tensor) -> Tensor:
    """Move each image by up to SHIFT pixels along either axis; what comes in is 0."""
    return _move(images_NCHW, draws_N2, SHIFT)


def crop(images_NCHW: Tensor, draws_N2: Tensor) -> Tensor:
    """Pad with 0 by CROP_PADDING_SHARE of the shorter side on all sides, then cut out the old size anywhere."""
    return _move(images_NCHW, draws_N2, max(1, round(min(images_NCHW.shape[2:]) * CROP_PADDING_SHARE)))


def cutout(images_NCHW: Tensor, draws_N2: Tensor) -> Tensor:
    """Set a square around a random pixel to 0; it may reach over the edge (DeVries & Taylor 2017)."""
    _, _, height, width = images_NCHW.shape
    side = max(1, round(min(height, width) * CUTOUT_SHARE))
    rows_NH = inside(draws_N2[:, 0], height, side)
    columns_NW = inside(draws_N2[:, 1], width, side)
    return images_NCHW.masked_fill((rows_NH[:, :, None] & columns_NW[:, None, :])[:, None], 0)


def _move(images_NCHW: Tensor, draws_N2: Tensor, most: int) -> Tensor:
    """Each image by up to `most` pixels along either axis; what comes in is 0."""
    num_images, _, height, width = images_NCHW.shape
    padded = pad(images_NCHW, (most, most, most, most))
    starts_N2 = (draws_N2 * (2 * most + 1)).long()
    rows_NH = starts_N2[:, :1] + torch.arange(height, device=draws_N2.device)
    columns_NW = starts_N2[:, 1:] + torch.arange(width, device=draws_N2.device)
    images = torch.arange(num_images, device=draws_N2.device)
    moved_NHWC = padded.permute(0, 2, 3, 1)[images[:, None, None], rows_NH[:, :, None], columns_NW[:, None, :]]
    return moved_NHWC.permute(0, 3, 1, 2)


def inside(draws_N: Tensor, length: int, side: int | Tensor) -> Tensor:
    """Whether each position of an axis of `length` lies in the piece around the drawn one; `side` may be one each, (N, 1)."""
    centres_N1 = (draws_N * length).long()[:, None]
    positions = torch.arange(length, device=draws_N.device)
    return (positions >= centres_N1 - side // 2) & (positions < centres_N1 - side // 2 + side)


_APPLY = {"crop": crop, "shift": shift, "flip": flip, "cutout": cutout}


MIXED_SHARE = 0.5
"""Of the images of an epoch."""


class CutMix:
    """The pieces of one epoch: which images get one, of what other image, how large and where.

    All is drawn for (seed, epoch, image), as augmentations are, so it depends neither on the batch nor on its order.
    """

    def __init__(self, num_images: int, seed: int, epoch: int, device: torch.device, rows_device: torch.device) -> None:
        """`rows_device` is where the rows of batches lie, `device` where their images do."""
        self.partners = torch.randperm(num_images, generator=generator(seed, "cutmix partners", epoch)).to(rows_device)
        self.draws = torch.rand(num_images, 4, generator=generator(seed, "cutmix", epoch)).to(device)

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
