"""What training minimises, by name, and its gradient over all processes. Legend: N images of a batch, K classes."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from classifier.training.distributed import DistributedContext
from classifier.training.recipe import Recipe

Reduction = Literal["mean", "sum"]
Loss = Callable[[Tensor, Tensor], Tensor]
"""Of logits_NK and labels_N, or probabilities_NK in their place, the mean over the batch, or the sum."""


def build_loss(recipe: Recipe, weights_K: Tensor | None, reduction: Reduction = "mean") -> Loss:
    """The cross-entropy (nats) or the squared error of `recipe.loss`.

    With `weights_K` the cross-entropy is a weighted mean: each image counts with the weight of its class, and the sum is
    divided by the weights of the batch, which are `batch_weight`.
    """
    if recipe.loss == "mse":
        return partial(half_squared_error, reduction=reduction)
    return partial(cross_entropy, weight=weights_K, label_smoothing=recipe.label_smoothing, reduction=reduction)


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


class Gradients:
    """Leaves in each of `parameters` the gradient of the mean loss over the whole batch.

    Alone, `loss` is that mean. With several processes it is the sum over the share; the sums are added up and
    divided once, by the images of the whole batch or, with `weights_K`, by their classes' weights: a share may be empty.
    """

    def __init__(
        self, loss: Loss, weights_K: Tensor | None, parameters: Iterable[nn.Parameter], context: DistributedContext
    ) -> None:
        self.loss = loss
        self.weights_K = weights_K
        self.parameters = list(parameters)
        self.context = context

    def __call__(self, logits_NK: Tensor, targets: Tensor) -> None:
        """Go backward from the scores, and exchange what each process found. `targets` are labels_N or probabilities_NK."""
        self.loss(logits_NK, targets).backward()
        if self.context.size > 1:
            _make_global(
                [parameter.grad for parameter in self.parameters if parameter.grad is not None],
                batch_weight(targets, self.weights_K),
                self.context,
            )


def _make_global(gradients: list[Tensor], weight: Tensor, context: DistributedContext) -> None:
    """All of them in one message, with the weight at its end: the order of the sums is then the same in every step."""
    message = torch.cat([*(gradient.reshape(-1) for gradient in gradients), weight.to(gradients[0].dtype).reshape(1)])
    context.all_reduce(message)
    message /= message[-1].clone()
    parts = message[:-1].split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))
