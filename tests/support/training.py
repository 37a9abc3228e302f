"""A training in small: params, random images, networks of the tests, and one that is broken off after an epoch."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from classifier.compute.device import set_up_compute
from classifier.images.schema import Standardised
from classifier.model.dataset import ImageDataset
from classifier.model.image_classifier import ImageClassifier
from classifier.networks.own import build_network
from classifier.training.checkpoint import CheckpointStore
from classifier.training.history import Result
from classifier.training.loop import TrainState, fit
from classifier.training.params import TrainParams
from classifier.training.recipe import Recipe, resolve

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def compute() -> Iterator[None]:
    threads = torch.get_num_threads()
    set_up_compute("cpu", threads=1)
    yield
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)


def params(**changes: Any) -> TrainParams:
    values: dict[str, Any] = {
        "network": "softmax",
        "pretrained": False,
        "freeze": False,
        "normalize": "standard",
        "loss": "cross_entropy",
        "class_weights": None,
        "optimizer": "sgd",
        "lr": 0.1,
        "momentum": 0.0,
        "nesterov": None,
        "weight_decay": 0.0,
        "schedule": "constant",
        "warmup_fraction": 0.0,
        "batch_size": 8,
        "shuffle": True,
        "drop_last": False,
        "min_steps": 0,
        "epochs": 1,
        "augment": [],
        "label_smoothing": 0.0,
        "clip_norm": None,
        "ema_decay": None,
        "compile": False,
        "eval_every": None,
        "evaluate_train": False,
        "seed": 3,
        "device": "cpu",
        "threads": 1,
        "precision": "float32",
    }
    return TrainParams(**(values | changes))


def adam_params(**changes: Any) -> TrainParams:
    """Of a short training with much in it."""
    values: dict[str, Any] = {
        "network": "cnn",
        "optimizer": "adam",
        "lr": 0.001,
        "momentum": None,
        "schedule": "linear",
        "warmup_fraction": 0.1,
        "augment": ["flip"],
        "label_smoothing": 0.1,
    }
    return params(**(values | changes))


def recipe_for(settings: TrainParams, train_set: ImageDataset | None = None) -> Recipe:
    """By `settings`, for `train_set` or any 24 images of three classes; mirror images are taken to show another class."""
    train_set = train_set or random_set(24)
    channels = train_set.shape_CHW[0]
    num_classes = max(3, *(train_set.labels_N + 1))
    info = Standardised(
        dataset="mine",
        classes=[str(label) for label in range(num_classes)],
        shape_CHW=train_set.shape_CHW,
        hflip_invariant=False,
        mean=[0.5] * channels,
        std=[0.25] * channels,
    )
    return resolve(settings, info, train_set.labels_N, "float32" if settings.precision == "auto" else settings.precision)


def random_set(num_images: int, side: int = 6, num_classes: int = 3, seed: int = 0) -> ImageDataset:
    rng = np.random.default_rng(seed)
    images_NCHW = rng.integers(0, 256, (num_images, 1, side, side), dtype=np.uint8)
    return ImageDataset(images_NCHW, rng.integers(0, num_classes, num_images))


def model_for(name: str, side: int = 6, num_classes: int = 3, seed: int = 3) -> ImageClassifier:
    network = build_network(name, (1, side, side), num_classes, seed)
    return ImageClassifier(network, [0.5], [0.25])


def train(model: ImageClassifier, train_set: ImageDataset, val_set: ImageDataset, settings: TrainParams) -> Result:
    return fit(TrainState(model, recipe_for(settings, train_set)), train_set, val_set, lambda result: None)


SIDE = 16


class BrokenOffError(Exception):
    """Stands in for a kill after an epoch."""


def run(settings: TrainParams, point: CheckpointStore | None, broken_off_after: int = 0) -> tuple[Result, ImageClassifier]:
    """Train, as `trained` does, the network of the settings on random images."""
    model = model_for(settings.network, side=SIDE)
    sets = random_set(40, side=SIDE), random_set(12, side=SIDE, seed=1)
    return trained(model, sets, settings, point, broken_off_after), model


def trained(
    model: ImageClassifier,
    sets: tuple[ImageDataset, ImageDataset],
    settings: TrainParams,
    point: CheckpointStore | None,
    broken_off_after: int,
) -> Result:
    """Train, saving to `point`; with `broken_off_after`, leave by an exception after that many epochs."""
    train_state = TrainState(model, recipe_for(settings, sets[0]))

    def after_epoch(result: Result) -> None:
        if point:
            point.save(train_state)
        if len(result.history) == broken_off_after:
            raise BrokenOffError

    if point:
        point.restore(train_state)
    return fit(train_state, *sets, after_epoch)
