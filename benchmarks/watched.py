"""Seconds and peak memory of a process, as Linux tells them while it runs."""

import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from classifier.common.errors import UserError

SECONDS_BETWEEN_CHECKS = 0.01
KINDS = {"anonymous": "RssAnon", "mapped": "RssFile"}
"""What only this process holds, and pages of files, which the system may take back at any time."""


@dataclass(frozen=True)
class Watched:
    """`processor_seconds` of all cores, `peak_MiB` by kind, each at its own peak, and what the process printed."""

    seconds: float
    processor_seconds: float
    peak_MiB: dict[str, float]
    output: str


def watched(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Watched:
    """Run `command` in `folder`. Raises UserError when it fails. What it prints must be short: it is read at the end."""
    began, used = time.perf_counter(), _processor_seconds()
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    peaks = dict.fromkeys(KINDS, 0.0)
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        now = held(status.read_text(encoding="ascii"))
        peaks = {kind: max(peak, now.get(kind, 0.0)) for kind, peak in peaks.items()}
        time.sleep(SECONDS_BETWEEN_CHECKS)
    seconds = time.perf_counter() - began
    output, errors = process.communicate()
    if process.returncode:
        raise UserError(f"{' '.join(command)} failed: {output}{errors}")
    return Watched(seconds, _processor_seconds() - used, peaks, output)


def _processor_seconds() -> float:
    """Of all processes that this one started and waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def held(status: str) -> dict[str, float]:
    """MiB of each kind, of the text of /proc/…/status; none of a process that has ended."""
    figures = {line.partition(":")[0]: line.split() for line in status.splitlines()}
    return {kind: int(figures[name][1]) / 1024 for kind, name in KINDS.items() if name in figures}
