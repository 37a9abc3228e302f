"""Parameters of the stage `weights`."""

from classifier.params.network import NetworkParams


class WeightsParams(NetworkParams):
    """Whose published weights to get, and whether any."""
