"""The trained model as two files: model.safetensors (weights, no pickle) and model.json (all else that is needed to use it)."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from classifier.errors import UserError
from classifier.files import read_json, replacing, write_json
from classifier.model import ImageClassifier
from classifier.networks import build_network
from classifier.schema import Standardised

WEIGHTS = "model.safetensors"
DESCRIPTION = "model.json"


class ModelDescription(Standardised):
    """How to rebuild the model and what it was made with."""

    format_version: Literal[1] = 1
    network: str
    num_parameters: Annotated[int, Field(ge=0)]
    kept_epoch: Annotated[int, Field(ge=1)]
    computed_with: dict[str, str | int]


def save_model(folder: Path, weights: dict[str, Tensor], description: ModelDescription) -> None:
    """Write both files, each whole or not at all."""
    with replacing(folder / WEIGHTS) as partial:
        save_file({name: tensor.cpu().contiguous() for name, tensor in weights.items()}, partial)
    write_json(folder / DESCRIPTION, description.model_dump())


def load_model(folder: Path) -> tuple[ImageClassifier, ModelDescription]:
    """Rebuild the saved model on the CPU, in evaluation mode.

    Raises UserError when a file is missing, damaged, or does not belong to the other.
    """
    description = read_json(folder / DESCRIPTION, ModelDescription)
    network = build_network(description.network, description.shape_CHW, len(description.classes), seed=0)
    weights = _load_weights(folder / WEIGHTS)
    needed = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if needed != found:
        odd = sorted(name for name in needed.keys() | found.keys() if needed.get(name) != found.get(name))[0]
        raise UserError(
            f"{folder / WEIGHTS}: tensor {odd!r} needs shape {needed.get(odd)} by {DESCRIPTION}, found {found.get(odd)}; "
            "make both files anew with `dvc repro`"
        )
    network.load_state_dict(weights)
    return ImageClassifier(network, description.mean, description.std).eval(), description


def _load_weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; run `dvc repro` to make it")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f"{path}: not a whole safetensors file ({error}); make it anew with `dvc repro`") from None
