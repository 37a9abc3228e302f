"""Sets torch up so that the same inputs give the same bits: a named device, a fixed thread count, deterministic kernels."""

import os
from collections.abc import Sequence

import torch

from classifier.common.errors import UserError
from classifier.freed_memory import keep_freed_memory
from classifier.model.precision import bfloat16_instructions


def set_up_compute(device: str, threads: int) -> torch.device:
    """Return the device asked for ("auto": CUDA, then MPS, then the CPU) with `threads` CPU threads.

    The C library is told to keep freed memory: every step needs the same again. Raises UserError when the device is not there.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(threads)
    keep_freed_memory()
    # The same flag as torch.use_deterministic_algorithms(True), which also imports the compiler: 0.7 s.
    torch.set_deterministic_debug_mode("error")
    # Filling fresh memory is a debugging aid of the deterministic mode; our kernels write before they read.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    available = _available_devices()
    if device == "auto":
        return torch.device(available[0])
    if device not in available:
        raise UserError(f"device {device!r} is not on this machine, which has {', '.join(available)}; use `device: auto`")
    return torch.device(device)


def _available_devices() -> list[str]:
    """Device kinds that work here, best first."""
    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    return [name for name, here in found.items() if here]


def compute_facts(device: torch.device, threads: int, precision: str) -> dict[str, str | int]:
    """What the last bits of the numbers depend on besides params and data; for model.json."""
    facts: dict[str, str | int] = {
        "torch": torch.__version__.partition("+")[0],
        "device": device.type,
        "precision": precision,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "bfloat16": bfloat16_instructions(),  # in which Muon multiplies whatever the precision
        "threads": threads,
    }
    if device.type != "cuda":
        return facts
    facts["cuda_device"] = torch.cuda.get_device_name(device)
    facts["cuda"] = str(torch.version.cuda)
    facts["cudnn"] = int(torch.backends.cudnn.version() or 0)
    return facts


def processes_fact(processes: Sequence[int]) -> dict[str, str | int]:
    """Another fact, from how many processes computed the run, one number after the other; none where it was always one.

    How many share a batch changes the order of sums. Where a run went on with another number, all stand there: "4, 2".
    """
    if set(processes) <= {1}:
        return {}
    return {"processes": processes[0] if len(processes) == 1 else ", ".join(map(str, processes))}
