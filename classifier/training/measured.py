"""Loss and accuracy of a model over a data set, of which each process measures a part."""

from dataclasses import dataclass

import torch

from classifier.model.dataset import ImageDataset
from classifier.model.image_classifier import ImageClassifier
from classifier.model.inference import outcomes
from classifier.training.tally import Sums
from classifier.training.world import World


@dataclass(frozen=True)
class Measured:
    """Mean cross-entropy in nats, and accuracy (0 to 1)."""

    loss: float
    accuracy: float


def measured(model: ImageClassifier, dataset: ImageDataset, device: torch.device, world: World) -> Measured:
    """Run `model` in evaluation mode over `dataset`, which must not be empty. Every process returns the same."""
    part = world.part(len(dataset))
    sums = _sums(model, ImageDataset(dataset.images_NCHW[part], dataset.labels_N[part]), device)
    return Measured(*world.total(sums).means())


def _sums(model: ImageClassifier, dataset: ImageDataset, device: torch.device) -> Sums:
    if not len(dataset):
        return Sums()
    found = outcomes(model, dataset, device)
    loss = float(found.loss_N.sum(dtype="float64"))
    return Sums(loss, float((found.predicted_N == found.actual_N).sum()), len(dataset))
