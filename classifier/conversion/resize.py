"""Images brought to one size."""

from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
from PIL import Image

from classifier.blocks import Block, Images, row_slices

Fit = Literal["crop", "pad", "stretch"]
"""How an oblong image becomes a square: by its middle, by black bars at its sides, or out of proportion."""


def resized(blocks: Iterable[Block], size: int, fit: Fit) -> Iterator[Block]:
    """Yield the blocks with every image `size` pixels high and wide; blocks that are so already pass as they are."""
    for images_NCHW, labels_N in blocks:
        if images_NCHW.shape[2:] == (size, size):
            yield images_NCHW, labels_N
        else:
            channels = images_NCHW.shape[1]
            for rows in row_slices(len(labels_N), channels * size * size):
                yield _resize(images_NCHW[rows], size, fit), labels_N[rows]


def _resize(images_NCHW: Images, size: int, fit: Fit) -> Images:
    num_images, channels, height, width = images_NCHW.shape
    planes = [np.asarray(fitted(Image.fromarray(plane), size, fit)) for plane in images_NCHW.reshape(-1, height, width)]
    return np.stack(planes).reshape(num_images, channels, size, size)


def fitted(image: Image.Image, size: int, fit: Fit) -> Image.Image:
    """`image` (mode L or RGB) at `size`×`size` pixels: bilinear, with the support widened when it shrinks (Pillow's BILINEAR).

    A square image comes out the same for every `fit`.
    """
    width, height = image.size
    if fit == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        return image.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    if fit == "stretch" or width == height:
        return image.resize((size, size), Image.Resampling.BILINEAR)
    longest = max(width, height)
    inner = (max(1, round(size * width / longest)), max(1, round(size * height / longest)))
    ground = Image.new(image.mode, (size, size))
    ground.paste(image.resize(inner, Image.Resampling.BILINEAR), ((size - inner[0]) // 2, (size - inner[1]) // 2))
    return ground
