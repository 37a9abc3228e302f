"""Parameters of the stage `download`: which data set, and what `source` must be for it."""

from pathlib import Path, PurePath
from typing import Annotated

from pydantic import AfterValidator, Field

from classifier.common.errors import UserError, short_repr
from classifier.common.params import Params
from classifier.images.schema import CSV, FOLDER, OWN


def check_source(source: Path, dataset: str) -> None:
    """Raise UserError unless `source` is what `dataset` needs: a folder, a table or a folder of tables, or a catalogue."""
    is_folder, is_table = source.is_dir(), source.suffix.lower() == ".csv"
    if dataset == FOLDER and not is_folder:
        needed = "a folder of pictures, such as -S source=/path/to/pictures"
    elif dataset == CSV and not is_folder and not (is_table and source.is_file()):
        needed = "a CSV file, or a folder that has train.csv, such as -S source=/path/to/tables"
    elif dataset not in OWN and is_folder:
        needed = f"the catalogue, such as -S source=catalogue.yaml, or for your own images -S dataset={FOLDER}"
    elif dataset not in OWN and is_table:
        needed = f"the catalogue, such as -S source=catalogue.yaml, or for your own table -S dataset={CSV}"
    else:
        return
    found = "a folder" if is_folder else "a file" if source.is_file() else "nothing there"
    raise UserError(f"{source}: found {found}; dataset {short_repr(dataset)} needs as source {needed}")


def _absolute_or_inside(source: str) -> str:
    """DVC takes `~` for a folder of that name, and `../…` leads elsewhere when an experiment runs in a temporary copy."""
    if source.startswith("~") or ".." in PurePath(source).parts:
        raise ValueError(
            f"source must be an absolute path, or one inside this repository without `~` and `..`, got {short_repr(source)}"
        )
    return source


class DownloadParams(Params):
    """Which data set, and the catalogue that says where its files are; or `folder` or `csv`, and the person's own images."""

    dataset: str = Field(min_length=1)
    source: Annotated[str, Field(min_length=1), AfterValidator(_absolute_or_inside)]
