"""Parameters that the stages `weights` and `train` share: which network, and whether it begins with published weights."""

from typing import Annotated, Self

from pydantic import AfterValidator, model_validator

from classifier.common.params import Params
from classifier.networks.names import TORCHVISION, unknown_network


def _known(network: str) -> str:
    if problem := unknown_network(network):
        raise ValueError(problem)
    return network


class NetworkParams(Params):
    """`network` is one of ours or of torchvision's, and `pretrained` begins with the weights that torchvision publishes."""

    network: Annotated[str, AfterValidator(_known)]
    pretrained: bool

    @model_validator(mode="after")
    def check_pretrained(self) -> Self:
        """Our own networks have none."""
        if self.pretrained and self.network not in TORCHVISION:
            raise ValueError(
                f"pretrained has no effect with network {self.network!r}, of which no weights are published; "
                "write `pretrained: false` or choose a network of torchvision, such as resnet18"
            )
        return self


class WeightsParams(NetworkParams):
    """Whose published weights to get, and whether any."""
