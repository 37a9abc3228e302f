"""Images brought to one size, and to colour or grey, as asked."""

from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
from PIL import Image

from classifier.images.arrays import Block, Images, row_slices

Colour = Literal["auto", "rgb", "grey"]
"""`auto` is grey where no image has a colour, and colour otherwise."""
CHANNELS: dict[Colour, int] = {"rgb": 3, "grey": 1}
RED, GREEN, BLUE = 19595, 38470, 7471
"""The luma of ITU-R BT.601, 0.299 R + 0.587 G + 0.114 B, in units of 1/65536 as Pillow has it."""


def coloured(blocks: Iterable[Block], channels: int) -> Iterator[Block]:
    """Yield the blocks with `channels` (1 or 3) of each image: grey ones three times the same, colours by their luma."""
    for images_NCHW, labels_N in blocks:
        found = images_NCHW.shape[1]
        if found == channels:
            yield images_NCHW, labels_N
        elif found == 1:
            yield np.repeat(images_NCHW, channels, axis=1), labels_N
        else:
            yield _luma(images_NCHW), labels_N


def _luma(images_NCHW: Images) -> Images:
    wide = images_NCHW.astype(np.uint32)
    luma_NHW = (RED * wide[:, 0] + GREEN * wide[:, 1] + BLUE * wide[:, 2] + 0x8000) >> 16
    return luma_NHW.astype(np.uint8)[:, np.newaxis]


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


Box = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels and parts of them."""


def fitted(image: Image.Image, size: int, fit: Fit, frame: Box | None = None) -> Image.Image:
    """`image` (mode L or RGB) at `size`×`size` pixels: bilinear, with the support widened when it shrinks (Pillow's BILINEAR).

    Only what lies in `frame` is taken; None is all. A square one comes out the same for every `fit`.
    """
    left, top, right, bottom = frame or (0, 0, *image.size)
    width, height = right - left, bottom - top
    if fit == "crop":
        side = min(width, height)
        left, top = left + (width - side) / 2, top + (height - side) / 2
        return image.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))
    if fit == "stretch" or width == height:
        return image.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, right, bottom))
    inner = inner_size(width, height, size)
    ground = Image.new(image.mode, (size, size))
    picture = image.resize(inner, Image.Resampling.BILINEAR, box=(left, top, right, bottom))
    ground.paste(picture, ((size - inner[0]) // 2, (size - inner[1]) // 2))
    return ground


def inner_size(width: float, height: float, size: int) -> tuple[int, int]:
    """Width and height in pixels of an oblong picture that fills a square of `size` in its longer direction."""
    longest = max(width, height)
    return max(1, round(size * width / longest)), max(1, round(size * height / longest))
