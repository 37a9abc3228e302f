"""Transfer learning with a frozen backbone: what twenty epochs of the head cost, and the next run with another rate.

    python -m benchmarks.frozen --before CHECKOUT     # of d7d7a93, which computed the backbone in every epoch

Counted are processor seconds of the stage `train`, without the imports. Pictures and weights are random: no time depends
on them. Rewrites benchmarks/frozen.json and benchmarks/frozen.md.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from benchmarks.record import ROOT, circumstances, page_head, record_so_far, spread
from classifier.common.files import write_json, write_text
from classifier.images.arrays import write_split
from classifier.networks.torchvision_networks import head_name, plain_network

CASES = [("mobilenet_v3_small", 64), ("mobilenet_v3_small", 224), ("resnet18", 64), ("resnet18", 224)]
"""Network, height and width in pixels."""
NUM_PICTURES = 2000
NUM_CLASSES = 10
EPOCHS = 20
EPOCHS_BEFORE = 2
"""Each takes what the others take: from the second one follow all."""
WANTED_ALL, WANTED_NEXT = 1.5, 0.1
PARAMS = {
    "pretrained": True,
    "freeze": True,
    "normalize": "imagenet",
    "loss": "cross_entropy",
    "class_weights": None,
    "optimizer": "adamw",
    "lr": 0.001,
    "momentum": None,
    "nesterov": None,
    "weight_decay": 0.01,
    "schedule": "cosine",
    "warmup_fraction": 0.0,
    "batch_size": 64,
    "shuffle": True,
    "drop_last": False,
    "min_steps": 0,
    "augment": [],
    "label_smoothing": 0.0,
    "clip_norm": None,
    "ema_decay": None,
    "compile": False,
    "eval_every": None,
    "evaluate_train": False,
    "seed": 0,
    "device": "cpu",
    "threads": 1,
    "precision": "float32",
}
NOW = """
import json, sys, time
from pathlib import Path
from classifier.common.files import read_json
from classifier.compute.device import set_up_compute
from classifier.images.schema import DatasetInfo
from classifier.model.dataset import ImageDataset
from classifier.model.image_classifier import ImageClassifier
from classifier.model.inference import predict
from classifier.networks.own import build_network
from classifier.training.params import TrainParams
from stages.train import main

def timed(job):
    began = time.process_time()
    job()
    return time.process_time() - began

root, values = Path(sys.argv[1]), json.loads(sys.argv[2])
set_up_compute("cpu", values["threads"])
info = read_json(root / "data/dataset/dataset.json", DatasetInfo)
model = ImageClassifier(build_network(values["network"], info.shape_CHW, len(info.classes), 0), [0.5] * 3, [0.25] * 3)
sets = [ImageDataset.from_folder(root / "data/dataset" / split) for split in ("train", "val")]
imports = time.process_time()
figures = {"pass": timed(lambda: [predict(model, images) for images in sets])}
for name, lr in (("all", 0.001), ("next", 0.003)):
    params = TrainParams(**values | {"lr": lr})
    figures[name] = timed(lambda: main(params, root, resume=root / f".dvc/tmp/resume/train-{lr}", inputs="these"))
print(json.dumps(figures | {"imports": imports}))
"""
BEFORE = """
import json, sys, time
from pathlib import Path
from classifier.params.train import TrainParams
from stages import train

