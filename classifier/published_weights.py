"""torchvision's published weights of a network: where they are, and how they become a safetensors file.

Only the stage `weights` imports this: it needs torch and torchvision, which take seconds to import.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Literal

import torch
from safetensors.torch import save
from torch import Tensor
from torchvision.models import get_model_weights

from classifier.common.errors import UserError, told
from classifier.common.files import replacing
from classifier.common.out_of_memory import memory_told
from classifier.torchvision_plain import head_name, plain_network

NUM_CLASSES = 1000
"""ImageNet's, which all of them were trained on."""
_DIGEST = re.compile(r"-([0-9a-f]{8,64})\.pth$")
_AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")
"""Heads of Inception and GoogLeNet that only their own training used."""
_OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
"""Files of DenseNet have names from a time when a layer's name could hold a dot."""


@dataclass(frozen=True)
class PublishedFile:
    """A file as `classifier.fetch` wants it described. The first digits of its SHA-256 are published as part of its name."""

    name: str
    urls: list[str]
    digest: str
    packaged: Literal[False] = False
    size: None = None
    algorithm: Literal["SHA-256"] = "SHA-256"


def published_file(network: str) -> PublishedFile:
    """The weights of `network` that torchvision calls the default: its best."""
    url = str(get_model_weights(network).DEFAULT.url)
    name = url.rpartition("/")[2]
    digest = _DIGEST.search(name)
    assert digest, name
    return PublishedFile(name, [url], digest[1])


def write_weights(published: Path, network: str, target: Path) -> None:
    """Write what the file holds of `network`, but for its head, under the names that today's torchvision gives it.

    Raises UserError when the file, which has the right checksum, is not the weights of this network.
    """
    side = int(get_model_weights(network).DEFAULT.meta["min_size"][0])  # of networks for one size, that size
    with torch.device("meta"):
        made = plain_network(network, side, NUM_CLASSES)
    state = _read(published)
    for name in [name for name in state if _OLD_DENSENET.search(name)]:
        state[_OLD_DENSENET.sub(r"\1\2", name)] = state.pop(name)
    try:
        odd = made.load_state_dict(state, strict=False, assign=True)
    except RuntimeError as error:
        raise UserError(f"{published}: not the weights of {network!r}: {told(error)}") from None
    strange = [*odd.missing_keys, *(name for name in odd.unexpected_keys if not name.startswith(_AUXILIARY))]
    if strange:
        raise UserError(f"{published}: not the weights of {network!r}, as its tensor {strange[0]!r} shows")
    head = head_name(made)
    kept = {name: tensor.contiguous() for name, tensor in made.state_dict().items() if name.rpartition(".")[0] != head}
    with replacing(target) as partial:
        partial.write_bytes(save(kept))


def _read(path: Path) -> dict[str, Tensor]:
    try:
        with memory_told():
            state = torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except (UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise UserError(f"{path}: not a file of weights ({told(error).partition('. ')[0]})") from None
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise UserError(f"{path}: not a file of weights (needs tensors by name)")
    return state
