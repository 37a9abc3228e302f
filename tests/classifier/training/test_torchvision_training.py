"""A network of torchvision through the training loop: the same bits again, and after it was broken off."""

from pathlib import Path
from typing import Any

import pytest
import torch

from classifier.model.image_classifier import ImageClassifier
from classifier.networks.own import build_network
from classifier.training.checkpoint import CheckpointStore
from classifier.training.loop import Result
from classifier.training.optim import build_optimizers
from tests.support.training import BrokenOffError, compute, params, random_set, recipe_for, trained

__all__ = ["compute"]


def run(name: str, side: int, point: CheckpointStore | None, broken_off_after: int = 0, **changes: Any) -> Result:
    values = {"network": name, "epochs": 2, "optimizer": "adamw", "momentum": None, "lr": 0.001, "batch_size": 6}
    settings = params(**(values | changes))
    network = build_network(name, (1, side, side), 3, seed=settings.seed)
    model = ImageClassifier(network, [0.5], [0.25], settings.precision)
    return trained(model, (random_set(12, side=side), random_set(0, side=side)), settings, point, broken_off_after)


@pytest.mark.parametrize(
    ("name", "side", "changes"),
    [
        ("mobilenet_v3_small", 16, {"augment": ["flip", "crop"], "ema_decay": 0.5}),
        ("mobilenet_v3_small", 16, {"optimizer": "muon"}),
        ("efficientnet_b0", 8, {"precision": "bfloat16", "optimizer": "sgd"}),
    ],
)
def test_broken_off_and_resumed_it_is_the_same_to_the_bit(
    tmp_path: Path, name: str, side: int, changes: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Dropout, stochastic depth and batch normalisation included."""
    straight = run(name, side, None, **changes)
    torch.manual_seed(77)  # what the resumed process finds in the global generator is another state
    point = CheckpointStore(tmp_path / "state.safetensors")
    with pytest.raises(BrokenOffError):
        run(name, side, point, broken_off_after=1, **changes)
    resumed = run(name, side, point, **changes)
    assert capsys.readouterr().err == "", "no state was set aside"
    assert resumed.history == straight.history
    assert all(torch.equal(resumed.weights[key], straight.weights[key]) for key in straight.weights)


def test_muon_moves_plain_convolutions_and_leaves_those_in_groups_to_adamw() -> None:
    settings = params(network="mobilenet_v3_small", optimizer="muon", momentum=None)
    network = build_network("mobilenet_v3_small", (3, 16, 16), 3, seed=0).to(memory_format=torch.channels_last)
    muon, adamw = build_optimizers(network, recipe_for(settings))
    kernels = [tuple(kernel.shape) for kernel in muon.parameters]
    assert kernels == [(16, 3, 3, 3)], "the stem; all other kernels are of one pixel or of a channel each"
    others = sum(parameter.numel() for parameter in adamw.parameters)
    assert others + 16 * 27 == sum(parameter.numel() for parameter in network.parameters())
