"""A short number that tells images apart."""

import hashlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from classifier.images.arrays import Images, row_slices

Digests = NDArray[np.uint64]
DIGEST_BYTES = 8
"""Among a million different images two have the same digest once in 37 million times."""


def image_digests(images_NCHW: Images) -> Digests:
    """A number for each image: the same for the same pixels, and as good as surely another for others (BLAKE2b)."""
    digests = np.empty(len(images_NCHW), dtype=np.uint64)
    for rows in row_slices(len(images_NCHW), images_NCHW[0].size):
        block = np.ascontiguousarray(images_NCHW[rows]).reshape(rows.stop - rows.start, -1)
        content = b"".join(hashlib.blake2b(image.data, digest_size=DIGEST_BYTES).digest() for image in block)
        digests[rows] = np.frombuffer(content, dtype="<u8")
    return digests


def all_digests(splits: Mapping[str, Images]) -> dict[str, Digests]:
    """Those of each split."""
    return {name: image_digests(images_NCHW) for name, images_NCHW in splits.items()}
