"""The training of params.yaml on random images, where no time depends on what they show."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.record import ROOT
from classifier.common.params import read_yaml, validate
from classifier.images.arrays import Labels
from classifier.images.schema import Standardised
from classifier.model.dataset import ImageDataset
from classifier.model.image_classifier import ImageClassifier, resolve_precision
from classifier.networks.own import build_network
from classifier.training.distributed import SINGLE_PROCESS, DistributedContext, convert_batch_norms
from classifier.training.history import Result
from classifier.training.loop import TrainState, fit
from classifier.training.params import TrainParams
from classifier.training.recipe import Recipe, resolve

SHAPE_CHW = (1, 28, 28)
NUM_CLASSES = 10
INFO = Standardised(
    dataset="made_up",
    classes=[str(label) for label in range(NUM_CLASSES)],
    shape_CHW=SHAPE_CHW,
    hflip_invariant=True,
    mean=[0.3],
    std=[0.35],
)
"""As of Fashion-MNIST's images, whose mirror images show the same class."""


def params_of_one_epoch(**changes: Any) -> TrainParams:
    """Those of params.yaml, with `changes`."""
    params = validate(ROOT / "params.yaml", read_yaml(ROOT / "params.yaml"), TrainParams)
    return params.model_copy(update={"epochs": 1, "min_steps": 0, **changes})


def made_up_training(
    params: TrainParams, device: torch.device, num_images: int, context: DistributedContext = SINGLE_PROCESS
) -> tuple[TrainState, Callable[[], Result]]:
    """A train state, and a function that trains it for an epoch of `num_images` images, without validation."""
    rng = np.random.default_rng(0)
    images_NCHW = rng.integers(0, 256, (num_images, *SHAPE_CHW), dtype=np.uint8)
    train_set = ImageDataset(images_NCHW, rng.integers(0, NUM_CLASSES, num_images))
    no_validation = ImageDataset(images_NCHW[:0], np.zeros(0, dtype=np.int64))
    recipe = recipe_for(params, train_set.labels_N, device, context)
    network = build_network(recipe.network, SHAPE_CHW, NUM_CLASSES, recipe.seed)
    convert_batch_norms(network, context)
    train_state = TrainState(ImageClassifier(network, recipe.mean, recipe.std, recipe.precision).to(device), recipe, context)

    def train() -> Result:
        train_state.result = None  # else it would go on after the epoch that was the last
        return fit(train_state, train_set, no_validation, lambda result: None)

    return train_state, train


def recipe_for(
    params: TrainParams, labels_N: Labels, device: torch.device, context: DistributedContext = SINGLE_PROCESS
) -> Recipe:
    """The recipe of `params` for images like these."""
    precision = resolve_precision(params.precision, params.network, device)
    return resolve(params, INFO, labels_N, precision, context.size)
