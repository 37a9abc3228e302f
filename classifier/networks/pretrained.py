"""Weights to begin with, published or of an earlier run: how they become a safetensors file, and how a network takes them."""

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
from classifier.networks.names import SMALLEST_IMAGE
from classifier.networks.own import build_network
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
PREFIX = "network."
"""Of the names in the model.safetensors of a network of torchvision."""
SIDE, CLASSES = 224, 2
"""Of images and a task that every network works on: the names of its layers are the same for others."""


def write_own_weights(path: Path, name: str, target: Path) -> None:
    """Write what a safetensors file holds of the network `name`, but for its head: a model of an earlier run, or a state dict.

    Raises UserError when the file is missing or damaged, and unless its tensors have the names of the network's, and the shapes
    where these depend on no image.
    """
    with torch.device("meta"):
        network = build_network(name, (3, SIDE, SIDE), CLASSES, seed=0)
    needed = _backbone(network)
    weights = _read_safetensors(path, "needs a state dict as safetensors.torch.save_file writes it")
    if all(key.startswith(PREFIX) for key in weights):
        weights = {key.removeprefix(PREFIX): tensor for key, tensor in weights.items()}
    head = head_name(_inner(network))
    weights = {key: tensor for key, tensor in weights.items() if key.rpartition(".")[0] != head}
    by_images = needed.keys() if name in SMALLEST_IMAGE else {POSITIONS}
    for key in sorted(needed.keys() | weights.keys()):
        if key not in weights or key not in needed:
            verb = "lacks" if key in weights else "has"
            raise UserError(f"{path}: not the weights of {name!r}, which {verb} a tensor {short_repr(key)}")
        if key not in by_images and weights[key].shape != needed[key].shape:
            shapes = f"{tuple(needed[key].shape)}, found {tuple(weights[key].shape)}"
            raise UserError(f"{path}: not the weights of {name!r}, whose tensor {short_repr(key)} has the shape {shapes}")
    with replacing(target) as partial:
        partial.write_bytes(save(weights))


def load_pretrained(network: nn.Module, path: Path) -> None:
    """Put the weights of the file into `network`, all but its head.

    Raises UserError when the file is missing, damaged, or that of another network, or of images of another kind.
    """
    weights = _read_safetensors(path, ADVICE)
    if POSITIONS in weights:
        weights = _with_positions(_inner(network), weights)
    needed = _backbone(network)
    if needed.keys() != weights.keys():
        odd = min(needed.keys() ^ weights.keys())
        raise UserError(f"{path}: not the weights of this network, as its tensor {short_repr(odd)} shows; {ADVICE}")
    for name, tensor in needed.items():
        if tensor.shape != weights[name].shape:
            shapes = f"{tuple(weights[name].shape)}, and here it needs {tuple(tensor.shape)}"
            raise UserError(
                f"{path}: weights for other images: tensor {short_repr(name)} has the shape {shapes}; set `image_size` and "
                "`color` as they were, or `pretrained: false`"
            )
    inner = _inner(network)
    whole = inner.state_dict() | weights
    prefix = "" if inner is network else PREFIX
    network.load_state_dict({prefix + name: tensor for name, tensor in whole.items()})


def _inner(network: nn.Module) -> nn.Module:
    """torchvision's own network in one of its networks; ours are themselves."""
    return network.network if isinstance(network, TorchvisionNetwork) else network


def _backbone(network: nn.Module) -> dict[str, Tensor]:
    """The weights by name, but for those of the head."""
    inner = _inner(network)
    head = head_name(inner)
    return {name: tensor for name, tensor in inner.state_dict().items() if name.rpartition(".")[0] != head}


def _read_safetensors(path: Path, advice: str) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; {advice}")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f"{path}: not a whole safetensors file ({short_message(error)}); {advice}") from None


def _with_positions(network: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """With the grid of positions brought to the size of the image by bicubic interpolation (Dosovitskiy et al. 2021)."""
    from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

    if not isinstance(network, VisionTransformer):
        return weights
    return dict(interpolate_embeddings(network.image_size, network.patch_size, weights))
