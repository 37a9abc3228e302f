"""A linear layer whose values are multiplied by a constant."""

from torch import Tensor, nn


class ScaledLinear(nn.Linear):
    """`scale` times a linear layer without bias; its gradient shrinks with it."""

    def __init__(self, in_features: int, out_features: int, scale: float) -> None:
        super().__init__(in_features, out_features, bias=False)
        self.scale = scale

    def forward(self, values_NF: Tensor) -> Tensor:
        """Apply it to (N, in_features); return (N, out_features)."""
        return super().forward(values_NF) * self.scale
