"""What people would pick instead, beside the pipeline: test accuracy against wall and processor seconds. On Linux, with uv:

    DATASET_MIRROR=… python -m benchmarks.peers

Each program of this folder runs in an environment of its own, in turn, on two data sets: Fashion-MNIST, and 5,000 made-up
photographs with a frozen backbone. Rewrites benchmarks/peers.json, .md and .png.
"""

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from ruamel.yaml import YAML
from safetensors.torch import save_file
from torchvision.datasets import FashionMNIST

from benchmarks.record import ROOT, circumstances, page_head, record_so_far, timed
from classifier.common.files import write_json, write_text
from classifier.common.params import read_yaml
from classifier.figures.style import BLUE, GREY, save_png, styled
from classifier.networks.torchvision_networks import plain_network
from tools.experiments.named import EXPERIMENTS_FILE, read_experiments

HERE = Path(__file__).parent
PROGRAMS = {
    "fastai xresnet18": ("fastai_xresnet18", "pictures", ["1", "2"], ()),
    "ultralytics yolo11n-cls": ("ultralytics_yolo11n", "pictures", ["2", "5"], ("32",)),
    "PyTorch's MNIST example": ("pytorch_example", "downloaded", ["1", "5"], ()),
    "Lightning, our network": ("lightning_pyramid", "downloaded", ["1", "3"], ()),
    "scikit-learn boosting": ("sklearn_boosting", "arrays.npz", ["30"], ()),
}
"""Program, what it reads, its epochs (or iterations) in one run each, and further arguments."""
EXPERIMENTS = ["one-epoch", "quick", "default", "accurate"]
PHOTOGRAPH_SIDE = 128
FROZEN = {
    "fastai, ResNet-18 frozen": ("fastai_frozen", "photographs", ["5"], (str(PHOTOGRAPH_SIDE),)),
    "ultralytics, yolo11n-cls frozen": ("ultralytics_yolo11n", "photographs", ["5"], (str(PHOTOGRAPH_SIDE), "10")),
}
NUM_PHOTOGRAPHS, NUM_CLASSES = {"train": 4000, "test": 1000}, 10
LONGEST_SECONDS = 600
"""A run that would take longer, by the one before it, is left out."""
WANTED = 0.25
SECONDS_SHOWN = (20, 50, 100, 200, 500, 1000)
STAGES = ("download", "convert", "build", "weights", "train", "evaluate")
OURS = "this pipeline, "


def main() -> None:
    """Run what is asked for, and write the record of all so far."""
    everything = [*(OURS + name for name in EXPERIMENTS), *PROGRAMS, *FROZEN, OURS + "head"]
    parser = argparse.ArgumentParser(description="Accuracy and seconds of other trainers.")
    parser.add_argument("--only", nargs="+", choices=everything, default=everything, metavar="NAME", help="; ".join(everything))
    only = parser.parse_args().only
    now = circumstances(("torch", "torchvision"))
    rows = record_so_far("peers", now).get("runs", {})
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder)
        clone = data / "project"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        write_fashion_mnist(data)
        write_photographs(data / "photographs")
        for name in only:
            rows[name] = ours(clone, name.removeprefix(OURS), data) if name.startswith(OURS) else peer(name, data)
            record = {"command": "python -m benchmarks.peers", **now, "runs": rows}
            write_json(ROOT / "benchmarks/peers.json", record)
            write_text(ROOT / "benchmarks/peers.md", page(record))
    with styled():
        save_png(drawing(rows), ROOT / "benchmarks/peers.png")
    print(page(record))


