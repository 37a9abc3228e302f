"""A picture in characters, for a terminal: the lighter a pixel, the more of its place is filled."""

import numpy as np
from PIL import Image

from classifier.blocks import Images

RAMP = " .:-=+*#%@"
MOST_PIXELS = 40
"""In height and width; a pixel is two characters wide, since those are about twice as high as wide."""


def as_text(image_CHW: Images) -> str:
    """A line for each row of pixels; colours by their luma, larger pictures shrunk to 40×40."""
    image = Image.fromarray(image_CHW[0] if len(image_CHW) == 1 else image_CHW.transpose(1, 2, 0)).convert("L")
    image.thumbnail((MOST_PIXELS, MOST_PIXELS), Image.Resampling.BOX)
    levels_HW = np.asarray(image).astype(int) * len(RAMP) // 256
    return "\n".join("".join(RAMP[level] * 2 for level in row).rstrip() for row in levels_HW)
