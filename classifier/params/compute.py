"""Parameters of the machine that the numbers depend on, shared by the stages that compute with torch."""

from typing import Literal

from pydantic import Field

from classifier.params.base import Params


class ComputeParams(Params):
    """`device` "auto" is CUDA, then MPS, then the CPU. `threads` changes float sums, so it is never automatic."""

    device: Literal["auto", "cpu", "cuda", "mps"]
    threads: int = Field(ge=1, le=1024)
