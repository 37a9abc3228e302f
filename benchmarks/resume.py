"""What keeping the training state costs: the time to save it, beside that of an epoch of the network in params.yaml.

    python -m benchmarks.resume

The images are random, as many and as large as Fashion-MNIST's: no time here depends on what they show. Rewrites
benchmarks/resume.json and benchmarks/resume.md.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.made_up import made_up_training, params_of_one_epoch
from benchmarks.record import ROOT, circumstances, page_head, spread
from classifier.common.files import write_json, write_text
from classifier.compute.device import set_up_compute
from classifier.training.checkpoint import CheckpointStore

NUM_TRAIN = 54_000
"""Training images of Fashion-MNIST when a tenth of them is kept for validation."""
WANTED_PERCENT = 2.0
PACKAGES = ("torch", "safetensors")


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description="Time to save the training state, as a share of an epoch.")
    parser.add_argument("--saves", type=int, default=5, help="how often the state is saved and read back")
    parser.add_argument("--steps", type=int, default=60, help="training steps to measure; an epoch follows from them")
    parser.add_argument("--repeats", type=int, default=3, help="how often these steps are measured")
    arguments = parser.parse_args()
    figures = _measure(arguments.saves, arguments.steps, arguments.repeats)
    command = f"python -m benchmarks.resume --saves {arguments.saves} --steps {arguments.steps} --repeats {arguments.repeats}"
    record = {"command": command, **circumstances(PACKAGES), **figures}
    write_json(ROOT / "benchmarks/resume.json", record)
    write_text(ROOT / "benchmarks/resume.md", _page(record))
    print(_page(record))


def _measure(num_saves: int, num_steps: int, repeats: int) -> dict[str, Any]:
    params = params_of_one_epoch()
    device = set_up_compute(params.device, params.threads)
    num_images = num_steps * params.batch_size
    train_state, train = made_up_training(params, device, num_images)
    train()  # the first steps set up the kernels
    epochs = [seconds * NUM_TRAIN / num_images for seconds in _timed(train, repeats)]
    state_folder = ROOT / ".dvc/tmp"
    state_folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=state_folder) as folder:
        store = CheckpointStore(Path(folder) / "state.safetensors")
        saves = _timed(lambda: store.save(train_state), num_saves)
        restores = _timed(lambda: store.restore(train_state), num_saves)
        size = store.path.stat().st_size
    return {
        "network": params.network,
        "optimizer": params.chosen_optimizer,
        "device": str(device),
        "threads": params.threads,
        "state_MB": round(size / 1e6, 2),
        "seconds": {
            "one epoch of training": spread(epochs),
            "saving the state": spread(saves),
            "reading it back": spread(restores),
        },
        "percent_of_an_epoch": {
            "saving, by median": round(100 * float(np.median(saves) / np.median(epochs)), 2),
            "saving, slowest, of the fastest epoch": round(100 * max(saves) / min(epochs), 2),
            "wanted, below": WANTED_PERCENT,
        },
    }


def _timed(job: Callable[[], object], repeats: int) -> list[float]:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        job()
        seconds.append(time.perf_counter() - start)
    return seconds


def _page(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    network = (
        f"network {record['network']} with {record['optimizer']} as in `params.yaml`, on {record['device']}, "
        f"{record['threads']} threads; {NUM_TRAIN:,} images of 28×28"
    )
    lines = [
        *page_head("Keeping the training state", "resume", record, [network]),
        f"- the state is one file of {record['state_MB']} MB, written to the disk of the repository and flushed",
        "",
        "| seconds | least | median | greatest |",
        "|---|---|---|---|",
        *(f"| {name} | {row['min']} | {row['median']} | {row['max']} |" for name, row in record["seconds"].items()),
        "",
        "| percent of an epoch | |",
        "|---|---|",
        *(f"| {name} | {percent} |" for name, percent in record["percent_of_an_epoch"].items()),
        "",
        "The epoch is that of the training images alone, worked out from part of its steps; with validation it is longer",
        "and the share smaller.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
