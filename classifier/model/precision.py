"""The number format of the heavy operations, from a fixed table: never from timing, so that a run can be repeated."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

from classifier.common.errors import UserError
from classifier.network_sizes import WITHOUT_CONVOLUTIONS
from classifier.params.compute import Precision

BFLOAT16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "bf16")
"""Of a CPU, by the names of `torch.cpu.get_capabilities()`, the fastest first: Intel's AMX, AVX-512, ARM."""


def resolve_precision(asked: Literal["auto"] | Precision, network: str, device: torch.device) -> Precision:
    """`asked`, or for "auto": bfloat16 where the device computes in it natively and `network` is convolutional, else float32.

    Without convolutions the layers are so small that converting the weights at every step costs more than bfloat16 saves.
    Raises UserError for a precision that the device does not have.
    """
    if asked == "float64" and device.type == "mps":
        raise UserError("precision 'float64' is not on device 'mps'; write `precision: auto` or `device: cpu`")
    if asked != "auto":
        return asked
    return "bfloat16" if network not in WITHOUT_CONVOLUTIONS and _has_bfloat16(device) else "float32"


def parameter_dtype(precision: Precision) -> torch.dtype:
    """The weights are float32 under bfloat16 too: only products and convolutions are computed in it (mixed precision)."""
    return torch.float64 if precision == "float64" else torch.float32


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """The context in which the forward pass runs."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bfloat16" else nullcontext()


def bfloat16_instructions() -> str:
    """The first of BFLOAT16_INSTRUCTIONS that this CPU has, else "emulated": the last bits depend on it."""
    capabilities = torch.cpu.get_capabilities()
    return next((name for name in BFLOAT16_INSTRUCTIONS if capabilities.get(name)), "emulated")


def _has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bfloat16_instructions() != "emulated"
