"""Images in colour or in grey, as asked."""

from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np

from classifier.blocks import Block, Images

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
