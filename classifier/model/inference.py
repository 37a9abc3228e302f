"""The predictions of a model for a data set. Legend: N images, K classes."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from classifier.model.dataset import ImageDataset
from classifier.model.image_classifier import ImageClassifier

LARGEST_BATCH = 1000
PIXELS_OF_A_BATCH = 2**21
"""At most, so that what a network of many channels makes of photographs fits into memory; never less than one image."""


@dataclass(frozen=True)
class Predictions:
    """One entry an image, in the data set's order."""

    actual_N: NDArray[np.int64]
    predicted_N: NDArray[np.int64]
    confidence_N: NDArray[np.float32]
    """Probability of the predicted class."""
    loss_N: NDArray[np.float32]
    """Cross-entropy in nats."""

    @property
    def loss(self) -> float:
        """Mean cross-entropy in nats."""
        return float(self.loss_N.mean(dtype=np.float64))

    @property
    def accuracy(self) -> float:
        """Share of images whose predicted class is the actual one, 0 to 1."""
        return float((self.predicted_N == self.actual_N).mean())


@torch.inference_mode()
def predict(model: ImageClassifier, dataset: ImageDataset, *, flip_tta: bool = False) -> Predictions:
    """Run `model` in evaluation mode, where it is, over `dataset`, which must not be empty."""
    model.eval()
    batches = [_predict_batch(model, dataset, rows, flip_tta) for rows in torch.arange(len(dataset)).split(batch_size(dataset))]
    return Predictions(*(torch.cat(column).cpu().numpy() for column in zip(*batches, strict=True)))


def class_logits(model: ImageClassifier, images_NCHW: torch.Tensor, flip_tta: bool) -> torch.Tensor:
    """The logits_NK of uint8 images; with `flip_tta` the means of those of an image and of its mirror image."""
    logits_NK: torch.Tensor = model(images_NCHW)
    return (logits_NK + model(images_NCHW.flip(3))) / 2 if flip_tta else logits_NK


def batch_size(dataset: ImageDataset) -> int:
    """Images to compute at once: as many as memory holds without trouble, also of large ones."""
    height, width = dataset.shape_CHW[1:]
    return max(1, min(LARGEST_BATCH, int(PIXELS_OF_A_BATCH // (height * width))))


def _predict_batch(
    model: ImageClassifier, dataset: ImageDataset, rows_N: torch.Tensor, flip_tta: bool
) -> tuple[torch.Tensor, ...]:
    images_NCHW, labels_N = (tensor.to(model.device) for tensor in dataset.batch(rows_N))
    logits_NK = class_logits(model, images_NCHW, flip_tta)
    loss_N = cross_entropy(logits_NK, labels_N, reduction="none")
    confidence_N, predicted_N = logits_NK.softmax(dim=1).max(dim=1)
    return labels_N, predicted_N, confidence_N.float(), loss_N.float()
