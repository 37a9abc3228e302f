"""The training of params.yaml on random images, where no time depends on what they show."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.record import ROOT
from classifier.model.dataset import ImageDataset
from classifier.model.image_classifier import ImageClassifier
from classifier.model.networks import build_network
from classifier.model.precision import resolve_precision
from classifier.params.base import read_yaml, validate
from classifier.params.train import TrainParams, resolve_augment
from classifier.training.global_batch_norm import with_global_batch_norms
from classifier.training.loop import Trainee, fit
from classifier.training.progress import Result
from classifier.training.world import ALONE, World

SHAPE_CHW = (1, 28, 28)
NUM_CLASSES = 10
"""As Fashion-MNIST's images, whose mirror images show the same class."""


def params_of_one_epoch(**changes: Any) -> TrainParams:
    """Those of params.yaml, with `changes`."""
    params = validate(ROOT / "params.yaml", read_yaml(ROOT / "params.yaml"), TrainParams)
    return params.model_copy(update={"epochs": 1, "augment": resolve_augment(params.augment, mirrored=True), **changes})


def made_up_training(
    params: TrainParams, device: torch.device, num_images: int, world: World = ALONE
) -> tuple[Trainee, Callable[[], Result]]:
    """A trainee, and a function that trains it for an epoch of `num_images` images, without validation."""
    network = build_network(params.network, SHAPE_CHW, NUM_CLASSES, params.seed)
    with_global_batch_norms(network, world)
    precision = resolve_precision(params.precision, params.network, device)
    trainee = Trainee(ImageClassifier(network, [0.3], [0.35], precision).to(device), params)
    rng = np.random.default_rng(0)
    images_NCHW = rng.integers(0, 256, (num_images, *SHAPE_CHW), dtype=np.uint8)
    train_set = ImageDataset(images_NCHW, rng.integers(0, NUM_CLASSES, num_images))
    no_validation = ImageDataset(images_NCHW[:0], np.zeros(0, dtype=np.int64))
    return trainee, lambda: fit(trainee, train_set, no_validation, params, device, lambda result: None, world=world)
