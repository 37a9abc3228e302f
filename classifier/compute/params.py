"""Parameters of the machine that the numbers depend on, shared by the stages that compute with torch."""

from typing import Literal

from pydantic import Field

from classifier.common.params import Params

Precision = Literal["float32", "bfloat16", "float64"]


class ComputeParams(Params):
    """`device` "auto" is CUDA, then MPS, then the CPU. `threads` changes float sums, so it is never automatic.

    `precision` "auto" comes from a table (classifier.compute.device), never from timing.
    """

    device: Literal["auto", "cpu", "cuda", "mps"]
    threads: int = Field(ge=1, le=1024)
    precision: Literal["auto", "float32", "bfloat16", "float64"]
