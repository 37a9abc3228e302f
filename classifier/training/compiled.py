"""A network through torch.compile."""

from collections.abc import Callable

import torch
from torch import Tensor

from classifier.common.errors import UserError, told


def compiled(logits: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """`logits` of images_NCHW, compiled for each shape of its own: a kernel for any would depend on which batches came before.

    The first call raises UserError where nothing can be compiled, as without a C++ compiler.
    """
    from torch._dynamo.exc import BackendCompilerFailed  # torch.compile imports it too, in a second

    forward = torch.compile(logits, dynamic=False)

    def call(images_NCHW: Tensor) -> Tensor:
        try:
            logits_NK: Tensor = forward(images_NCHW)
        except BackendCompilerFailed as error:
            raise UserError(
                f"compile: torch could not compile the network ({told(error)}); write `compile: false`, or install a compiler"
            ) from None
        return logits_NK

    return call
