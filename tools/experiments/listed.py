"""experiments.yaml: the named experiments, their overrides of params.yaml, and what was reported of them elsewhere."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from classifier.common.errors import MOST_SHOWN, UserError, shown
from classifier.params.base import read_yaml

EXPERIMENTS_FILE = Path("experiments.yaml")
SEED = "seed"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,59}")
"""Fit for a name in git, and without the characters that a shell or Markdown would take for its own."""
_SEEDED = re.compile(r".*-seed[0-9]+")

OneLine = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\r\n|]+$")]
"""Text for a cell of a table."""


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class Reported(_Strict):
    """Figures that the author published, where there are any, and where they come from.

    Those of the test split, and `train_`, those of the training images with the final weights.
    """

    accuracy: float | None = Field(default=None, ge=0, le=1)
    loss: float | None = Field(default=None, ge=0)
    train_accuracy: float | None = Field(default=None, ge=0, le=1)
    train_loss: float | None = Field(default=None, ge=0)
    source: OneLine


class Experiment(_Strict):
    """One entry; its name is its key in the file."""

    description: OneLine
    overrides: dict[str, Any] = {}
    reported: Reported | None = None


def read_experiments(path: Path = EXPERIMENTS_FILE) -> dict[str, Experiment]:
    """The experiments by name, in the order of the file. Raises UserError with the first wrong name or field."""
    values = read_yaml(path)
    if not values:
        raise UserError(f"{path}: needs an experiment at least, as `quick:` with a `description:` below it")
    return {name: _read(path, name, entry) for name, entry in values.items()}


def _read(path: Path, name: object, entry: object) -> Experiment:
    if not isinstance(name, str) or not _NAME.fullmatch(name) or _SEEDED.fullmatch(name):
        needed = "a name of small letters, digits and hyphens that begins with a letter and does not end like -seed0"
        raise UserError(f"{path}: {shown(name)}: needs {needed}")
    try:
        experiment = Experiment.model_validate(entry)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(str(part)[:MOST_SHOWN] for part in first["loc"]) or "the entry"
        raise UserError(f"{path}: {name}: {field}: {first['msg']}, got {shown(first['input'])}") from None
    if SEED in experiment.overrides:
        raise UserError(f"{path}: {name}: {SEED}: is given by --seeds, so that each seed is a run of its own; delete this line")
    return experiment