def write_fashion_mnist(data: Path) -> None:
    """The files as torchvision has them, as a folder of pictures, and as arrays."""
    raw = data / "downloaded/FashionMNIST/raw"
    raw.mkdir(parents=True)
    for file in (Path(os.environ["DATASET_MIRROR"]) / "fashion_mnist").glob("*.gz"):
        (raw / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
    arrays: dict[str, NDArray[Any]] = {}
    for split in ("train", "test"):
        images = FashionMNIST(data / "downloaded", train=split == "train")
        for number, (pixels_HW, label) in enumerate(zip(images.data.numpy(), images.targets.tolist(), strict=True)):
            path = data / f"pictures/{split}/{label}/{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels_HW).save(path)
        arrays |= {f"{split}_images": images.data.flatten(1).numpy(), f"{split}_labels": images.targets.numpy()}
    np.savez(data / "arrays.npz", allow_pickle=False, **arrays)


def write_photographs(folder: Path) -> None:
    """JPEGs of 500×375: stripes whose direction and width are the class's, under coloured noise."""
    rng = np.random.default_rng(0)
    rows_H1, columns_W = np.arange(375)[:, None], np.arange(500)
    for split, count in NUM_PHOTOGRAPHS.items():
        for number in range(count):
            label = number % NUM_CLASSES
            angle = np.pi * label / NUM_CLASSES + rng.normal(0, 0.1)
            phase = (rows_H1 * np.sin(angle) + columns_W * np.cos(angle)) / (8 + 2 * label)
            colour = rng.uniform(40, 200, 3)
            pixels_HWC = colour + 40 * np.sin(phase)[:, :, None] + rng.normal(0, 20, (375, 500, 3))
            path = folder / f"{split}/{label}/{number}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels_HWC.clip(0, 255).astype(np.uint8)).save(path, quality=90)


def peer(name: str, data: Path) -> list[dict[str, Any]]:
    """Wall and processor seconds and accuracy of each run of the program, its start included."""
    program, reads, budgets, further = (PROGRAMS | FROZEN)[name]
    script = str(HERE / f"{program}.py")
    subprocess.run(["uv", "sync", "--quiet", "--script", script], check=True)
    find = ["uv", "python", "find", "--script", script]
    python = subprocess.run(find, check=True, capture_output=True, text=True).stdout.strip()
    runs: list[dict[str, Any]] = []
    for budget in budgets:
        if runs and runs[-1]["wall"] * int(budget) / int(runs[-1]["budget"]) > LONGEST_SECONDS:
            break
        wall, processor, printed = timed([python, script, str(data / reads), budget, *further], data, PYTHONPATH=str(ROOT))
        runs.append({"budget": budget, "wall": wall, "processor": processor, "accuracy": float(printed.splitlines()[-1])})
        print(name, runs[-1], flush=True)
    return runs


def ours(clone: Path, name: str, data: Path) -> list[dict[str, Any]]:
    """The same of the pipeline: every stage from the download to the accuracy, as processes of their own."""
    params = read_yaml(ROOT / "params.yaml") | read_experiments(clone / EXPERIMENTS_FILE)[name].overrides
    params["threads"] = len(os.sched_getaffinity(0))
    if name == "head":
        shutil.copytree(data / "photographs", clone / "photographs")
        save_file(plain_network("resnet18", 224, 1000).state_dict(), clone / "random.safetensors")
        params |= {"image_size": PHOTOGRAPH_SIDE, "epochs": 5, "pretrained_source": "random.safetensors"}
    with (clone / "params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(params, file)
    wall, processor = 0.0, 0.0
    for stage in STAGES:
        more_wall, more_processor, _ = timed([sys.executable, "-m", f"stages.{stage}"], clone)
        wall, processor = wall + more_wall, processor + more_processor
    accuracy = json.loads((clone / "metrics/test.json").read_text(encoding="utf-8"))["test_accuracy"]
    run = {"budget": str(params["epochs"]), "wall": round(wall, 1), "processor": round(processor, 1), "accuracy": accuracy}
    print(name, run, flush=True)
    return [run]


def page(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    facts = [
        "one run each, from files on the disk to the accuracy on the test images, Python's start and imports included",
        "the pipeline's rows are all its stages from `download` to `evaluate`; the epochs of boosting are its iterations",
        f"what would take more than {LONGEST_SECONDS} s by the run before was left out",
    ]
    lines = page_head("Beside what people would pick", "peers", record, facts)
    runs = record["runs"]
    lines += ["", "![accuracy against processor seconds](peers.png)"]
    for title, names in (
        ("Fashion-MNIST", [*(OURS + name for name in EXPERIMENTS), *PROGRAMS]),
        (FROZEN_TITLE, [OURS + "head", *FROZEN]),
    ):
        if not any(name in runs for name in names):
            continue
        lines += ["", f"## {title}", "", "| | epochs | wall, s | processor, s | test accuracy |", "|---|---|---|---|---|"]
        for name in names:
            for run in runs.get(name, []):
                cells = f"{run['budget']} | {run['wall']:,.0f} | {run['processor']:,.0f} | {run['accuracy']:.2%}"
                lines.append(f"| {name} | {cells} |")
    found = [verdict(name, runs) for name in PROGRAMS if name in runs]
    return "\n".join([*lines, "", "## Who reaches the same sooner", "", *found]) + "\n"


FROZEN_TITLE = f"{sum(NUM_PHOTOGRAPHS.values()):,} photographs at {PHOTOGRAPH_SIDE} pixels, the backbone frozen, random weights"


def verdict(name: str, runs: dict[str, Any]) -> str:
    """One line: the best that a peer reached, and the least processor seconds in which we do."""
    best = max(runs[name], key=lambda run: run["accuracy"])
    rivals = [
        (run["processor"], setting)
        for setting in EXPERIMENTS
        for run in runs.get(OURS + setting, [])
        if run["accuracy"] >= best["accuracy"]
    ]
    reached = f"- {name}: {best['accuracy']:.2%} in {best['processor']:,.0f} processor seconds"
    if not rivals:
        return f"{reached}; none of ours reaches that."
    seconds, setting = min(rivals)
    return f"{reached}; `{setting}` is there in {seconds:,.0f}, {seconds / best['processor']:.2f} times (wanted {WANTED})."


def drawing(runs: dict[str, Any]) -> Figure:
    """Accuracy against processor seconds, a line a trainer."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    lines = {"this pipeline": [run for name in EXPERIMENTS for run in runs.get(OURS + name, [])]}
    lines |= {name: runs[name] for name in PROGRAMS if name in runs}
    for number, (name, line) in enumerate(lines.items()):
        colour = BLUE if number == 0 else GREY
        seconds, accuracies = [run["processor"] for run in line], [100 * run["accuracy"] for run in line]
        axes.plot(seconds, accuracies, "o-", color=colour, linewidth=2 if number == 0 else 1)
        axes.annotate(
            name, (seconds[-1], accuracies[-1]), (0, 7), textcoords="offset points", color=colour, ha="center", fontsize=8
        )
    axes.set(xscale="log", xlabel="processor seconds", ylabel="test accuracy, %", title="Fashion-MNIST, one run each")
    axes.set_xticks(SECONDS_SHOWN, [str(seconds) for seconds in SECONDS_SHOWN])
    axes.minorticks_off()
    axes.margins(x=0.2, y=0.1)
    return figure


if __name__ == "__main__":
    main()
