"""A project with a model whose answers can be worked out by hand."""

from pathlib import Path
from typing import Any

import torch
from ruamel.yaml import YAML

from classifier.model.description import ModelDescription
from classifier.model.file import save_model
from tests.support.pipeline import SOURCE

CLASSES = ["猫", "two", "three", "four"]


def write_params(root: Path, **changes: Any) -> None:
    """params.yaml as it is shipped, with changes."""
    root.mkdir(exist_ok=True)
    yaml = YAML()
    values = yaml.load(SOURCE / "params.yaml")
    values.update({"device": "cpu", "threads": 1, "flip_tta": False, **changes})
    yaml.dump(values, root / "params.yaml")


def write_model(
    root: Path, weights_KP: torch.Tensor, shape_CHW: tuple[int, int, int] = (1, 2, 2), **changes: Any
) -> ModelDescription:
    """Softmax regression of these weights, without bias."""
    channels = shape_CHW[0]
    values: dict[str, Any] = {
        "dataset": "toy",
        "classes": CLASSES,
        "shape_CHW": shape_CHW,
        "hflip_invariant": True,
        "mean": [0.25] * channels,
        "std": [0.25] * channels,
        "network": "softmax",
        "optimizer": "adam",
        "precision": "float32",
        "num_parameters": weights_KP.numel(),
        "kept_epoch": 1,
        "computed_with": {},
    }
    description = ModelDescription(**(values | changes))
    save_model(root / "models", {"1.weight": weights_KP, "1.bias": torch.zeros(len(weights_KP))}, description)
    return description
