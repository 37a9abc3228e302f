"""Parameters of the stage `convert`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from classifier.common.params import Params, check_has_effect
from classifier.images.schema import CSV, FOLDER

Side = Annotated[int, Field(ge=1)]


class ConvertParams(Params):
    """`image_size` is the height and width, in pixels, that every image is brought to; `resize` is how, `color` the channels.

    `image_shape` (channels, height, width) is that of a person's CSV table; null has it inferred. `max_unreadable` is the share
    of a person's pictures that may be unreadable; null is one in a hundred.
    """

    dataset: str = Field(min_length=1)
    image_size: int = Field(ge=1, le=1024)
    resize: Literal["crop", "pad", "stretch"]
    color: Literal["auto", "rgb", "grey"]
    image_shape: list[Side] | None = Field(min_length=3, max_length=3)
    max_unreadable: float | None = Field(ge=0, lt=1)

    @model_validator(mode="after")
    def check_settings_have_effect(self) -> "ConvertParams":
        """What belongs to one kind of a person's own images."""
        check_has_effect(self.dataset, (CSV,), image_shape=self.image_shape)
        check_has_effect(self.dataset, (FOLDER,), max_unreadable=self.max_unreadable)
        return self
