"""What the folders between the stages say of themselves: raw.json, schema.json and dataset.json."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

ClassNames = Annotated[list[str], Field(min_length=2)]
Shape = tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
Count = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class _Described(_Strict):
    dataset: str
    classes: ClassNames
    """Class names; label k of a row is classes[k]."""
    shape_CHW: Shape
    """Channels, height and width of every image, in pixels."""


class TableSchema(_Described):
    """Of data/csv: a row is `label,pixel1,…,pixelN`, N = C·H·W, pixels 0 to 255 in `pixel_order`."""

    pixel_order: Literal["CHW"] = "CHW"
    rows: dict[Literal["train", "test"], Count]

    @property
    def num_pixels(self) -> int:
        channels, height, width = self.shape_CHW
        return channels * height * width


class DatasetInfo(_Described):
    """Of data/dataset: mean and standard deviation of each channel over the training split, in units of 1/255."""

    rows: dict[Literal["train", "val", "test"], Count]
    mean: list[float]
    std: list[float]

    @model_validator(mode="after")
    def one_figure_a_channel(self) -> Self:
        channels = self.shape_CHW[0]
        if len(self.mean) != channels or len(self.std) != channels or min(self.std) <= 0:
            raise ValueError(f"mean and std need {channels} figures each, and each std above 0")
        return self


class RawDescription(_Strict):
    """Of data/raw, written by `download`: all that `convert` needs to know, so that it need not read the catalogue."""

    dataset: str
    format: Literal["idx", "digits"]
    classes: ClassNames
    files: dict[str, str]
    """Role of each file (`train_images`, `train_labels`, …) to its name in the folder."""
