"""A network with its normalisation and its precision: uint8 images in, logits out."""

from typing import Literal, Self

import torch
from torch import Tensor, nn

from classifier.common.errors import UserError
from classifier.compute.device import autocast, has_bfloat16, parameter_dtype
from classifier.compute.params import Precision
from classifier.networks.names import WITHOUT_CONVOLUTIONS
from classifier.networks.torchvision_networks import head_name


class ImageClassifier(nn.Module):
    """Normalises each channel, then applies `network` in `precision`.

    `mean` and `std` are one number a channel, in units of 1/255. They are not among the weights: model.json holds them.
    Convolutions run on channels-last memory. The logits are float32, of precision "float64" float64.
    """

    mean_C11: Tensor
    inverse_std_C11: Tensor

    def __init__(self, network: nn.Module, mean: list[float], std: list[float], precision: Precision = "float32") -> None:
        super().__init__()
        self.network = network
        self.frozen = False
        self.layout = torch.channels_last if len(mean) > 1 else torch.preserve_format  # of one channel each is channels-last
        self.register_buffer("mean_C11", torch.tensor(mean, dtype=torch.float64).reshape(-1, 1, 1) * 255, persistent=False)
        std_C11 = torch.tensor(std, dtype=torch.float64).reshape(-1, 1, 1) * 255
        self.register_buffer("inverse_std_C11", 1 / std_C11, persistent=False)
        self.set_precision(precision)

    def set_precision(self, precision: Precision) -> None:
        """Compute in `precision` from now on: "float32", "bfloat16" (of float32 weights) or "float64"."""
        self.precision = precision
        self.to(dtype=parameter_dtype(precision)).to(memory_format=torch.channels_last)

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.mean_C11.device

    @property
    def head(self) -> nn.Module:
        """The layer that scores the classes; what comes before it is the backbone."""
        return self.network.get_submodule(head_name(self.network))

    def freeze(self) -> None:
        """Train the head only. All before it computes as in evaluation: the head learns from what it will get when it is used.

        So batch normalisation keeps the statistics that it has, and nothing before the head is dropped.
        """
        self.frozen = True
        self.requires_grad_(False)
        self.head.requires_grad_(True)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """As of any module, but a frozen network stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.network.eval()
        return self

    def normalise(self, images_NCHW: Tensor) -> Tensor:
        """What the network sees of uint8 images (N, C, H, W): less the mean, by the standard deviation."""
        copy_NCHW = images_NCHW.to(self.mean_C11.dtype, memory_format=self.layout, copy=True)
        return copy_NCHW.sub_(self.mean_C11).mul_(self.inverse_std_C11)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Logits (N, K) of uint8 images (N, C, H, W)."""
        return self.logits(self.normalise(images_NCHW))

    def features(self, images_NCHW: Tensor) -> Tensor:
        """What the head gets of uint8 images (N, C, H, W), in the type of the weights."""
        seen: list[Tensor] = []
        with self.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])):
            self(images_NCHW)
        return seen[0].to(self.mean_C11.dtype)

    def logits(self, normalised_NCHW: Tensor) -> Tensor:
        """The same of images that went through `normalise` already."""
        with autocast(self.precision, normalised_NCHW.device):
            logits_NK: Tensor = self.network(normalised_NCHW)
        return logits_NK.to(self.mean_C11.dtype)


def resolve_precision(asked: Literal["auto"] | Precision, network: str, device: torch.device) -> Precision:
    """`asked`, or for "auto": bfloat16 where the device computes in it natively and `network` is convolutional, else float32.

    Without convolutions the layers are so small that converting the weights at every step costs more than bfloat16 saves.
    Raises UserError for a precision that the device does not have.
    """
    if asked == "float64" and device.type == "mps":
        raise UserError("precision 'float64' is not on device 'mps'; write `precision: auto` or `device: cpu`")
    if asked != "auto":
        return asked
    return "bfloat16" if network not in WITHOUT_CONVOLUTIONS and has_bfloat16(device) else "float32"
