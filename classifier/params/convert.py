"""Parameters of the stage `convert`."""

from pydantic import Field

from classifier.params.base import Params


class ConvertParams(Params):
    """`image_size` is the height and width, in pixels, that every image is brought to."""

    image_size: int = Field(ge=1, le=1024)
