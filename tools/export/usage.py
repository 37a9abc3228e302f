"""The program on the card, which needs onnxruntime and Pillow alone. It prepares a picture as stage `convert` does."""

from classifier.conversion.resize import Fit

_PROGRAM = '''\
import json
import sys

import numpy as np
import onnxruntime
from PIL import Image, ImageOps

SIDE = {side}


def prepared(path):
    """The picture as uint8 (C, H, W)."""
    with Image.open(path) as image:
        picture = ImageOps.exif_transpose(image)
    if picture.mode.startswith("I"):  # of 16 bits the upper eight
        picture = Image.fromarray((np.asarray(picture).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    if picture.has_transparency_data:
        ground = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(ground, picture.convert("RGBA")).convert("RGB")
    picture = picture.convert("{mode}")
{fit}
{array}


session = onnxruntime.InferenceSession("model.onnx", providers=["CPUExecutionProvider"])
classes = json.loads(session.get_modelmeta().custom_metadata_map["classes"])
images = np.stack([prepared(path) for path in sys.argv[1:]])
(probabilities,) = session.run(None, {{"images": images}})
for path, row in zip(sys.argv[1:], probabilities, strict=True):
    best = row.argsort()[::-1][:3]
    print(path, *(f"{{classes[label]}} {{row[label]:.1%}}" for label in best), sep="  ")
'''
_FITS: dict[Fit, str] = {
    "crop": """\
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    picture = picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=(left, top, left + side, top + side))""",
    "pad": """\
    longest = max(picture.size)
    inner = tuple(max(1, round(SIDE * length / longest)) for length in picture.size)
    ground = Image.new(picture.mode, (SIDE, SIDE))
    ground.paste(picture.resize(inner, Image.Resampling.BILINEAR), ((SIDE - inner[0]) // 2, (SIDE - inner[1]) // 2))
    picture = ground""",
    "stretch": """\
    picture = picture.resize((SIDE, SIDE), Image.Resampling.BILINEAR)""",
}
_ARRAYS = {
    1: "    return np.asarray(picture)[np.newaxis]",
    3: "    return np.asarray(picture).transpose(2, 0, 1)",
}


def program(shape_CHW: tuple[int, int, int], fit: Fit) -> str:
    """Python source that prints the three likeliest classes of each picture named on its command line."""
    channels, side, _ = shape_CHW
    return _PROGRAM.format(side=side, mode="L" if channels == 1 else "RGB", fit=_FITS[fit], array=_ARRAYS[channels])