root, values = Path(sys.argv[1]), json.loads(sys.argv[2])
ends, write = [], train._write_progress
train._write_progress = lambda *arguments: (write(*arguments), ends.append(time.process_time()))
began = time.process_time()
train.main(TrainParams(**values), root, resume=root / ".dvc/tmp/resume/train-before")
print(json.dumps({"first": ends[0] - began, "more": (ends[-1] - ends[0]) / (len(ends) - 1)}))
"""


def main() -> None:
    """Measure the cases that are asked for, and write the record of all so far."""
    parser = argparse.ArgumentParser(description="Processor seconds of training a head on a frozen backbone.")
    parser.add_argument("--before", type=Path, required=True, help="a checkout of d7d7a93")
    parser.add_argument("--cases", type=int, nargs="+", default=list(range(len(CASES))), help="which of the four")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    now = circumstances(("torch", "torchvision"))
    rows = record_so_far("frozen", now).get("cases", {})
    for network, side in (CASES[number] for number in arguments.cases):
        figures = measure(network, side, NUM_PICTURES, arguments.repeats, arguments.before)
        rows[f"{network} {side}"] = {"network": network, "side": side, "pictures": NUM_PICTURES, **figures}
        command = f"python -m benchmarks.frozen --before CHECKOUT --repeats {arguments.repeats}"
        record = {"command": command, **now, "epochs": EPOCHS, "cases": rows}
        write_json(ROOT / "benchmarks/frozen.json", record)
        write_text(ROOT / "benchmarks/frozen.md", page(record))
    print(page(record))


def measure(network: str, side: int, num_pictures: int, repeats: int, before: Path) -> dict[str, Any]:
    """Seconds of each, side by side in each repeat, and their ratios to one pass."""
    seconds: dict[str, list[float]] = {name: [] for name in ("pass", "all", "next", "imports", "all before")}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            make_inputs(root, network, side, num_pictures)
            params = {**PARAMS, "network": network, "epochs": EPOCHS}
            for name, taken in run(NOW, ROOT, root, params).items():
                seconds[name].append(taken)
            write_info(root, side, num_pictures, hflip="mirrored")
            earlier = run(BEFORE, before, root, params | {"epochs": EPOCHS_BEFORE})
            seconds["all before"].append(earlier["first"] + (EPOCHS - 1) * earlier["more"])
    passes = {
        name: spread([taken / one_pass for taken, one_pass in zip(seconds[name], seconds["pass"], strict=True)])
        for name in seconds
        if name not in ("pass", "imports")
    }
    return {"seconds": {name: spread(values) for name, values in seconds.items()}, "passes": passes}


def run(program: str, checkout: Path, root: Path, params: dict[str, Any]) -> dict[str, float]:
    """What a program prints that runs with the code of `checkout`: processor seconds."""
    command = [sys.executable, "-c", program, str(root), json.dumps(params)]
    done = subprocess.run(command, cwd=checkout, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def make_inputs(root: Path, network: str, side: int, num_pictures: int) -> None:
    """What `train` reads: random pictures, a tenth of them for validation, and random weights."""
    rng = np.random.default_rng(0)
    for split, count in rows_of(num_pictures).items():
        images_NCHW = rng.integers(0, 256, (count, 3, side, side), dtype=np.uint8)
        write_split(root / "data/dataset" / split, count, (3, side, side), [(images_NCHW, rng.integers(0, NUM_CLASSES, count))])
    write_info(root, side, num_pictures, hflip="hflip_invariant")
    torch.manual_seed(0)
    made = plain_network(network, 224, 1000)
    head = head_name(made)
    (root / "models").mkdir()
    weights = {name: tensor for name, tensor in made.state_dict().items() if name.rpartition(".")[0] != head}
    save_file(weights, root / "models/pretrained.safetensors")


def write_info(root: Path, side: int, num_pictures: int, hflip: str) -> None:
    """data/dataset/dataset.json, where `hflip` is the name of a field that has had two."""
    info = {
        "dataset": "random",
        "classes": [str(label) for label in range(NUM_CLASSES)],
        "shape_CHW": [3, side, side],
        hflip: True,
        "mean": [0.5] * 3,
        "std": [0.29] * 3,
        "rows": rows_of(num_pictures),
    }
    write_json(root / "data/dataset/dataset.json", info)


def rows_of(num_pictures: int) -> dict[str, int]:
    """Of each split."""
    return {"train": num_pictures * 9 // 10, "val": num_pictures // 10, "test": 0}


def page(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    facts = [
        "processor seconds of the stage `train` without its imports, median (least to greatest) of the repeats",
        f"{EPOCHS} epochs in batches of 64, AdamW, no augmentation, 1 thread, a tenth of the pictures for validation",
        "a pass is every picture once through the network in evaluation mode, in the same repeat",
        f"d7d7a93 ran {EPOCHS_BEFORE} epochs of the same in the same repeat; all {EPOCHS} follow from these",
    ]
    lines = page_head("A frozen backbone", "frozen", record, facts)
    lines += [
        "",
        f"| network, pixels, pictures | a pass, s | {EPOCHS} epochs, passes | another `lr` then, passes | d7d7a93, passes |",
        "|---|---|---|---|---|",
    ]
    for row in record["cases"].values():
        cells = [
            f"{row['passes'][name]['median']:.2f} ({row['passes'][name]['min']:.2f} to {row['passes'][name]['max']:.2f})"
            for name in ("all", "next", "all before")
        ]
        one = f"{row['seconds']['pass']['median']:.1f}"
        lines.append(f"| {row['network']}, {row['side']}, {row['pictures']:,} | {one} | {' | '.join(cells)} |")
    imports = [f"{row['seconds']['imports']['median']:.1f} s ({name})" for name, row in record["cases"].items()]
    lines += [
        "",
        f"Wanted: {EPOCHS} epochs in at most {WANTED_ALL} passes, the next run in at most {WANTED_NEXT}.",
        "",
        f"Python's start, the imports of torch and torchvision and the making of a network come to it: {', '.join(imports)}.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
