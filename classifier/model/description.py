"""models/model.json: all that is needed to use the weights beside it. Known without importing torch."""

from typing import Annotated, Literal

from pydantic import Field

from classifier.compute.params import Precision
from classifier.images.schema import Standardised

WEIGHTS = "model.safetensors"
DESCRIPTION = "model.json"


class ModelDescription(Standardised):
    """How to rebuild the model and what it was made with; its mean and standard deviation are those to normalise by."""

    format_version: Literal[1] = 1
    network: str
    optimizer: str
    precision: Precision
    num_parameters: Annotated[int, Field(ge=0)]
    kept_epoch: Annotated[int, Field(ge=1)]
    computed_with: dict[str, str | int]
