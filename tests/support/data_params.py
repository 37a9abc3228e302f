"""Params of the data stages for the tests: those that are shipped, with changes."""

from typing import Any

from classifier.decoding.params import ConvertParams
from classifier.sources.params import DownloadParams
from classifier.splits.params import BuildParams


def download_params(**changes: Any) -> DownloadParams:
    values: dict[str, Any] = {
        "dataset": "mine",
        "source": "catalogue.yaml",
        "class_depth": None,
        "label_column": None,
        "path_column": None,
        "split_column": None,
        "pixel_max": None,
        "group_column": None,
        "group_pattern": None,
    }
    return DownloadParams.model_validate(values | changes)


def convert_params(**changes: Any) -> ConvertParams:
    values: dict[str, Any] = {
        "dataset": "mine",
        "image_size": 28,
        "resize": "crop",
        "color": "auto",
        "image_shape": None,
        "max_unreadable": None,
    }
    return ConvertParams.model_validate(values | changes)


def build_params(**changes: Any) -> BuildParams:
    values: dict[str, Any] = {"dataset": "mine", "val_fraction": 0.1, "test_fraction": None, "seed": 0}
    return BuildParams.model_validate(values | changes)
