"""Random changes of training images, a whole batch at once. Legend: N images of a batch, C channels, H height, W width.

Each image has its own draws, made for (seed, epoch, image): they depend neither on the batch it falls into nor on the order.
Only whether an image is flipped is drawn once, for the first epoch, and then alternates (Jordan 2024).
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from classifier.model.randomness import generator

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

    `names` are of NUM_DRAWS, or "cutmix", which classifier/training/cutmix.py does after these: "auto" must have been
    resolved. Raises ValueError for others.
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
    return _moved(images_NCHW, draws_N2, SHIFT)


def crop(images_NCHW: Tensor, draws_N2: Tensor) -> Tensor:
    """Pad with 0 by CROP_PADDING_SHARE of the shorter side on all sides, then cut out the old size anywhere."""
    return _moved(images_NCHW, draws_N2, max(1, round(min(images_NCHW.shape[2:]) * CROP_PADDING_SHARE)))


def cutout(images_NCHW: Tensor, draws_N2: Tensor) -> Tensor:
    """Set a square around a random pixel to 0; it may reach over the edge (DeVries & Taylor 2017)."""
    _, _, height, width = images_NCHW.shape
    side = max(1, round(min(height, width) * CUTOUT_SHARE))
    rows_NH = inside(draws_N2[:, 0], height, side)
    columns_NW = inside(draws_N2[:, 1], width, side)
    return images_NCHW.masked_fill((rows_NH[:, :, None] & columns_NW[:, None, :])[:, None], 0)


def _moved(images_NCHW: Tensor, draws_N2: Tensor, most: int) -> Tensor:
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
