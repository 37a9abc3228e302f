"""One picture file -> the image that the model sees, with all that was done to it in words."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from classifier.blocks import Images
from classifier.common.errors import UserError
from classifier.conversion.decode import FORMATS, UnreadableError, as_array, upright
from classifier.conversion.resize import Fit, fitted
from classifier.picture_pack import LARGEST_PICTURE
from classifier.schema import Standardised
from classifier.table.unreadable import Unreadable
from tools.predict.ground import Ground, Invert, training_ground, wants_inverting

ORIENTATION = 0x112
"""The EXIF tag; 1 is upright."""
GREY_MODES = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")
FIT_WORDS: dict[Fit, str] = {
    "crop": "its middle taken (resize: crop)",
    "pad": "black bars added (resize: pad)",
    "stretch": "out of proportion (resize: stretch)",
}


@dataclass(frozen=True)
class Prepared:
    """`image_CHW` as the model sees it; `steps` are what led there, in words."""

    path: Path
    image_CHW: Images
    inverted: bool
    steps: list[str]


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

    def prepare(self, path: Path) -> Prepared | Unreadable:
        """Read and bring one picture to the model's shape. Call it within `classifier.conversion.decode.quiet_pillow`."""
        try:
            content = _read(path)
            image = upright(content, self.grey)
        except (UnreadableError, OSError) as error:
            return Unreadable(str(path), (isinstance(error, OSError) and error.strerror) or str(error))
        inverted, why = self._inverted(image)
        seen = fitted(ImageOps.invert(image) if inverted else image, self.size, self.fit)
        steps = [*_kind_steps(content, self.grey), *([why] if why else []), *self._size_steps(image.size)]
        return Prepared(path, as_array(seen), inverted, steps)

    def _inverted(self, image: Image.Image) -> tuple[bool, str | None]:
        if self.invert != "auto":
            return self.invert == "yes", f"{'inverted' if self.invert == 'yes' else 'not inverted'} (--invert {self.invert})"
        if not self.grey:
            return False, None
        return wants_inverting(image, self.size, self.ground)

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
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        if getattr(image, "n_frames", 1) > 1:
            yield "the first frame alone"
        if image.mode.startswith("I"):
            yield "of 16 bits the upper 8"
        if image.has_transparency_data:
            yield "transparent parts on white"
        if image.getexif().get(ORIENTATION, 1) in range(2, 9):
            yield "turned upright"
        is_grey = image.mode in GREY_MODES
    if grey and not is_grey:
        yield "colours to grey"
    elif is_grey and not grey:
        yield "grey in three channels"
