"""Images a second of the exported files in onnxruntime, beside our own PyTorch inference:

    python -m benchmarks.exported          # after `dvc repro`, with requirements-export.txt installed

The model and the test images are those of the workspace. Rewrites benchmarks/exported.json and benchmarks/exported.md.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.record import ROOT, circumstances, page_head, ranged, spread
from classifier.common.files import write_json, write_text

THREADS, BATCHES = (1, 2), (1, 256)
WANTED = {"float32": 1.2, "int8": 2.5}
NUM_IMAGES = {1: 400, 256: 2048}
"""In one round of a way: by batch."""
WAYS = ("pytorch", *WANTED)
PROGRAM = """
import json, sys, time
from pathlib import Path
import onnxruntime
import torch
from classifier.compute.device import set_up_compute
from tools.export.onnx_file import INPUT, Probabilities
from tools.export.origin import read_origin

folder, threads, batch, num_images, rounds = Path(sys.argv[1]), *map(int, sys.argv[2:])
set_up_compute("cpu", threads)
origin = read_origin()
network = Probabilities(origin.model, flip_tta=origin.flip_tta)
images_NCHW = origin.test_set.batch(torch.arange(num_images))[0]
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = threads
cpu = ["CPUExecutionProvider"]
sessions = {way: onnxruntime.InferenceSession(folder / f"{way}.onnx", options, cpu) for way in ("float32", "int8")}

@torch.inference_mode()
def run(way):
    began = time.perf_counter()
    for part_NCHW in images_NCHW.split(batch):
        if way == "pytorch":
            network(part_NCHW)
        else:
            sessions[way].run(None, {INPUT: part_NCHW.numpy()})
    return num_images / (time.perf_counter() - began)

ways = ("pytorch", *sessions)
for way in ways:
    run(way)
print(json.dumps([{way: run(way) for way in ways} for _ in range(rounds)]))
"""


def main() -> None:
    """Measure every number of threads and of images at once, and write the record."""
    parser = argparse.ArgumentParser(description="Images a second of the exported files and of PyTorch.")
    parser.add_argument("--rounds", type=int, default=7, help="repeats, the ways in turn")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder)
        rows = [
            {"threads": threads, "batch": batch, **measure(folder, threads, batch, rounds)}
            for threads, batch in itertools.product(THREADS, BATCHES)
        ]
    now = circumstances(("torch", "onnx", "onnxruntime"))
    record = {"command": f"python -m benchmarks.exported --rounds {rounds}", **now, "rows": rows}
    write_json(ROOT / "benchmarks/exported.json", record)
    write_text(ROOT / "benchmarks/exported.md", page(record))
    print(page(record))


def write_files(folder: Path) -> None:
    """The model of the workspace, as `tools.export` writes it."""
    from tools.export.onnx_file import Probabilities, write_onnx
    from tools.export.origin import read_origin, read_train_set
    from tools.export.quantised import write_int8

    origin = read_origin()
    write_onnx(folder / "float32.onnx", Probabilities(origin.model, flip_tta=origin.flip_tta), origin.description)
    write_int8(folder / "int8.onnx", folder / "float32.onnx", read_train_set(origin))


def measure(folder: Path, threads: int, batch: int, rounds: int) -> dict[str, Any]:
    """Images a second of each way, and how many times PyTorch's that is, round by round."""
    command = [sys.executable, "-c", PROGRAM, str(folder), *map(str, (threads, batch, NUM_IMAGES[batch], rounds))]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    seconds: list[dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    figures: dict[str, Any] = {way: spread([one[way] for one in seconds]) for way in WAYS}
    return figures | {"times": {way: spread([one[way] / one["pytorch"] for one in seconds]) for way in WANTED}}


def page(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    facts = ["wall time of the probabilities of test images, median (least to greatest) of the rounds, the ways in turn"]
    lines = page_head("Exported files", "exported", record, facts)
    lines += [
        "",
        "| threads, images at once | PyTorch, images/s | float32 file, times that | int8 file, times that |",
        "|---|---|---|---|",
    ]
    for row in record["rows"]:
        times = " | ".join(ranged(row["times"][way]) for way in WANTED)
        lines.append(f"| {row['threads']}, {row['batch']} | {row['pytorch']['median']:,.0f} | {times} |")
    wanted = ", ".join(f"{way} {times}" for way, times in WANTED.items())
    lines += ["", f"Wanted: {wanted}. The int8 file gains most on processors with VNNI or AMX instructions for eight bits."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
