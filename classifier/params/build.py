"""Parameters of the stage `build`."""

from pydantic import Field

from classifier.params.base import Params


class BuildParams(Params):
    """`val_fraction` of the training rows become the validation split, drawn by `seed`; 0 means no validation."""

    val_fraction: float = Field(ge=0, lt=1)
    seed: int = Field(ge=0, le=2**32 - 1)
