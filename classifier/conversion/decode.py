"""One picture file -> an array of the size and the kind that is asked for; or why it cannot be read."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from classifier.blocks import Images
from classifier.common.errors import told
from classifier.conversion.resize import Fit, fitted

FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
"""All that Pillow may try, whatever a file's name says: its other readers include some that start programs."""
WIDEST = 2**24
"""Pixels of a row. Above twice as many Pillow says that memory is out, on whatever machine."""
GROUND = 255
"""White: what shows through where a picture is transparent."""


class UnreadableError(Exception):
    """The bytes are no picture of a known format, or a damaged or too large one. Its text is one line: why."""


def decoded(content: bytes, size: int, fit: Fit, grey: bool) -> Images:
    """The picture as image_CHW of `size`×`size` pixels, one channel if `grey` and three otherwise, made of `upright`."""
    return as_array(fitted(upright(content, grey), size, fit))


def upright(content: bytes, grey: bool) -> Image.Image:
    """The picture in its own size, of mode L if `grey` and RGB otherwise.

    Turned upright as its EXIF data say; transparent parts on white; of 16 bits the upper eight; of several frames the first.
    Raises UnreadableError for whatever Pillow cannot read, and for more pixels than `Image.MAX_IMAGE_PIXELS`: a few
    kilobytes can unpack to gigabytes. Call it within `quiet_pillow`. Memory that runs out is none of the picture's faults.
    """
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.width > WIDEST:
                raise UnreadableError(f"more than {WIDEST} pixels in a row")
            return ImageOps.exif_transpose(_opaque(image)).convert("L" if grey else "RGB")
    except (MemoryError, UnreadableError):
        raise
    except Exception as error:
        # Its readers let out nearly every kind of exception on damaged bytes, SyntaxError and struct.error among them.
        raise UnreadableError(_reason(error)) from None


def as_array(image: Image.Image) -> Images:
    """`image` (mode L or RGB) as image_CHW."""
    array = np.asarray(image)
    return array[np.newaxis] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Keep Pillow's warnings of odd files off the screen, and make that of a too large one an error. Not for nested use.

    Its readers are imported here, so that no two threads do it at the same time.
    """
    Image.init()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _opaque(image: Image.Image) -> Image.Image:
    """`image` with 8 bits a channel and nothing transparent, its EXIF data kept."""
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off at 255 instead of scaling
        upper = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
        upper.info = image.info
        return upper
    if not image.has_transparency_data:
        return image
    with_alpha = image.convert("RGBA")
    ground = Image.new("RGBA", image.size, (GROUND, GROUND, GROUND, 255))
    opaque = Image.alpha_composite(ground, with_alpha).convert("RGB")
    opaque.info = image.info
    return opaque


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return f"no picture of the formats {', '.join(FORMATS)}"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {Image.MAX_IMAGE_PIXELS} pixels"
    return told(error) or type(error).__name__
