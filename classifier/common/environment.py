"""Variables of the environment that change what the libraries compute: some are put aside, the others become facts of a run.

Each was tried, or is documented to: docs/explain/reproducibility.md has the table. Imports nothing that computes.
"""

import os
from collections.abc import Mapping

NOT_USED = ("FREETYPE_PROPERTIES", "OMP_DYNAMIC", "OMP_MAX_ACTIVE_LEVELS", "OMP_THREAD_LIMIT", "PYTORCH_TUNABLEOP_ENABLED")
"""The param `threads` says how many there are, nothing is chosen by timing, and letters have one shape."""
RECORDED = (
    "CUBLASLT_WORKSPACE_SIZE",
    "CUBLAS_EMULATE_DOUBLE_PRECISION",
    "CUBLAS_EMULATE_SINGLE_PRECISION",
    "CUBLAS_EMULATION_STRATEGY",
    "CUBLAS_WORKSPACE_CONFIG",
    "GLIBC_TUNABLES",
    "MKL_CBWR",
    "MKL_ENABLE_INSTRUCTIONS",
    "MKL_NUM_STRIPES",
    "NCCL_ALGO",
    "NCCL_PROTO",
    "NPY_DISABLE_CPU_FEATURES",
    "NVIDIA_TF32_OVERRIDE",
    "ONEDNN_CPU_ISA_HINTS",
    "ONEDNN_DEFAULT_FPMATH_MODE",
    "ONEDNN_MAX_CPU_ISA",
    "OPENBLAS_CORETYPE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "TORCH_BLAS_PREFER_CUBLASLT",
    "TORCH_CUDNN_USE_HEURISTIC_MODE_B",
    "TORCH_CUDNN_V8_API_DISABLED",
    "TORCH_LINALG_PREFER_CUSOLVER",
    "TORCH_MKLDNN_MATMUL_MIN_DIM",
    "TORCH_MKLDNN_MATMUL_MIN_SIZE",
)
"""Whoever sets one means it, as MKL_CBWR for the same bytes on other machines. DNNL_… is the old name of ONEDNN_…."""
CUBLAS_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
"""What we set for kernels that give the same bits, unless it is set."""
RECORDED_AS_A_FACT = ("ATEN_CPU_CAPABILITY",)
"""`cpu_capability` in model.json is what it makes of the processor."""
OLD_PREFIX, PREFIX = "DNNL_", "ONEDNN_"


def remove_unused() -> list[str]:
    """Take NOT_USED out of this process's environment, before a library reads it. Return the names that were there."""
    return [name for name in NOT_USED if os.environ.pop(name, None) is not None]


def recorded_variables(environment: Mapping[str, str] = os.environ, names: tuple[str, ...] = RECORDED) -> dict[str, str]:
    """Those of `names` that are set to something, by name and in ASCII."""
    found = {}
    for name in names:
        text = environment.get(name) or (environment.get(name.replace(PREFIX, OLD_PREFIX)) if name.startswith(PREFIX) else None)
        if text and (name, text) != CUBLAS_WORKSPACE:
            found[name] = text.strip().encode("ascii", "backslashreplace").decode()
    return found


def variables_in_words() -> str:
    """All that are set here and may change bytes, as `MKL_CBWR=COMPATIBLE`."""
    return " ".join(f"{name}={value}" for name, value in recorded_variables(names=RECORDED + RECORDED_AS_A_FACT).items())
