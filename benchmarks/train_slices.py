"""One training system in a process of its own, which runs a slice of steps whenever it is told to.

    python -m benchmarks.train_slices '{"system": "ours", "network": "cnn", …}'

A line on standard input is a request, a line on standard output the reply, both JSON. benchmarks/train.py is the other end.
"""

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, Self

import psutil
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.ceiling import rates
from benchmarks.record import ROOT
from classifier.compute.device import set_up_compute
from classifier.images.arrays import load_split
from classifier.images.schema import Standardised
from classifier.model.dataset import ImageDataset
from classifier.model.image_classifier import ImageClassifier, resolve_precision
from classifier.networks.own import build_network
from classifier.networks.whitening import MAX_IMAGES, fit_first_layer, rows_to_fit
from classifier.training.loop import TrainState, fit
from classifier.training.params import TrainParams
from classifier.training.recipe import resolve

MEAN, STD = 0.286, 0.353
NUM_CLASSES = 10
HFLIP_INVARIANT = True
"""So are both data sets whose images have these shapes: `augment: auto` flips them."""
NUM_WARMUP_STEPS = 6
"""Untimed, before every slice: they also use up what loading processes had ready."""
SECONDS_FOR_LOADERS_TO_FALL_IDLE = 0.5


class Slices:
    """The calling end: a process that measures slices, which is ended with the context."""

    def __init__(self, settings: dict[str, Any]) -> None:
        command = [sys.executable, "-m", "benchmarks.train_slices", json.dumps(settings)]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, request: str) -> Any:
        """Send a request and wait for the reply. Raises RuntimeError when the process has ended instead."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(request + "\n")
        self.process.stdin.flush()
        reply = self.process.stdout.readline()
        if not reply:
            raise RuntimeError(f"{self.process.args!r} ended with status {self.process.wait()}")
        return json.loads(reply)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def main() -> None:
    """Answer requests until standard input ends."""
    settings = json.loads(sys.argv[1])
    answers: dict[str, Callable[[], object]]
    if settings["system"] == "ceiling":
        torch.set_num_threads(settings["params"]["threads"])
        answers = {"slice": rates}
    else:
        params = TrainParams(**settings["params"])
        run = _ours(settings, params) if settings["system"] == "ours" else _usual(settings, params)
        answers = {"slice": run, "peak": _peak_mebibytes, "flops": lambda: _flops_per_image(settings, params)}
    for request in sys.stdin:
        print(json.dumps(answers[request.strip()]()), flush=True)


def _ours(settings: dict[str, Any], params: TrainParams) -> Callable[[], float]:
    """A slice of our loop: an epoch of a data set that is a piece of the whole one. Returns its seconds."""
    device = set_up_compute(params.device, params.threads)
    dataset = ImageDataset.from_folder(Path(settings["folder"]))
    num_channels = dataset.shape_CHW[0]
    info = Standardised(
        dataset="slices",
        classes=[str(label) for label in range(NUM_CLASSES)],
        shape_CHW=dataset.shape_CHW,
        hflip_invariant=HFLIP_INVARIANT,
        mean=[MEAN] * num_channels,
        std=[STD] * num_channels,
    )
    recipe = resolve(params, info, dataset.labels_N, resolve_precision(params.precision, params.network, device))
    network = build_network(recipe.network, dataset.shape_CHW, NUM_CLASSES, recipe.seed)
    model = ImageClassifier(network, recipe.mean, recipe.std, recipe.precision)
    rows = rows_to_fit(len(dataset), math.prod(dataset.shape_CHW))
    fit_first_layer(network, lambda: model.normalise(dataset.batch(rows)[0]))
    train_state = TrainState(model.to(device), recipe)
    no_validation = _piece(dataset, 0, 0)
    num_images = settings["num_steps"] * params.batch_size
    starts = _starts(len(dataset), num_images)

    def epoch_of(start: int, num_images: int) -> float:
        piece = _piece(dataset, start, num_images)
        steps_per_epoch = num_images // recipe.batch_size
        train_state.recipe = replace(recipe, epochs=1, num_images=num_images, steps_per_epoch=steps_per_epoch)
        train_state.result = None  # a slice does not go on from the one before
        began = time.perf_counter()
        fit(train_state, piece, no_validation, lambda result: None)
        return time.perf_counter() - began

    def run() -> float:
        epoch_of(0, NUM_WARMUP_STEPS * params.batch_size)
        return epoch_of(next(starts), num_images)

    return run


def _starts(num_images: int, length: int) -> Iterator[int]:
    while True:
        yield from range(0, num_images - length + 1, length)


def _piece(dataset: ImageDataset, start: int, num_images: int) -> ImageDataset:
    rows = slice(start, start + num_images)
    return ImageDataset(dataset.images_NCHW[rows], dataset.labels_N[rows])


def _usual(settings: dict[str, Any], params: TrainParams) -> Callable[[], float]:
    """A slice of one of the usual loops, with torch's own number of threads. Returns its seconds."""
    from benchmarks import tutorial  # the others do without torchvision, which is part of what a process holds

    network = _plain_network(params, _image_shape(settings))
    optimizer = tutorial.usual_optimizer(network, params.chosen_optimizer)
    images_NCHW, labels_N = load_split(Path(settings["folder"]))
    if settings["system"] == "torchvision + workers":
        steps = tutorial.example_steps(network, optimizer, Path(settings["folder"]), params.batch_size)
    else:
        make = {"tutorial": tutorial.tutorial_steps, "tensors + DataLoader": tutorial.tensor_steps}[settings["system"]]
        steps = make(network, optimizer, images_NCHW[:, 0], labels_N, params.batch_size)

    def run() -> float:
        _advance(steps, NUM_WARMUP_STEPS)
        began = time.perf_counter()
        _advance(steps, settings["num_steps"])
        seconds = time.perf_counter() - began
        time.sleep(SECONDS_FOR_LOADERS_TO_FALL_IDLE)
        return seconds

    return run


def _advance(steps: Iterator[None], count: int) -> None:
    for _ in islice(steps, count):
        pass


def _image_shape(settings: dict[str, Any]) -> tuple[int, int, int]:
    return ImageDataset.from_folder(Path(settings["folder"])).shape_CHW


def _plain_network(params: TrainParams, shape_CHW: tuple[int, int, int]) -> nn.Module:
    """As its definition says, in float32 and torch's own memory layout."""
    if params.network == "cnn":
        from benchmarks.tutorial import TutorialCnn

        return TutorialCnn()
    network = build_network(params.network, shape_CHW, NUM_CLASSES, params.seed)
    fit_first_layer(network, lambda: torch.randn(MAX_IMAGES, *shape_CHW))
    return network


def _flops_per_image(settings: dict[str, Any], params: TrainParams) -> float:
    """Of products and convolutions, forward and backward, one step; those of the optimizer are not counted."""
    shape_CHW = _image_shape(settings)
    images_NCHW = torch.randn(params.batch_size, *shape_CHW)
    labels_N = torch.zeros(params.batch_size, dtype=torch.int64)
    with FlopCounterMode(display=False) as counter:
        cross_entropy(_plain_network(params, shape_CHW)(images_NCHW), labels_N).backward()
    return float(counter.get_total_flops()) / params.batch_size


def _peak_mebibytes() -> float:
    """Most memory that this process has held, mapped files included, and what its loading processes hold for themselves."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    peak_KiB = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    own = sum(child.memory_full_info().uss for child in psutil.Process(os.getpid()).children())
    return peak_KiB / 1024 + own / 2**20


if __name__ == "__main__":
    main()
