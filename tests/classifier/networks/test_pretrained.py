"""A network that begins with published weights: it computes what torchvision's computes, and what is frozen stays."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from classifier.common.errors import UserError
from classifier.model.image_classifier import ImageClassifier
from classifier.networks.own import build_network, count_parameters
from classifier.networks.pretrained import load_pretrained
from classifier.networks.torchvision_networks import TorchvisionNetwork, head_name, plain_network
from classifier.training.loop import TrainState, fit
from tests.support.training import compute, params, random_set, recipe_for

__all__ = ["compute"]
SMALL = "shufflenet_v2_x0_5"


def published(name: str, path: Path, side: int = 224) -> nn.Module:
    """torchvision's own network with weights that nobody trained, and the file that the stage would make of them."""
    torch.manual_seed(5)
    network = plain_network(name, side, 1000).eval()
    for statistics in network.buffers():
        if statistics.is_floating_point():
            statistics.uniform_(0.5, 1.5)
    head = head_name(network)
    save_file({key: tensor for key, tensor in network.state_dict().items() if key.rpartition(".")[0] != head}, path)
    return network


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "pretrained.safetensors"


def built(name: str, shape_CHW: tuple[int, int, int], seed: int = 0) -> TorchvisionNetwork:
    network = build_network(name, shape_CHW, 3, seed=seed)
    assert isinstance(network, TorchvisionNetwork)
    return network


@pytest.mark.parametrize("name", [SMALL, "mnasnet0_5", "squeezenet1_1"])
def test_the_features_are_those_of_torchvision_also_of_grey_images(path: Path, name: str) -> None:
    theirs = published(name, path)
    ours = built(name, (1, 40, 40))
    first = ours.network.get_submodule(head_name(ours.network)).state_dict()
    load_pretrained(ours, path)
    head = head_name(ours.network)
    assert all(torch.equal(first[key], tensor) for key, tensor in ours.network.get_submodule(head).state_dict().items())
    seen: list[Tensor] = []
    for network in (theirs, ours.network):
        network.get_submodule(head).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    grey = torch.randn(2, 1, 40, 40, dtype=torch.float64)
    with torch.no_grad():
        theirs.eval().double()(torch.cat([grey] * 3, dim=1))
        ours.eval().double()(grey)
    # In 64 bits: in 32 the order in which a CPU adds shows.
    torch.testing.assert_close(seen[0], seen[1])


def test_the_positions_of_a_vision_transformer_are_brought_to_the_size_of_the_image(path: Path) -> None:
    """Of a plane over the grid, the corners and the middle stay as they are; the class token has no place in it."""
    theirs = published("vit_b_32", path)
    weights = {key: tensor.clone() for key, tensor in theirs.state_dict().items() if not key.startswith("heads.")}
    rows, columns = torch.meshgrid(torch.arange(7.0), torch.arange(7.0), indexing="ij")
    grid = (rows + 10 * columns).reshape(1, 49, 1).expand(1, 49, 768)
    token = torch.full((1, 1, 768), -5.0)
    weights["encoder.pos_embedding"] = torch.cat([token, grid], dim=1).contiguous()
    save_file(weights, path)
    ours = built("vit_b_32", (3, 96, 96))
    load_pretrained(ours, path)
    positions = ours.network.state_dict()["encoder.pos_embedding"]
    assert positions.shape == (1, 3 * 3 + 1, 768)
    assert (positions[0, 0] == -5).all()
    found = positions[0, 1:, 0].reshape(3, 3)
    torch.testing.assert_close(found[[0, 0, 2, 2], [0, 2, 0, 2]], torch.tensor([0.0, 60.0, 6.0, 66.0]))
    torch.testing.assert_close(found[1, 1], torch.tensor(33.0))


def test_the_file_of_another_network_is_refused(path: Path) -> None:
    published("squeezenet1_1", path)
    with pytest.raises(UserError, match=r"not the weights of this network, as its tensor 'conv1\.0\.weight' shows; run `dvc"):
        load_pretrained(built(SMALL, (3, 16, 16)), path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "not a whole safetensors file"),
        (b"\x08" + bytes(7) + b"{}", "not a whole safetensors file"),
    ],
)
def test_a_file_that_is_missing_empty_or_damaged_is_refused(path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=rf"pretrained\.safetensors: {message}.*; run `dvc repro`"):
        load_pretrained(built(SMALL, (3, 16, 16)), path)


def trained(path: Path, *, freeze: bool, num_images: int = 8, **changes: Any) -> tuple[TorchvisionNetwork, dict[str, Tensor]]:
    """After one epoch, with the weights as they were before it."""
    network = built(SMALL, (1, 16, 16))
    load_pretrained(network, path)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    values = {"network": SMALL, "pretrained": True, "freeze": freeze, "batch_size": 4, "weight_decay": 0.1}
    settings = params(**(values | changes))
    model = ImageClassifier(network, [0.5], [0.25])
    if freeze:
        model.freeze()
    train_set = random_set(num_images, side=16)
    fit(TrainState(model, recipe_for(settings, train_set)), train_set, random_set(4, side=16, seed=1), lambda _: None)
    return network, before


@pytest.mark.parametrize("changes", [{}, {"optimizer": "adamw", "momentum": None}, {"ema_decay": 0.5, "clip_norm": 1.0}])
def test_frozen_only_the_head_moves_and_no_statistic(path: Path, changes: dict[str, Any]) -> None:
    published(SMALL, path)
    network, before = trained(path, freeze=True, **changes)
    moved = {name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == {"network.fc.weight", "network.fc.bias"}
    assert count_parameters(network) == 1024 * 3 + 3


def test_not_frozen_all_layers_move(path: Path) -> None:
    published(SMALL, path)
    network, before = trained(path, freeze=False)
    assert not [name for name, tensor in network.state_dict().items() if torch.equal(tensor, before[name])]


def test_a_frozen_network_computes_in_training_as_in_evaluation(path: Path) -> None:
    published("squeezenet1_1", path)
    network = built("squeezenet1_1", (3, 24, 24))
    load_pretrained(network, path)
    model = ImageClassifier(network, [0.5], [0.25])
    model.freeze()
    images = torch.randint(0, 256, (2, 3, 24, 24), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(model.train()(images), model.eval()(images))


def test_a_lone_image_is_refused_unless_its_statistics_are_frozen(path: Path) -> None:
    published(SMALL, path)
    with pytest.raises(UserError, match="network 'shufflenet_v2_x0_5' needs batches of two images or more, but 9 training"):
        trained(path, freeze=False, num_images=9)
    with pytest.raises(UserError, match="network 'shufflenet_v2_x0_5' needs two training images or more, found 1; add some"):
        trained(path, freeze=False, num_images=1)
    trained(path, freeze=True, num_images=9)
