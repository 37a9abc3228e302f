"""The trained model as two files: model.safetensors (weights, no pickle) and model.json (all else that is needed to use it)."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from classifier.common.errors import UserError, short_message, short_repr
from classifier.common.files import replacing, together, write_json
from classifier.compute.device import parameter_dtype
from classifier.model.description import DESCRIPTION, WEIGHTS, ModelDescription, read_description
from classifier.model.image_classifier import ImageClassifier
from classifier.networks.own import build_network


def save_model(folder: Path, weights: dict[str, Tensor], description: ModelDescription) -> None:
    """Write both files, whole, or none."""
    with together():
        with replacing(folder / WEIGHTS) as partial:
            partial.write_bytes(save({name: tensor.cpu().contiguous() for name, tensor in weights.items()}))
        write_json(folder / DESCRIPTION, description.model_dump(exclude_none=True))


def load_model(folder: Path) -> tuple[ImageClassifier, ModelDescription]:
    """Rebuild the saved model on the CPU, in evaluation mode.

    Raises UserError when a file is missing, damaged, or does not belong to the other.
    """
    description = read_description(folder / DESCRIPTION)
    network = _empty_network(folder / DESCRIPTION, description)
    weights = _load_weights(folder / WEIGHTS)
    needed = {name: _kind(tensor) for name, tensor in network.state_dict().items()}
    found = {name: _kind(tensor) for name, tensor in weights.items()}
    if needed != found:
        odd = sorted(name for name in needed.keys() | found.keys() if needed.get(name) != found.get(name))[0]
        raise UserError(
            f"{folder / WEIGHTS}: tensor {short_repr(odd)} must be {needed.get(odd, 'absent')} by {DESCRIPTION}, "
            f"found {found.get(odd, 'none')}; make both files anew with `dvc repro`"
        )
    network.load_state_dict(weights, assign=True)
    return ImageClassifier(network, description.mean, description.std, description.precision).eval(), description


def _empty_network(path: Path, description: ModelDescription) -> nn.Module:
    """The network without memory for its weights: what a damaged description asks for need not fit into this machine."""
    try:
        with torch.device("meta"):
            network = build_network(description.network, description.shape_CHW, len(description.classes), seed=0)
            return network.to(parameter_dtype(description.precision))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _kind(tensor: Tensor) -> str:
    return f"{tensor.dtype} of shape {tuple(tensor.shape)}".removeprefix("torch.")


def _load_weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; run `dvc repro` to make it")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(
            f"{path}: not a whole safetensors file ({short_message(error)}); make it anew with `dvc repro`"
        ) from None
