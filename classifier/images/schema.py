"""What the folders between the stages say of themselves: raw.json, schema.json and dataset.json."""

import math
from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, model_validator

from classifier.common.errors import MAX_SHOWN, short_repr
from classifier.common.text import is_printable

FOLDER = "folder"
CSV = "csv"
OWN = (FOLDER, CSV)
"""What `dataset` is called for a person's own images, which stand in no catalogue."""
HFLIP_INVARIANT = {FOLDER: False, CSV: False}
"""Whether a mirror image is taken to show the same class. Nobody but the person knows: left and right turns, digits, hands."""


def _printable(name: str) -> str:
    if not is_printable(name):
        raise ValueError(f"a class name must be printable, got {short_repr(name)}")
    return name


def _all_different(names: list[str]) -> list[str]:
    """Tables and pictures tell classes apart by name."""
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise ValueError(f"class names must differ, got {short_repr(name)} {'twice' if times == 2 else f'{times} times'}")
    return names


MAX_PIXELS = 4 * 1024 * 1024


def _not_too_large(shape_CHW: tuple[int, int, int]) -> tuple[int, int, int]:
    """Four channels of the largest `image_size`: what is made for an image must not fill the memory before one is read."""
    if math.prod(shape_CHW) > MAX_PIXELS:
        raise ValueError(f"an image has at most {MAX_PIXELS} values in all its channels")
    return shape_CHW


LONGEST_NAME = 128
"""Characters of a class name: it must fit beside a picture."""

# A name becomes part of a path, so it has no slash and no leading dot: no file can make us read or write elsewhere.
PlainName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$", max_length=100)]
ClassName = Annotated[str, Field(max_length=LONGEST_NAME), AfterValidator(_printable)]
ClassNames = Annotated[list[ClassName], Field(min_length=2), AfterValidator(_all_different)]
Side = Annotated[int, Field(ge=1)]
Shape = Annotated[tuple[Side, Side, Side], AfterValidator(_not_too_large)]
Count = Annotated[int, Field(ge=0)]
PixelMax = Annotated[int, Field(ge=1)]
TableSplit = Literal["train", "test"]
DatasetSplit = Literal["train", "val", "test"]
PublishedFormat = Literal["idx", "digits", "cifar"]
Format = Literal[PublishedFormat, "csv", "pictures"]
"""Those of the catalogue, and those in which `download` keeps a person's own images."""

ROLES: dict[Format, list[str]] = {
    "idx": ["train_images", "train_labels", "test_images", "test_labels"],
    "digits": ["images"],
    "cifar": ["archive"],
    "csv": ["train", "test"],
    "pictures": ["contents", "list"],
}
"""The files of each format. Another format is another line here, and a reader in `classifier.decoding.raw_images`."""
MAY_LACK: dict[Format, set[str]] = {"csv": {"test"}}


def check_roles(raw_format: Format, roles: list[str]) -> None:
    """Raise ValueError unless `roles` are those of the format, each once."""
    required = set(ROLES[raw_format]) - MAY_LACK.get(raw_format, set())
    if len(roles) != len(set(roles)) or not required <= set(roles) <= set(ROLES[raw_format]):
        needed, came = ", ".join(ROLES[raw_format]), ", ".join(role[:MAX_SHOWN] for role in roles[:8]) or "none"
        raise ValueError(f"files of format {raw_format!r} must be {needed}, got {came}")


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class Described(_Strict):
    dataset: str
    classes: ClassNames
    """Class names; label k of a row is classes[k]."""
    shape_CHW: Shape
    """Channels, height and width of every image, in pixels."""
    hflip_invariant: bool
    """Whether the mirror image of an image shows the same class."""
    pixel_max: PixelMax | None = None
    """Of a person's tables whose pixels lay within 0 to `pixel_max`, which is 255 now; None where nothing was scaled."""


class TableSchema(Described):
    """Of data/csv: a row is `label,pixel1,…,pixelN`, N = C·H·W, pixels 0 to 255 in `pixel_order`.

    With `packed_pixels` a row is `row,label`, and the pixels of row k are images_NCHW[k] of train.npy or test.npy beside.
    Without images to test on, `rows` has 0 for them, and `build` cuts them from those to train on.
    """

    pixel_order: Literal["CHW"] = "CHW"
    packed_pixels: Literal[True] | None = None
    rows: dict[TableSplit, Count] = Field(min_length=2)

    @property
    def num_pixels(self) -> int:
        return math.prod(self.shape_CHW)

    @model_validator(mode="after")
    def has_images_to_train_on(self) -> Self:
        if self.rows["train"] == 0:
            raise ValueError("rows of train must be 1 or more, got 0")
        return self


class Standardised(Described):
    """With a mean and a standard deviation of each channel, in units of 1/255."""

    mean: list[float]
    std: list[float]

    @model_validator(mode="after")
    def one_figure_a_channel(self) -> Self:
        channels = self.shape_CHW[0]
        if len(self.mean) != channels or len(self.std) != channels or min(self.std) <= 0:
            raise ValueError(f"mean and std need {channels} figures each, and each std above 0")
        return self


class DatasetInfo(Standardised):
    """Of data/dataset, with the mean and standard deviation of the training split."""

    rows: dict[DatasetSplit, Count] = Field(min_length=3)


class RawDescription(_Strict):
    """Of data/raw, written by `download`: all that `convert` needs to know, so that it need not read the catalogue."""

    dataset: str
    format: Format
    classes: ClassNames
    hflip_invariant: bool
    """Whether the mirror image of an image shows the same class."""
    pixel_max: PixelMax | None = None
    """As in Described."""
    files: dict[str, PlainName]
    """Role of each file to its name in the folder."""

    @model_validator(mode="after")
    def has_the_roles_of_its_format(self) -> Self:
        check_roles(self.format, list(self.files))
        return self


class KeptEpoch(BaseModel):
    """Of metrics/train.json, the one figure that `plot` marks."""

    model_config = ConfigDict(strict=True, frozen=True)

    best_epoch: Annotated[int, Field(ge=1, validation_alias=AliasChoices("train_best_epoch", "best_epoch"))]
    """Older runs have it under its second name."""
