"""Images brought to one size."""

from collections.abc import Iterable, Iterator

import numpy as np
from PIL import Image

from classifier.blocks import Block, Images, row_slices


def resized(blocks: Iterable[Block], size: int) -> Iterator[Block]:
    """Yield the blocks with every image `size` pixels high and wide; blocks that are so already pass as they are.

    Bilinear, with the support widened when an image shrinks (Pillow's BILINEAR); an oblong image is stretched to a square.
    """
    for images_NCHW, labels_N in blocks:
        if images_NCHW.shape[2:] == (size, size):
            yield images_NCHW, labels_N
        else:
            channels = images_NCHW.shape[1]
            for rows in row_slices(len(labels_N), channels * size * size):
                yield _resize(images_NCHW[rows], size), labels_N[rows]


def _resize(images_NCHW: Images, size: int) -> Images:
    num_images, channels, height, width = images_NCHW.shape
    planes = [
        np.asarray(Image.fromarray(plane).resize((size, size), Image.Resampling.BILINEAR))
        for plane in images_NCHW.reshape(-1, height, width)
    ]
    return np.stack(planes).reshape(num_images, channels, size, size)
