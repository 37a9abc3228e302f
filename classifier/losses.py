"""What training minimises, by name. Legend: N images of a batch, K classes."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from classifier.blocks import Labels
from classifier.errors import UserError, shown
from classifier.params.train import TrainParams

Loss = Callable[[Tensor, Tensor], Tensor]
"""Of logits_NK and labels_N, their mean over the batch."""


def build_loss(params: TrainParams, weights_K: Tensor | None) -> Loss:
    """The cross-entropy (nats) or the squared error of `params.loss`.

    With `weights_K` the cross-entropy is a weighted mean: each image counts with the weight of its class, and the sum is
    divided by the weights of the batch.
    """
    if params.loss == "mse":
        return half_squared_error
    return partial(cross_entropy, weight=weights_K, label_smoothing=params.label_smoothing)


def half_squared_error(logits_NK: Tensor, labels_N: Tensor) -> Tensor:
    """½ Σ_k (onehot_k - softmax_k)², the Brier score (1950) by half, 0 to 1; mean over the batch."""
    classes_K = torch.arange(logits_NK.shape[1], device=labels_N.device)
    onehot_NK = labels_N[:, None] == classes_K  # torch's one_hot looks at the labels' values, which waits for the device
    return (onehot_NK.to(logits_NK.dtype) - logits_NK.softmax(dim=1)).square().sum(dim=1).mean() / 2


def class_weights(
    asked: Sequence[float] | Literal["balanced"] | None, labels_N: Labels, classes: Sequence[str]
) -> list[float] | None:
    """The weight of each class, or None for none. "balanced" is N / (K · images of the class), as in scikit-learn.

    Raises UserError unless there is a weight for each class, and for "balanced" an image to train on.
    """
    if asked is None:
        return None
    if asked == "balanced":
        counts_K = np.bincount(labels_N, minlength=len(classes))
        if 0 in counts_K:
            lacking = shown(classes[int(np.argmin(counts_K))])
            raise UserError(f"class_weights 'balanced' needs an image of each class to train on, found none of {lacking}")
        return [float(weight) for weight in len(labels_N) / (len(classes) * counts_K)]
    if len(asked) != len(classes):
        raise UserError(f"class_weights needs a number for each of the {len(classes)} classes, got {len(asked)}")
    return [float(weight) for weight in asked]
