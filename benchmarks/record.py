"""What a benchmark's record says beside its figures: the machine, the versions, the commit; and how repeats are summed up."""

import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def circumstances(packages: Sequence[str]) -> dict[str, Any]:
    """Processor, cores this process may use, system, versions of Python and `packages`, and the commit of the code."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.system(),
        "versions": {"python": platform.python_version()} | {package: version(package) for package in packages},
        "commit": _commit(),
    }


def spread(values: Sequence[float]) -> dict[str, float]:
    """Least, median and greatest of the repeats, to three decimals."""
    return {
        "min": round(min(values), 3),
        "median": round(statistics.median(values), 3),
        "max": round(max(values), 3),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str:
    """The commit's short name, with `-dirty` when files that git tracks differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
