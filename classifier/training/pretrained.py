"""A network that begins with published weights, from the file that the stage `weights` wrote."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from classifier.common.errors import UserError, shown, told
from classifier.model.torchvision_networks import TorchvisionNetwork
from classifier.torchvision_plain import head_name

ADVICE = "run `dvc repro` to make it anew"
POSITIONS = "encoder.pos_embedding"
"""Of a vision transformer: a vector for each patch of the image, so their number depends on its size."""


def load_pretrained(network: nn.Module, path: Path, *, freeze: bool) -> None:
    """Put the weights of the file into `network`, one of torchvision's, all but its head; freeze them if asked for.

    Raises UserError when the file is missing, damaged, or that of another network.
    """
    assert isinstance(network, TorchvisionNetwork), "NetworkParams refuses `pretrained` beside our own networks"
    weights = _read(path)
    if POSITIONS in weights:
        weights = _with_positions(network.network, weights)
    needed = {name: tensor.shape for name, tensor in network.network.state_dict().items() if not _is_head(network, name)}
    found = {name: tensor.shape for name, tensor in weights.items()}
    if needed != found:
        odd = min(name for name in needed.keys() | found.keys() if needed.get(name) != found.get(name))
        raise UserError(f"{path}: not the weights of this network, as its tensor {shown(odd)} shows; {ADVICE}")
    head = {f"network.{name}": tensor for name, tensor in network.network.state_dict().items() if _is_head(network, name)}
    network.load_state_dict({f"network.{name}": tensor for name, tensor in weights.items()} | head)
    if freeze:
        network.freeze()


def _is_head(network: TorchvisionNetwork, name: str) -> bool:
    return name.rpartition(".")[0] == head_name(network.network)


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise UserError(f"{path}: no such file; {ADVICE}")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f"{path}: not a whole safetensors file ({told(error)}); {ADVICE}") from None


def _with_positions(network: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """With the grid of positions brought to the size of the image by bicubic interpolation (Dosovitskiy et al. 2021)."""
    from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

    if not isinstance(network, VisionTransformer):
        return weights
    return dict(interpolate_embeddings(network.image_size, network.patch_size, weights))
