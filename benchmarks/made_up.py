"""The training of params.yaml on random images, where no time depends on what they show."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.record import ROOT
from classifier.common.params import read_yaml, validate
from classifier.model.dataset import ImageDataset
from classifier.model.image_classifier import ImageClassifier, resolve_precision
from classifier.networks.own import build_network
from classifier.training.distributed import SINGLE_PROCESS, DistributedContext, convert_batch_norms
from classifier.training.history import Result
from classifier.training.loop import TrainState, fit
from classifier.training.params import TrainParams, resolve_augment

SHAPE_CHW = (1, 28, 28)
NUM_CLASSES = 10
"""As Fashion-MNIST's images, whose mirror images show the same class."""


def params_of_one_epoch(**changes: Any) -> TrainParams:
    """Those of params.yaml, with `changes`."""
    params = validate(ROOT / "params.yaml", read_yaml(ROOT / "params.yaml"), TrainParams)
    return params.model_copy(update={"epochs": 1, "augment": resolve_augment(params.augment, hflip_invariant=True), **changes})


def made_up_training(
    params: TrainParams, device: torch.device, num_images: int, context: DistributedContext = SINGLE_PROCESS
) -> tuple[TrainState, Callable[[], Result]]:
    """A trainee, and a function that trains it for an epoch of `num_images` images, without validation."""
    network = build_network(params.network, SHAPE_CHW, NUM_CLASSES, params.seed)
    convert_batch_norms(network, context)
    precision = resolve_precision(params.precision, params.network, device)
    train_state = TrainState(ImageClassifier(network, [0.3], [0.35], precision).to(device), params)
    rng = np.random.default_rng(0)
    images_NCHW = rng.integers(0, 256, (num_images, *SHAPE_CHW), dtype=np.uint8)
    train_set = ImageDataset(images_NCHW, rng.integers(0, NUM_CLASSES, num_images))
    no_validation = ImageDataset(images_NCHW[:0], np.zeros(0, dtype=np.int64))
    return train_state, lambda: fit(train_state, train_set, no_validation, params, device, lambda result: None, context=context)
