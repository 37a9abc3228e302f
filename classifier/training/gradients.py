"""From the scores of a batch to the gradients of its mean loss, also when several processes have a share of the batch each.

Legend: N images of this process's share, K classes.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from classifier.training.losses import Loss, batch_weight
from classifier.training.world import World


class Gradients:
    """Leaves in each of `parameters` the gradient of the mean loss over the whole batch.

    Alone, `loss` is that mean. In a `world` of several processes it is the sum over the share; the sums are added up and
    divided once, by the images of the whole batch or, with `weights_K`, by their classes' weights: a share may be empty.
    """

    def __init__(self, loss: Loss, weights_K: Tensor | None, parameters: Iterable[nn.Parameter], world: World) -> None:
        self.loss = loss
        self.weights_K = weights_K
        self.parameters = list(parameters)
        self.world = world

    def __call__(self, logits_NK: Tensor, targets: Tensor) -> None:
        """Go backward from the scores, and exchange what each process found. `targets` are labels_N or probabilities_NK."""
        self.loss(logits_NK, targets).backward()
        if self.world.size > 1:
            _make_global(
                [parameter.grad for parameter in self.parameters if parameter.grad is not None],
                batch_weight(targets, self.weights_K),
                self.world,
            )


def _make_global(gradients: list[Tensor], weight: Tensor, world: World) -> None:
    """All of them in one message, with the weight at its end: the order of the sums is then the same in every step."""
    message = torch.cat([*(gradient.reshape(-1) for gradient in gradients), weight.to(gradients[0].dtype).reshape(1)])
    world.add_up(message)
    message /= message[-1].clone()
    parts = message[:-1].split([gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))
