"""What training minimises, by name. Legend: N images of a batch, K classes."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from classifier.common.errors import UserError, short_repr
from classifier.images.arrays import Labels
from classifier.training.params import TrainParams

Reduction = Literal["mean", "sum"]
Loss = Callable[[Tensor, Tensor], Tensor]
"""Of logits_NK and labels_N, or probabilities_NK in their place, the mean over the batch, or the sum."""


def build_loss(params: TrainParams, weights_K: Tensor | None, reduction: Reduction = "mean") -> Loss:
    """The cross-entropy (nats) or the squared error of `params.loss`.

    With `weights_K` the cross-entropy is a weighted mean: each image counts with the weight of its class, and the sum is
    divided by the weights of the batch, which are `batch_weight`.
    """
    if params.loss == "mse":
        return partial(half_squared_error, reduction=reduction)
    return partial(cross_entropy, weight=weights_K, label_smoothing=params.label_smoothing, reduction=reduction)


def batch_weight(labels_N: Tensor, weights_K: Tensor | None) -> Tensor:
    """By what the sum of a loss over a batch is divided for the mean: a number in float64."""
    if weights_K is None:
        return torch.tensor(len(labels_N), dtype=torch.float64, device=labels_N.device)
    return weights_K[labels_N].double().sum()


def half_squared_error(logits_NK: Tensor, targets: Tensor, reduction: Reduction = "mean") -> Tensor:
    """½ Σ_k (target_k - softmax_k)², the Brier score (1950) by half, 0 to 1; mean over the batch, or sum.

    `targets` are labels_N, or probabilities_NK.
    """
    targets_NK = targets if targets.is_floating_point() else one_hot(targets, logits_NK.shape[1])
    error_N = (targets_NK.to(logits_NK.dtype) - logits_NK.softmax(dim=1)).square().sum(dim=1)
    return (error_N.mean() if reduction == "mean" else error_N.sum()) / 2


def one_hot(labels_N: Tensor, num_classes: int) -> Tensor:
    """1.0 for the class of each image, else 0.0: (N, K). torch's looks at the labels' values, which waits for the device."""
    return (labels_N[:, None] == torch.arange(num_classes, device=labels_N.device)).float()


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
            lacking = short_repr(classes[int(np.argmin(counts_K))])
            raise UserError(f"class_weights 'balanced' needs an image of each class to train on, found none of {lacking}")
        return [float(weight) for weight in len(labels_N) / (len(classes) * counts_K)]
    if len(asked) != len(classes):
        raise UserError(f"class_weights needs a number for each of the {len(classes)} classes, got {len(asked)}")
    return [float(weight) for weight in asked]
