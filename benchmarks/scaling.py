"""Several processes on this machine: what a step costs, split into compute, messages and input; and what networks would add.

    python -m benchmarks.scaling

The images are random, as large as Fashion-MNIST's: no time here depends on what they show. Rewrites benchmarks/scaling.json and
benchmarks/scaling.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.record import ROOT, circumstances, page_head, ranged, spread
from classifier.common.files import write_json, write_text

PACKAGES = ("torch",)
NETWORKS = {
    "1 Gbit/s Ethernet": (1e9 / 8, 100e-6),
    "10 Gbit/s Ethernet": (10e9 / 8, 50e-6),
    "100 Gbit/s with RDMA": (100e9 / 8, 5e-6),
    "400 Gbit/s with RDMA": (400e9 / 8, 5e-6),
    "NVLink, 450 GB/s each way": (450e9, 5e-6),
}
"""Bytes a second each way and seconds until a message arrives: round figures of the kind of network, not measured here."""
FLEETS = (2, 8, 64)


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description="What a step costs with several processes.")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4], help="numbers of processes to measure")
    parser.add_argument("--steps", type=int, default=20, help="training steps of a repeat")
    parser.add_argument("--repeats", type=int, default=3, help="how often these steps are measured")
    arguments = parser.parse_args()
    runs = {str(size): _measured(size, arguments.steps, arguments.repeats) for size in arguments.processes}
    listed = " ".join(map(str, arguments.processes))
    options = f"--processes {listed} --steps {arguments.steps} --repeats {arguments.repeats}"
    record = {"command": f"python -m benchmarks.scaling {options}", **circumstances(PACKAGES), "runs": runs}
    write_json(ROOT / "benchmarks/scaling.json", record)
    write_text(ROOT / "benchmarks/scaling.md", _page(record))
    print(_page(record))


def _measured(size: int, num_steps: int, repeats: int) -> dict[str, Any]:
    """By `size` processes, among which the cores are shared out."""
    threads = max(1, len(os.sched_getaffinity(0)) // size)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "figures.json"
        options = ["--standalone", "--nproc-per-node", str(size), "--log-dir", folder, "-m", "benchmarks.scaling_steps"]
        command = [sys.executable, "-m", "torch.distributed.run", *options, str(file), *map(str, (num_steps, repeats, threads))]
        subprocess.run(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": str(threads)}, check=True)
        figures: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    rows = figures["milliseconds"]
    return figures | {"milliseconds": {name: spread(values) for name, values in rows.items()}}


def seconds_on_network(num_bytes: float, num_messages: int, size: int, bandwidth: float, latency: float) -> float:
    """Of the messages of a step in a ring of `size` processes (Patarasu & Yuan 2009).

    Each process sends 2 (size - 1) / size times the bytes, in 2 (size - 1) rounds a message.
    """
    return 2 * (size - 1) / size * num_bytes / bandwidth + 2 * (size - 1) * num_messages * latency


def _page(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    runs: dict[str, dict[str, Any]] = record["runs"]
    some = max(runs.values(), key=lambda run: run["messages_a_step"])
    facts = [
        f"network {some['network']} with {some['optimizer']} as in `params.yaml`, on {some['device']}: {some['parameters']:,} "
        f"parameters; {some['batch_size']} images of 28×28 a step, of all processes together",
        "the cores are shared out: threads × processes are not more than there are cores, unless there are more processes",
    ]
    lines = [
        *page_head("Several processes", "scaling", record, facts),
        "",
        "Milliseconds a step, as median (least to greatest). Messages are the sums over all processes, of the gradients and of",
        "batch normalisation, and the waiting for the slowest process; input is cutting a batch and augmenting it.",
        "",
        "| processes | threads of each | step | compute | messages | input |",
        "|---|---|---|---|---|---|",
        *(_row(size, run) for size, run in runs.items()),
        "",
        *_arithmetic(some),
    ]
    return "\n".join(lines) + "\n"


def _row(size: str, run: dict[str, Any]) -> str:
    figures = " | ".join(ranged(run["milliseconds"][name]) for name in ("step", "compute", "messages", "input"))
    return f"| {size} | {run['threads']} | {figures} |"


def _arithmetic(run: dict[str, Any]) -> list[str]:
    """What the messages of a step would take on other networks, from their measured number and size."""
    num_bytes, num_messages = run["bytes_a_step"], run["messages_a_step"]
    if not num_messages:
        return ["No run here had more than one process, so no messages were counted."]
    times = {
        name: [1000 * seconds_on_network(num_bytes, num_messages, size, *figures) for size in FLEETS]
        for name, figures in NETWORKS.items()
    }
    compute = run["milliseconds"]["compute"]["median"]
    slowest = max(NETWORKS, key=lambda name: statistics.mean(times[name]))
    worst = times[slowest][0]
    return [
        "## On other networks",
        "",
        f"By arithmetic, not measured. A process sends {num_messages} messages a step, {num_bytes / 1e6:.2f} MB together.",
        "In a ring of p processes they take 2 (p - 1) / p × bytes / bandwidth + 2 (p - 1) × messages × latency. In ms a step:",
        "",
        f"| network | bandwidth | latency | {' | '.join(f'p = {size}' for size in FLEETS)} |",
        f"|---|---|---|{'---|' * len(FLEETS)}",
        *(_network_row(name, times[name]) for name in NETWORKS),
        "",
        "Nothing is computed while messages are on their way. So they bound the training where a process computes its share of",
        "a step in less time than stands here. Above, in the run with the most messages, a process computed",
        f"{compute:.1f} ms a step: on {slowest} two such processes would send for {worst:.1f} ms,",
        f"{100 * worst / compute:.0f} % of that, and a device that computes the step in {worst:.1f} ms would wait half of the",
        "time. More images in a batch make it better: the bytes stay the same, the time to compute grows.",
    ]


def _network_row(name: str, milliseconds: list[float]) -> str:
    bandwidth, latency = NETWORKS[name]
    return (
        f"| {name} | {bandwidth / 1e9:g} GB/s | {latency * 1e6:g} µs | {' | '.join(f'{time:.2f}' for time in milliseconds)} |"
    )


if __name__ == "__main__":
    main()
