"""Sets torch up so that the same inputs give the same bits: a named device, fixed threads, a precision from a table."""

import ctypes
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from classifier.common.environment import CUBLAS_WORKSPACE, recorded_variables
from classifier.common.errors import UserError
from classifier.common.memory import keep_freed_memory
from classifier.common.versions import installed_version
from classifier.compute.params import Precision

BFLOAT16_INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "bf16")
"""Of a CPU, by the names of `torch.cpu.get_capabilities()`, the fastest first: Intel's AMX, AVX-512, ARM."""


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


def has_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bfloat16_instructions() != "emulated"


def set_up_compute(device: str, threads: int) -> torch.device:
    """Return the device asked for ("auto": CUDA, then MPS, then the CPU) with `threads` CPU threads.

    From then on the C library keeps freed memory: each step needs the same again. Raises UserError where the device is missing.
    """
    os.environ.setdefault(*CUBLAS_WORKSPACE)
    torch.set_num_threads(threads)
    _check_threads(threads)
    keep_freed_memory()
    # The same flag as torch.use_deterministic_algorithms(True), which also imports the compiler: 0.7 s.
    torch.set_deterministic_debug_mode("error")
    # Filling fresh memory is a debugging aid of the deterministic mode; our kernels write before they read.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    works = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    available = [name for name, here in works.items() if here]
    if device == "auto":
        return torch.device(available[0])
    if device not in available:
        raise UserError(f"device {device!r} is not on this machine, which has {', '.join(available)}; use `device: auto`")
    return torch.device(device)


def _openmp() -> Any:
    """What this process has loaded, with the functions of OpenMP among it."""
    return ctypes.CDLL(None)


def _check_threads(threads: int) -> None:
    """Raise UserError where OpenMP would give fewer than that: some convolutions wait for all of them, for ever.

    stages/__init__.py removes the variables that say so, but an OpenMP that LD_PRELOAD has loaded has read them before.
    """
    openmp = _openmp()
    try:
        limit, levels = openmp.omp_get_thread_limit(), openmp.omp_get_max_active_levels()
        openmp.omp_set_dynamic(0)
    except AttributeError:  # one that only torch sees, as on macOS
        return
    given = min(limit, threads) if levels else 1
    if given < threads:
        raise UserError(f"threads: OpenMP gives {given} of {threads}, by OMP_THREAD_LIMIT or OMP_MAX_ACTIVE_LEVELS; unset them")


def compute_facts(device: torch.device, threads: int, precision: str) -> dict[str, str | int]:
    """What the last bits of the numbers depend on besides params and data; for model.json."""
    facts: dict[str, str | int] = {
        "torch": torch.__version__.partition("+")[0],
        "device": device.type,
        "precision": precision,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "bfloat16": bfloat16_instructions(),  # in which Muon multiplies whatever the precision
        "threads": threads,
        **recorded_variables(),
    }
    if device.type != "cuda":
        return facts
    facts["cuda_device"] = torch.cuda.get_device_name(device)
    facts["cuda"] = str(torch.version.cuda)
    facts["cudnn"] = int(torch.backends.cudnn.version() or 0)
    return facts


COMPUTING = ("torch", "torchvision", "numpy", "scipy", "pandas", "scikit-learn", "pillow", "safetensors")


def all_facts(facts: dict[str, str | int]) -> dict[str, object]:
    """With `facts` everything that might change a bit: the CPU but for its number of cores, packages, how torch was built.

    Too much for model.json, where it would tell apart runs that are the same; a resumed run must be sure.
    """
    cpu = {name: value for name, value in torch.cpu.get_capabilities().items() if not name.startswith("num_")}
    versions = {name: installed_version(name) for name in COMPUTING}
    return {**facts, "cpu": cpu, "versions": versions, "build": f"{torch.__version__} {torch.__config__.show()}"}


def processes_fact(processes: Sequence[int]) -> dict[str, str | int]:
    """Another fact, from how many processes computed the run, one number after the other; none where it was always one.

    How many share a batch changes the order of sums. Where a run went on with another number, all stand there: "4, 2".
    """
    if set(processes) <= {1}:
        return {}
    return {"processes": processes[0] if len(processes) == 1 else ", ".join(map(str, processes))}
