"""models/model.json: all that is needed to use the weights beside it. Known without importing torch."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from classifier.common.errors import UserError
from classifier.common.files import read_json
from classifier.compute.params import Precision
from classifier.images.schema import Standardised

WEIGHTS = "model.safetensors"
DESCRIPTION = "model.json"


class ModelDescription(Standardised):
    """How to rebuild the model and what it was made with; its mean and standard deviation are those to normalise by."""

    format_version: Literal[1] = 1
    network: str
    optimizer: str | None = None
    """None in those of before it was recorded, which need not be made anew for it."""
    precision: Precision
    num_parameters: Annotated[int, Field(ge=0)]
    kept_epoch: Annotated[int, Field(ge=1)]
    computed_with: dict[str, str | int]


def read_description(path: Path) -> ModelDescription:
    """Raises UserError for one that is missing, damaged, or that this code cannot read."""
    try:
        return read_json(path, ModelDescription)
    except UserError as error:
        if not path.exists():
            raise
        raise UserError(f"{error}; damaged, or made by another version: `dvc repro` makes it anew") from None
