"""The choices that params leave open: by what pixels are normalised, epochs, weights of classes; and what is refused."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import Identity
from torchvision.models import VGG16_Weights

from classifier.common.errors import UserError
from classifier.common.files import write_json
from classifier.images.arrays import write_split
from classifier.images.schema import DatasetInfo
from classifier.model.file import load_model
from classifier.model.image_classifier import ImageClassifier
from classifier.splits.split import channel_statistics
from classifier.training import recipe as recipes
from classifier.training.params import Normalisation
from classifier.training.recipe import check_batch_size, resolve_class_weights, resolve_normalisation
from stages import train
from tests.support.training import params, random_set, recipe_for

IMAGES_NCHW = np.random.default_rng(0).integers(0, 256, (20, 3, 4, 4), dtype=np.uint8)
IMAGES_NCHW[0, :, 0, 0], IMAGES_NCHW[0, :, 0, 1] = 0, 255


def described(channels: int) -> DatasetInfo:
    mean, std = channel_statistics(IMAGES_NCHW[:, np.arange(channels) % 3])
    return DatasetInfo(
        dataset="mine",
        classes=["a", "b"],
        shape_CHW=(channels, 4, 4),
        hflip_invariant=True,
        mean=mean,
        std=std,
        rows={"train": 20, "val": 0, "test": 0},
    )


def seen(name: Normalisation) -> torch.Tensor:
    model = ImageClassifier(Identity(), *resolve_normalisation(name, described(3)), precision="float64")
    return model.normalise(torch.from_numpy(IMAGES_NCHW))


def test_the_ranges_are_those_of_the_names() -> None:
    pixels = torch.from_numpy(IMAGES_NCHW).double()
    torch.testing.assert_close(seen("none"), pixels, rtol=0, atol=0)
    torch.testing.assert_close(seen("unit"), pixels / 255)
    torch.testing.assert_close(seen("half"), (pixels / 255 - 0.5) / 0.5)
    assert [extreme.item() for extreme in seen("half").aminmax()] == [-1, 1]
    standardised = seen("standard")
    torch.testing.assert_close(standardised.mean(dim=(0, 2, 3)), torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(standardised.std(dim=(0, 2, 3), correction=0), torch.ones(3, dtype=torch.float64))


def test_imagenet_is_what_the_published_weights_come_with() -> None:
    published = VGG16_Weights.IMAGENET1K_V1.transforms()
    assert resolve_normalisation("imagenet", described(3)) == (published.mean, published.std)


def test_a_grey_image_gets_the_means_of_the_colours() -> None:
    assert resolve_normalisation("imagenet", described(1)) == ([0.449], [0.226])


def test_other_channels_have_no_figures_there() -> None:
    with pytest.raises(UserError, match=r"^normalize 'imagenet' is for images of 1 or 3 channels, and these have 2; write"):
        resolve_normalisation("imagenet", described(2))


def test_the_model_keeps_what_it_was_normalised_by(tmp_path: Path) -> None:
    for split, rows in (("train", 20), ("val", 0)):
        blocks = [(IMAGES_NCHW[:rows], np.arange(rows) % 2)]
        write_split(tmp_path / "data/dataset" / split, rows, (3, 4, 4), iter(blocks))
    write_json(tmp_path / "data/dataset/dataset.json", described(3).model_dump())
    train.main(params(normalize="half"), tmp_path)
    model, description = load_model(tmp_path / "models")
    assert (description.mean, description.std) == ([0.5] * 3, [0.5] * 3)
    assert model.normalise(torch.full((1, 3, 4, 4), 255, dtype=torch.uint8)).eq(1).all()


@pytest.mark.parametrize(
    ("changes", "epochs"),
    [
        ({}, 2),
        ({"min_steps": 6}, 2),  # of three steps each
        ({"min_steps": 7}, 3),
        ({"min_steps": 7, "drop_last": True}, 4),  # of two
        ({"min_steps": 7, "batch_size": 1000}, 7),
    ],
)
def test_few_images_get_more_epochs(changes: dict[str, Any], epochs: int) -> None:
    assert recipe_for(params(epochs=2, **changes), random_set(20)).epochs == epochs


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"drop_last": True, "batch_size": 21, "min_steps": 7},
            r"^drop_last: 20 training images do not fill a batch of 21; lower batch_size or",
        ),
        (
            {"eval_every": 7, "epochs": 2},
            r"^eval_every 7 has no effect on a run of 6 steps; write 6 or less, or `eval_every: null`$",
        ),
        ({"eval_every": 1, "epochs": 2}, r"^eval_every 1 makes 6 rows of 6 steps; plots/steps\.csv takes 4; write 2 or more$"),
    ],
)
def test_steps_that_make_nothing_or_too_much_are_refused(
    changes: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recipes, "MAX_ROWS", 4)
    with pytest.raises(UserError, match=message):
        recipe_for(params(**changes), random_set(20))


@pytest.mark.parametrize(
    ("batch_size", "num_processes", "nearest"), [(500, 3, 501), (499, 3, 498), (1, 4, 4), (6, 4, 4), (500, 8, 496)]
)
def test_a_batch_that_does_not_divide_is_refused_with_the_nearest_that_does(
    batch_size: int, num_processes: int, nearest: int
) -> None:
    message = (
        rf"^batch_size is that of all processes together and must be a multiple of {num_processes}, their number, "
        rf"got {batch_size}; the nearest is {nearest}$"
    )
    with pytest.raises(UserError, match=message):
        check_batch_size(batch_size, num_processes)
    check_batch_size(nearest, num_processes)


def test_balanced_weights_are_those_of_scikit_learn() -> None:
    labels_N = np.array([0] * 7 + [1] * 2 + [2] * 11)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels_N)
    assert resolve_class_weights("balanced", labels_N, ["a", "b", "c"]) == pytest.approx(tuple(expected))
    assert resolve_class_weights([1, 2.5, 1], labels_N, ["a", "b", "c"]) == (1.0, 2.5, 1.0)
    assert resolve_class_weights(None, labels_N, ["a", "b", "c"]) == ()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ([1, 2], r"^class_weights needs a number for each of the 3 classes, got 2$"),
        ("balanced", r"^class_weights 'balanced' needs an image of each class to train on, found none of 'b'$"),
    ],
)
def test_weights_that_do_not_fit_the_classes_are_refused(asked: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        resolve_class_weights(asked, np.array([0, 2, 2]), ["a", "b", "c"])


@pytest.mark.parametrize(("optimizer", "momentum", "nesterov"), [("sgd", 0.9, True), ("muon", 0.95, True), ("adam", 0, False)])
def test_a_recipe_leaves_nothing_open(optimizer: str, momentum: float, nesterov: bool) -> None:
    recipe = recipe_for(params(network="cnn", optimizer=optimizer, momentum=None, augment="auto", class_weights="balanced"))
    assert not {None, "auto", "balanced"} & {value for value in vars(recipe).values() if not isinstance(value, list)}
    assert (recipe.momentum, recipe.nesterov) == (momentum, nesterov)
    assert (recipe.clip_norm, recipe.ema_decay, recipe.eval_every, recipe.augment) == (math.inf, 0, 0, ())


@pytest.mark.parametrize(
    ("changes", "optimizer"),
    [
        ({"network": "pyramid"}, "muon"),
        ({"network": "resnet18", "pretrained": True}, "muon"),
        ({"network": "resnet18", "pretrained": True, "freeze": True}, "adamw"),
        ({"network": "mlp"}, "adamw"),
        ({"network": "softmax"}, "adamw"),
    ],
)
def test_the_optimizer_of_auto_is_muon_where_convolutions_are_trained(changes: dict[str, Any], optimizer: str) -> None:
    auto, explicit = (recipe_for(params(optimizer=name, momentum=None, **changes)) for name in ("auto", optimizer))
    assert auto == explicit


@pytest.mark.parametrize(
    ("num_images", "drop_last", "expected"), [(20, False, 4), (20, True, 8), (16, False, 8), (9, False, 1), (5, False, 5)]
)
def test_the_smallest_batch_is_the_last_one_where_it_is_not_full(num_images: int, drop_last: bool, expected: int) -> None:
    assert recipe_for(params(batch_size=8, drop_last=drop_last), random_set(num_images)).smallest_batch == expected
