"""Parameters of the stage `download`."""

from pydantic import Field

from classifier.params.base import Params


class DownloadParams(Params):
    """Which data set, and the catalogue that says where its files are."""

    dataset: str = Field(min_length=1)
    source: str = Field(min_length=1)
