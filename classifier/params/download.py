"""Parameters of the stage `download`."""

from pathlib import PurePath
from typing import Annotated

from pydantic import AfterValidator, Field

from classifier.common.errors import shown
from classifier.params.base import Params


def _absolute_or_inside(source: str) -> str:
    """DVC takes `~` for a folder of that name, and `../…` leads elsewhere when an experiment runs in a temporary copy."""
    if source.startswith("~") or ".." in PurePath(source).parts:
        raise ValueError(
            f"source must be an absolute path, or one inside this repository without `~` and `..`, got {shown(source)}"
        )
    return source


class DownloadParams(Params):
    """Which data set, and the catalogue that says where its files are; or `folder` or `csv`, and the person's own images."""

    dataset: str = Field(min_length=1)
    source: Annotated[str, Field(min_length=1), AfterValidator(_absolute_or_inside)]
