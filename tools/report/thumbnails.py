"""Small pictures of test images that stand in the page itself, within a budget. Legend: N images, C channels, H, W."""

import base64
import io
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from classifier.blocks import Images

MOST_IMAGES = 5000
MOST_BYTES = 6 * 2**20
"""Of all encoded pictures together; in the page they take a third more."""
LONGEST_SIDE = 64
"""In pixels; larger images are reduced to it, and kept as JPEG."""
_QUALITY = 85


def thumbnails(images_NCHW: Images, rows: Iterable[int]) -> dict[int, bytes]:
    """PNG or JPEG by row: of as many of `rows`, from the first, as the budget has room for."""
    pictures: dict[int, bytes] = {}
    num_bytes = 0
    for row in rows:
        if row not in pictures:
            encoded = thumbnail(images_NCHW[row])
            num_bytes += len(encoded)
            if num_bytes > MOST_BYTES or len(pictures) == MOST_IMAGES:
                break
            pictures[row] = encoded
    return pictures


def thumbnail(image_CHW: NDArray[np.uint8]) -> bytes:
    """Three channels are red, green and blue; of others the first is shown, dark on light as in print."""
    if len(image_CHW) == 3:
        picture = Image.fromarray(np.ascontiguousarray(image_CHW.transpose(1, 2, 0)))
    else:
        picture = Image.fromarray(255 - np.asarray(image_CHW[0]))
    buffer = io.BytesIO()
    if max(picture.size) > LONGEST_SIDE:
        picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
        picture.save(buffer, "JPEG", quality=_QUALITY)
    else:
        picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def data_address(picture: bytes) -> str:
    """The picture as an address that needs no file."""
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
