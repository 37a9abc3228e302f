"""What a benchmark's record says beside its figures: the machine, the versions, the commit; and how repeats are summed up."""

import json
import os
import platform
import resource
import statistics
import subprocess
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from record.revisions import processor_name

ROOT = Path(__file__).parent.parent


def circumstances(packages: Sequence[str]) -> dict[str, Any]:
    """Processor, cores this process may use, system, versions of Python and `packages`, and the commit of the code."""
    return {
        "processor": processor_name(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.system(),
        "versions": {"python": platform.python_version()} | {package: version(package) for package in packages},
        "commit": _commit(),
    }


def record_so_far(name: str, now: dict[str, Any]) -> dict[str, Any]:
    """What benchmarks/`name`.json holds; empty unless it comes from the machine and versions of `now`, whatever the commit."""
    file = ROOT / "benchmarks" / f"{name}.json"
    before: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return before if all(before.get(fact) == value for fact, value in now.items() if fact != "commit") else {}


def page_head(title: str, name: str, record: dict[str, Any], facts: Sequence[str] = ()) -> list[str]:
    """The first lines of the page of benchmarks/`name`.py: title, command, `facts`, and the circumstances in `record`."""
    return [
        f"# {title}",
        "",
        f"Written by `benchmarks/{name}.py`; the same figures are in `{name}.json`.",
        "",
        f"- command: `{record['command']}`",
        *(f"- {fact}" for fact in facts),
        *circumstances_lines(record),
    ]


def circumstances_lines(record: dict[str, Any]) -> list[str]:
    """What `circumstances` put into `record`, as two lines of a Markdown list."""
    versions = ", ".join(f"{name} {number}" for name, number in record["versions"].items())
    return [
        f"- machine: {record['processor']}, {record['cores']} cores, {record['system']}",
        f"- versions: {versions}; commit {record['commit']}",
    ]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Least, median and greatest of the repeats, to three decimals."""
    return {
        "min": round(min(values), 3),
        "median": round(statistics.median(values), 3),
        "max": round(max(values), 3),
    }


def ranged(row: dict[str, float]) -> str:
    """What `spread` gave, as `median (least to greatest)`."""
    return f"{row['median']:.2f} ({row['min']:.2f} to {row['max']:.2f})"


def timed(command: list[str], where: Path, **environment: str) -> tuple[float, float, str]:
    """Wall and processor seconds of a process and its children, and what it printed."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    everything = {**os.environ, **environment}
    printed = subprocess.run(command, cwd=where, env=everything, check=True, stdout=subprocess.PIPE, text=True).stdout
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return round(wall, 1), round(processor, 1), printed


def _commit() -> str:
    """The commit's short name, with `-dirty` when files that git tracks differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
