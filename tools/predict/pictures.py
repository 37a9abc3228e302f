"""From the files of pictures to the images that the model sees, with all that was done to each in words."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from classifier.common.errors import UserError
from classifier.common.files import read_json
from classifier.decoding.pictures import FORMATS, TURNS, UnreadableError, Upright, as_array, orientation, upright
from classifier.decoding.resize import Fit
from classifier.images.arrays import Images
from classifier.images.picture_pack import LARGEST_PICTURE
from classifier.images.schema import DatasetInfo, Standardised
from classifier.images.unreadable import Unreadable
from tools.predict.paths import displayed_path

Invert = Literal["auto", "yes", "no"]
MOSTLY_DARK, MOSTLY_LIGHT = 1 / 3, 2 / 3
"""Means of training images below and above which their ground is taken for black and for white.

MNIST has 0.13, Fashion-MNIST 0.29, the digits 0.30; photographs lie between.
"""
MIDDLE = 0.5
"""Mean of a border above which it is light. None of the 141,797 images of these three sets has a border above it."""


@dataclass(frozen=True)
class Ground:
    """What the training images lie on, `where` being the file that tells it; `mean` is None where none does."""

    mean: float | None
    where: str


def training_ground(root: Path, described: Standardised) -> Ground:
    """The mean pixel, 0 to 1, of the grey images that the model of `described` was trained on.

    By data/dataset/dataset.json, where that is of the same images; by models/model.json otherwise, unless the mean there was
    not measured but chosen: measured ones are above 0 with the images' standard deviation.
    """
    path = root / "data/dataset/dataset.json"
    if path.is_file():
        try:
            info = read_json(path, DatasetInfo)
        except UserError:
            info = None
        if info and (info.dataset, info.classes, info.shape_CHW) == (described.dataset, described.classes, described.shape_CHW):
            return Ground(info.mean[0], "data/dataset/dataset.json")
    mean, std = described.mean[0], described.std[0]
    was_measured = 0 < mean < 1 and std**2 <= mean * (1 - mean)  # of values from 0 to 1 (Bhatia & Davis 2000)
    return Ground(mean if was_measured else None, "models/model.json")


def wants_inverting(stretched: Image.Image, ground: Ground) -> tuple[bool, str]:
    """Whether a grey picture, `stretched` to the model's size, lies on the other ground than the training images, and why.

    Its border are the outermost pixels of the whole picture at the model's size: what a crop keeps may be the thing alone.
    """
    if ground.mean is None:
        return False, f"not inverted, as {ground.where} does not tell the mean of the training images"
    if MOSTLY_DARK <= ground.mean <= MOSTLY_LIGHT:
        return False, f"not inverted, as the training images are neither dark nor light (mean {ground.mean:.2f})"
    border = _border_mean(np.asarray(stretched))
    found, known = _word(border), _word(ground.mean)
    reason = f"{found} border, {border:.2f}; {known} training images, {ground.mean:.2f}"
    return found != known, f"{'inverted' if found != known else 'not inverted'} ({reason})"


def _border_mean(pixels_HW: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> float:
    """Mean of the outermost pixels, 0 to 1."""
    is_border_HW = np.ones(pixels_HW.shape, dtype=bool)
    is_border_HW[1:-1, 1:-1] = False
    return float(pixels_HW[is_border_HW].mean()) / 255


def _word(mean: float) -> str:
    return "light" if mean > MIDDLE else "dark"


GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")
FIT_WORDS: dict[Fit, str] = {
    "crop": "its middle taken (resize: crop)",
    "pad": "black bars added (resize: pad)",
    "stretch": "out of proportion (resize: stretch)",
}


@dataclass(frozen=True)
class PreparedPicture:
    """`image_CHW` as the model sees it; `steps` are what led there, in words."""

    path: Path
    image_CHW: Images
    inverted: bool
    steps: list[str]
    row: int | None = None
    """Of a table, from 1 on."""

    @property
    def name(self) -> str:
        """As it is shown."""
        return displayed_path(self.path) + (f", row {self.row}" if self.row is not None else "")


@dataclass(frozen=True)
class Preparation:
    """How every picture is brought to what the model was trained on."""

    size: int
    grey: bool
    fit: Fit
    invert: Invert
    ground: Ground

    @classmethod
    def of_model(cls, root: Path, described: Standardised, fit: Fit, invert: Invert) -> "Preparation":
        """Raises UserError for a model whose images no picture can be brought to."""
        channels, height, width = described.shape_CHW
        if height != width or channels not in (1, 3):
            raise UserError(
                f"{root / 'models/model.json'}: needs square images of 1 or 3 channels for pictures to be brought to, "
                f"found {channels} channels of {height}x{width}"
            )
        return cls(height, channels == 1, fit, invert, training_ground(root, described))

    def prepare(self, path: Path) -> PreparedPicture | Unreadable:
        """Read and bring one picture to the model's shape. Call it within `classifier.decoding.pictures.quiet_pillow`."""
        try:
            content = _read(path)
            picture = upright(content, self.grey, self.size, self.fit)
        except (UnreadableError, OSError) as error:
            return Unreadable(str(path), (isinstance(error, OSError) and error.strerror) or str(error))
        inverted, why = self._inverted(picture)
        if inverted:
            picture = replace(picture, image=ImageOps.invert(picture.image))
        seen = picture.fitted(self.size, self.fit)
        steps = [*_kind_steps(content, self.grey), *([why] if why else []), *self._size_steps((picture.width, picture.height))]
        return PreparedPicture(path, as_array(seen), inverted, steps)

    def _inverted(self, picture: Upright) -> tuple[bool, str | None]:
        if self.invert != "auto":
            return self.invert == "yes", f"{'inverted' if self.invert == 'yes' else 'not inverted'} (--invert {self.invert})"
        if not self.grey:
            return False, None
        return wants_inverting(picture.fitted(self.size, "stretch"), self.ground)

    def _size_steps(self, found: tuple[int, int]) -> Iterator[str]:
        width, height = found
        if found != (self.size, self.size):
            fit = f", {FIT_WORDS[self.fit]}" if width != height else ""
            yield f"{width}×{height} pixels to {self.size}×{self.size}{fit}"


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(LARGEST_PICTURE + 1)
    if len(content) > LARGEST_PICTURE:
        raise UnreadableError(f"more than {LARGEST_PICTURE} bytes")
    return content


def _kind_steps(content: bytes, grey: bool) -> Iterator[str]:
    """What `upright` did to this picture, which it could read."""
    if _has_more_frames(content):
        yield "the first frame alone"
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        if image.mode.startswith("I"):
            yield "of 16 bits the upper 8"
        if image.has_transparency_data:
            yield "transparent parts on white"
        if orientation(image) in TURNS:
            yield "turned upright"
        is_grey = image.mode in GREY_MODES
    if grey and not is_grey:
        yield "colours to grey"
    elif is_grey and not grey:
        yield "grey in three channels"


def _has_more_frames(content: bytes) -> bool:
    """Also where a later one is damaged: then nearly every kind of exception comes out of looking for them all."""
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        try:
            return getattr(image, "n_frames", 1) > 1
        except MemoryError:
            raise
        except Exception:
            return True
