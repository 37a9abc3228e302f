"""torchvision's published weights: where they are, how they become a safetensors file, and how a network begins with them."""

import re
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from classifier.common.errors import UserError, memory_errors, short_message, short_repr
from classifier.common.files import replacing
from classifier.networks.torchvision_networks import TorchvisionNetwork, head_name, plain_network

NUM_CLASSES = 1000
"""ImageNet's, which all of them were trained on."""
_DIGEST = re.compile(r"-([0-9a-f]{8,64})\.pth$")
_AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")
"""Heads of Inception and GoogLeNet that only their own training used."""
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
"""Files of DenseNet have names from a time when a layer's name could hold a dot."""


@dataclass(frozen=True)
class PublishedFile:
    """A file as `sources.fetch` wants it described. The first digits of its SHA-256 are published as part of its name."""

    name: str
    urls: list[str]
    digest: str
    packaged: Literal[False] = False
    size: None = None
    algorithm: Literal["SHA-256"] = "SHA-256"


def default_weights(network: str) -> Any:
    """Of the published weights of `network` those that torchvision calls the default: its best."""
    from torchvision.models import get_model_weights  # seconds, which a training without published weights need not wait for

    return get_model_weights(network).DEFAULT


def published_file(network: str) -> PublishedFile:
    """The file of the default weights of `network`."""
    url = str(default_weights(network).url)
    name = url.rpartition("/")[2]
    digest = _DIGEST.search(name)
    assert digest, name
    return PublishedFile(name, [url], digest[1])


def write_weights(published: Path, network: str, target: Path) -> None:
    """Write what the file holds of `network`, but for its head, under the names that today's torchvision gives it.

    Raises UserError when the file, which has the right checksum, is not the weights of this network.
    """
    side = int(default_weights(network).meta["min_size"][0])  # of networks for one size, that size
    with torch.device("meta"):
        made = plain_network(network, side, NUM_CLASSES)
    state = _read(published)
    for name in [name for name in state if _OLD_DENSENET.search(name)]:
        state[_OLD_DENSENET.sub(r"\1\2", name)] = state.pop(name)
    try:
        odd = made.load_state_dict(state, strict=False, assign=True)
    except RuntimeError as error:
        raise UserError(f"{published}: not the weights of {network!r}: {short_message(error)}") from None
    strange = [*odd.missing_keys, *(name for name in odd.unexpected_keys if not name.startswith(_AUXILIARY))]
    if strange:
        raise UserError(f"{published}: not the weights of {network!r}, as its tensor {strange[0]!r} shows")
    head = head_name(made)
    kept = {name: tensor.contiguous() for name, tensor in made.state_dict().items() if name.rpartition(".")[0] != head}
    with replacing(target) as partial:
        partial.write_bytes(save(kept))


def _read(path: Path) -> dict[str, Tensor]:
    try:
        with memory_errors():
            state = torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except (UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise UserError(f"{path}: not a file of weights ({short_message(error).partition('. ')[0]})") from None
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise UserError(f"{path}: not a file of weights (needs tensors by name)")
    return state


ADVICE = "run `dvc repro` to make it anew"
POSITIONS = "encoder.pos_embedding"
"""Of a vision transformer: a vector for each patch of the image, so their number depends on its size."""


def load_pretrained(network: nn.Module, path: Path, *, freeze: bool) -> None:
    """Put the weights of the file into `network`, one of torchvision's, all but its head; freeze them if asked for.

    Raises UserError when the file is missing, damaged, or that of another network.
    """
    assert isinstance(network, TorchvisionNetwork), "NetworkParams refuses `pretrained` beside our own networks"
    weights = _read_published(path)
    if POSITIONS in weights:
        weights = _with_positions(network.network, weights)
    needed = {name: tensor.shape for name, tensor in network.network.state_dict().items() if not _is_head(network, name)}
    found = {name: tensor.shape for name, tensor in weights.items()}
    if needed != found:
        odd = min(name for name in needed.keys() | found.keys() if needed.get(name) != found.get(name))
        raise UserError(f"{path}: not the weights of this network, as its tensor {short_repr(odd)} shows; {ADVICE}")
    head = {f"network.{name}": tensor for name, tensor in network.network.state_dict().items() if _is_head(network, name)}
    network.load_state_dict({f"network.{name}": tensor for name, tensor in weights.items()} | head)
    if freeze:
        network.freeze()


def _is_head(network: TorchvisionNetwork, name: str) -> bool:
    return name.rpartition(".")[0] == head_name(network.network)


def _read_published(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; {ADVICE}")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f"{path}: not a whole safetensors file ({short_message(error)}); {ADVICE}") from None


def _with_positions(network: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """With the grid of positions brought to the size of the image by bicubic interpolation (Dosovitskiy et al. 2021)."""
    from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

    if not isinstance(network, VisionTransformer):
        return weights
    return dict(interpolate_embeddings(network.image_size, network.patch_size, weights))
