"""Parameters that the stages `weights` and `train` share: which network, and whether it begins with weights that are there."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from classifier.common.params import Params, absolute_or_inside
from classifier.networks.names import TORCHVISION, unknown_network

PUBLISHED = "catalogue.yaml"
"""What `pretrained_source` is for the weights that torchvision publishes; anything else is a file of a person's own."""


def _known(network: str) -> str:
    if problem := unknown_network(network):
        raise ValueError(problem)
    return network


class NetworkParams(Params):
    """`network` is one of ours or of torchvision's; `pretrained` begins with weights that were trained before."""

    network: Annotated[str, AfterValidator(_known)]
    pretrained: bool


class WeightsParams(NetworkParams):
    """Where the weights to begin with come from."""

    pretrained_source: Annotated[str, Field(min_length=1), AfterValidator(absolute_or_inside)]

    @model_validator(mode="after")
    def check_pretrained(self) -> Self:
        """Raise ValueError for published weights of our own networks, and for a file that would not be read."""
        own = self.pretrained_source != PUBLISHED
        if own and not self.pretrained:
            raise ValueError(
                "pretrained_source has no effect without pretrained; write `pretrained: true` or "
                f"`pretrained_source: {PUBLISHED}`"
            )
        if self.pretrained and not own and self.network not in TORCHVISION:
            raise ValueError(
                f"pretrained has no effect with network {self.network!r}, of which no weights are published; "
                "write `pretrained: false` or choose a network of torchvision, such as resnet18; a file of your own goes into "
                "`pretrained_source`"
            )
        return self
