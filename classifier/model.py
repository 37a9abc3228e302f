"""A network with its normalisation: uint8 images in, logits out."""

import torch
from torch import Tensor, nn


class ImageClassifier(nn.Module):
    """Normalises by the training split's channel figures, then applies `network`.

    `mean` and `std` are one figure a channel, in units of 1/255. They are not among the weights: they stand in model.json.
    """

    mean_C11: Tensor
    inverse_std_C11: Tensor

    def __init__(self, network: nn.Module, mean: list[float], std: list[float]) -> None:
        super().__init__()
        self.network = network
        mean_C11 = torch.tensor(mean).reshape(-1, 1, 1) * 255
        std_C11 = torch.tensor(std).reshape(-1, 1, 1) * 255
        self.register_buffer("mean_C11", mean_C11, persistent=False)
        self.register_buffer("inverse_std_C11", 1 / std_C11, persistent=False)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Logits (N, K) of uint8 images (N, C, H, W)."""
        normalised = (images_NCHW.float() - self.mean_C11) * self.inverse_std_C11
        logits_NK: Tensor = self.network(normalised.contiguous(memory_format=torch.channels_last))
        return logits_NK
