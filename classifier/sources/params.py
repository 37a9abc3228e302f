"""Parameters of the stage `download`: which data set, what `source` must be for it, and how a person's own images are read."""

import os
import re
import warnings
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from classifier.common.errors import UserError, short_repr
from classifier.common.params import Params, absolute_or_inside, check_has_effect
from classifier.images.schema import CSV, FOLDER, OWN
from classifier.sources.files import holds_pictures, is_archive
from classifier.sources.labels import Columns
from classifier.sources.listing import LAST, ClassDepth

PIXEL_TABLES = (".csv", ".csv.gz", ".npz")
MAX_DEPTH = 20


def check_source(source: Path, dataset: str) -> None:
    """Raise UserError unless `source` is what `dataset` needs: a folder, a table or a folder of tables, or a catalogue."""
    is_folder, is_table = source.is_dir(), source.name.lower().endswith(PIXEL_TABLES)
    if dataset == FOLDER and not is_folder and not (holds_pictures(source) and source.is_file()):
        needed = "a folder of pictures, a .zip or .tar of one, or .parquet files, such as -S source=/path/to/pictures"
    elif dataset == CSV and not is_folder and not ((is_table or is_archive(source)) and source.is_file()):
        needed = (
            "a CSV file, or a folder that has train.csv, such as -S source=/path/to/tables (also .csv.gz, .npz, .zip, .tar)"
        )
    elif dataset not in OWN and is_folder:
        needed = f"the catalogue, such as -S source=catalogue.yaml, or for your own images -S dataset={FOLDER}"
    elif dataset not in OWN and is_table:
        needed = f"the catalogue, such as -S source=catalogue.yaml, or for your own table -S dataset={CSV}"
    else:
        return
    odd = "neither a file nor a folder" if source.exists() else "nothing there"
    found = "a folder" if is_folder else "a file" if source.is_file() else odd
    parent = os.environ.get("DVC_ROOT")
    if parent and not source.is_absolute() and not source.exists() and (Path(parent) / source).exists():
        raise UserError(
            f"{source}: found nothing there, as this experiment runs in a copy that has what git and DVC track; `dvc add "
            f"{source}` and commit {source}.dvc, or name the whole path: `-S source={Path(parent) / source}`"
        )
    raise UserError(f"{source}: found {found}; dataset {short_repr(dataset)} needs as source {needed}")


def _with_a_group(pattern: str | None) -> str | None:
    try:
        with warnings.catch_warnings(action="ignore"):  # of what may mean something else one day
            has_group = pattern is None or re.compile(pattern).groups > 0
        if not has_group:
            raise ValueError(
                f"group_pattern must have a part in brackets, which is the group, such as ([0-9]+)_, got {short_repr(pattern)}"
            )
    except re.error as error:
        raise ValueError(f"group_pattern must be a regular expression, got {short_repr(pattern)}: {error.msg}") from None
    return pattern


def _depth(value: object) -> object:
    if value is None or value == LAST or (type(value) is int and 1 <= value <= MAX_DEPTH):
        return value
    raise ValueError(f"class_depth must be 1 to {MAX_DEPTH}, {LAST} or null, got {short_repr(value)}")


Column = Annotated[str | None, Field(min_length=1)]


class DownloadParams(Params):
    """Which data set, and the catalogue that says where its files are; or `folder` or `csv`, and the person's own images.

    The rest says how those are read, where that is not plain: null has it found out.
    """

    dataset: str = Field(min_length=1)
    source: Annotated[str, Field(min_length=1), AfterValidator(absolute_or_inside)]
    class_depth: Annotated[ClassDepth, BeforeValidator(_depth)]
    label_column: Column
    path_column: Column
    split_column: Column
    pixel_max: int | None = Field(ge=1, le=2**32 - 1)
    group_column: Column
    group_pattern: Annotated[Column, AfterValidator(_with_a_group)]

    @model_validator(mode="after")
    def check_settings_have_effect(self) -> "DownloadParams":
        """What belongs to a person's own images; and what two settings would both say."""
        check_has_effect(self.dataset, (CSV,), pixel_max=self.pixel_max)
        check_has_effect(self.dataset, OWN, label_column=self.label_column, split_column=self.split_column)
        check_has_effect(
            self.dataset,
            (FOLDER,),
            class_depth=self.class_depth,
            path_column=self.path_column,
            group_column=self.group_column,
            group_pattern=self.group_pattern,
        )
        if self.group_column is not None and self.group_pattern is not None:
            raise ValueError("group_column and group_pattern both say the groups; write `group_pattern: null`")
        columns = (self.label_column, self.path_column, self.split_column, self.group_column)
        if self.class_depth is not None and columns != (None,) * 4:
            raise ValueError(
                "class_depth takes the classes from folders, and columns those of a table; write `class_depth: null`"
            )
        return self


def columns_of(params: DownloadParams) -> Columns:
    """The columns of a table that the params name."""
    return Columns(params.path_column, params.label_column, params.split_column, params.group_column)
