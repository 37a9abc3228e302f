"""How fast the training loop is, beside the usual ways and the limit of the machine: on Linux,

    python -m benchmarks.train

Each system trains in a process of its own; they take turns, a slice of steps each, for several rounds. With data/dataset, which
`dvc repro` makes, the images are its; without it they are random, of the same number and size: no time here depends on
what they show. Rewrites benchmarks/train.json, .md and .png; networks that were not asked for stay there
as they are, if they come from the same machine and versions.
"""

import argparse
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from benchmarks.record import ROOT, circumstances, page_head, ranged, record_so_far, spread
from benchmarks.train_slices import HFLIP_INVARIANT, Slices
from benchmarks.tutorial import write_for_torchvision
from classifier.common.files import write_json, write_text
from classifier.common.params import read_yaml, validate
from classifier.figures.style import BLUE, GREEN, GREY, VERMILION, save_png, styled
from classifier.images.arrays import load_split, write_split
from classifier.training.params import TrainParams
from classifier.training.recipe import resolve_augment

NUM_EPOCH_IMAGES = 60_000
"""An epoch is worked out for so many: all training images of Fashion-MNIST."""
NUM_IMAGES = 54_000
COLOUR_SHAPE_CHW = (3, 32, 32)
"""CIFAR-10's."""
IMAGES_PER_STEP = 256
COLOURS = {"tutorial": VERMILION, "torchvision + workers": GREY, "tensors + DataLoader": GREEN, "ours": BLUE}
SYSTEMS = tuple(COLOURS)
TUTORIAL_RECIPE: dict[str, Any] = {
    "optimizer": "adam",
    "lr": 0.001,
    "momentum": None,
    "weight_decay": 0.0,
    "schedule": "constant",
    "warmup_fraction": 0.0,
    "augment": [],
    "label_smoothing": 0.0,
    "clip_norm": None,
    "ema_decay": None,
    "epochs": 1,
}
WANTED = {"cnn": 2.6, "mlp": 3.5}
"""Times faster than the tutorial's loop."""
PACKAGES = ("torch", "torchvision", "numpy")


class Case(NamedTuple):
    """What is trained: with which settings, on the images in `split`, by which systems."""

    params: TrainParams
    split: str = "split"
    systems: tuple[str, ...] = SYSTEMS


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description="Speed and memory of the training loop, beside the usual ways.")
    parser.add_argument("--rounds", type=int, default=7, help="slices of each system, in turn")
    parser.add_argument(
        "--steps", type=int, default=40, help="steps of 256 images in a slice, or as many images in other steps"
    )
    parser.add_argument("--networks", nargs="+", help="of those in the record: all that are not given")
    arguments = parser.parse_args()
    params = validate(ROOT / "params.yaml", read_yaml(ROOT / "params.yaml"), TrainParams)
    with tempfile.TemporaryDirectory() as folder:
        data = _prepare_data(Path(folder))
        cases = _cases(params)
        asked = {name: cases[name] for name in arguments.networks or cases}
        figures = _measure(Path(folder), asked, arguments.rounds, arguments.steps)
    now = circumstances(PACKAGES)
    measured = {name: {"commit": now["commit"], "rounds": arguments.rounds, **of} for name, of in figures["networks"].items()}
    networks = record_so_far("train", now).get("networks", {}) | measured
    figures["networks"] = {name: networks[name] for name in cases if name in networks}
    options = f" --networks {' '.join(arguments.networks)}" if arguments.networks else ""
    record = {
        "command": f"python -m benchmarks.train --rounds {arguments.rounds} --steps {arguments.steps}{options}",
        "data": data,
        "images_per_slice": arguments.steps * IMAGES_PER_STEP,
        "threads": params.threads,
        **now,
        **figures,
    }
    write_json(ROOT / "benchmarks/train.json", record)
    write_text(ROOT / "benchmarks/train.md", _page(record))
    _plot(record, ROOT / "benchmarks/train.png")
    print(_page(record))


def _prepare_data(folder: Path) -> str:
    """Put the training images under `folder`, as arrays and as torchvision wants them; return what they are."""
    built = ROOT / "data/dataset/train"
    if built.is_dir():
        images_NCHW, labels_N = load_split(built)
        named = f"data/dataset/train, {len(labels_N):,} images"
    else:
        rng = np.random.default_rng(0)
        images_NCHW = rng.integers(0, 256, (NUM_IMAGES, 1, 28, 28), dtype=np.uint8)
        labels_N = rng.integers(0, 10, NUM_IMAGES)
        named = f"random, {NUM_IMAGES:,} images of 28×28"
    write_split(folder / "split", len(labels_N), (1, 28, 28), [(images_NCHW, labels_N)])
    write_for_torchvision(folder / "split", images_NCHW[:, 0], labels_N)
    rng = np.random.default_rng(1)
    colour_NCHW = rng.integers(0, 256, (len(labels_N), *COLOUR_SHAPE_CHW), dtype=np.uint8)
    write_split(folder / "colour", len(labels_N), COLOUR_SHAPE_CHW, [(colour_NCHW, labels_N)])
    return named


def _cases(params: TrainParams) -> dict[str, Case]:
    """By name; the default network has its own recipe, and is also trained on images in colour, where it is alone."""
    cnn = params.model_copy(update=TUTORIAL_RECIPE | {"network": "cnn", "batch_size": 256})
    sgd = {"optimizer": "sgd", "momentum": 0.9, "nesterov": False}
    mlp = params.model_copy(update=TUTORIAL_RECIPE | sgd | {"network": "mlp", "batch_size": 32})
    own = params.model_copy(update={"epochs": 1, "augment": resolve_augment(params.augment, HFLIP_INVARIANT)})
    in_colour = f"{params.network}, images of 32×32 in colour"
    return {"cnn": Case(cnn), "mlp": Case(mlp), params.network: Case(own), in_colour: Case(own, "colour", ("ours",))}


def _measure(folder: Path, cases: dict[str, Case], rounds: int, num_steps: int) -> dict[str, Any]:
    num_images = num_steps * IMAGES_PER_STEP
    per_image: dict[tuple[str, str], list[float]] = {}
    ceilings: list[dict[str, float]] = []
    with ExitStack() as stack:
        runs = {
            (name, system): stack.enter_context(
                Slices(
                    {
                        "system": system,
                        "params": case.params.model_dump(),
                        "folder": str(folder / case.split),
                        "num_steps": -(-num_images // case.params.batch_size),
                    }
                )
            )
            for name, case in cases.items()
            for system in case.systems
        }
        ceiling = stack.enter_context(
            Slices({"system": "ceiling", "params": {"threads": next(iter(cases.values())).params.threads}})
        )
        flops = {name: runs[name, "ours"].ask("flops") for name in cases}
        for run in runs.values():
            run.ask("slice")  # the first steps set up kernels and loading processes
        for _ in range(rounds):
            ceilings.append(ceiling.ask("slice"))
            for (name, system), run in runs.items():
                batch_size = cases[name].params.batch_size
                seconds = run.ask("slice") / (-(-num_images // batch_size) * batch_size)
                per_image.setdefault((name, system), []).append(seconds)
        peaks = {key: run.ask("peak") for key, run in runs.items()}
    return {
        "ceiling_GFLOP_per_s": {name: spread([measured[name] for measured in ceilings]) for name in ceilings[0]},
        "networks": {
            name: {
                "batch_size": case.params.batch_size,
                "MFLOP_per_image": round(flops[name] / 1e6, 3),
                "systems": {
                    system: _figures(per_image[name, system], flops[name], peaks[name, system]) for system in case.systems
                },
                "ours_times_faster_than": {
                    system: spread(_ratios(per_image[name, system], per_image[name, "ours"]))
                    for system in case.systems
                    if system != "ours"
                },
            }
            for name, case in cases.items()
        },
        "wanted_times_faster_than_tutorial": WANTED,
    }


def _figures(per_image: list[float], flops_per_image: float, peak_MiB: float) -> dict[str, Any]:
    """Of one system and network; rates are those of the median slice."""
    median = statistics.median(per_image)
    return {
        "seconds_per_epoch": spread([seconds * NUM_EPOCH_IMAGES for seconds in per_image]),
        "images_per_s": round(1 / median),
        "GFLOP_per_s": round(flops_per_image / median / 1e9, 1),
        "peak_MiB": round(peak_MiB),
    }


def _ratios(theirs: list[float], ours: list[float]) -> list[float]:
    """Pair by pair: of the same round."""
    return [slow / fast for slow, fast in zip(theirs, ours, strict=True)]


def _page(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    facts = [
        "the command and the commit are those of the networks measured last",
        f"images: {record['data']}; {record['images_per_slice']:,} in a slice, {record['threads']} threads",
    ]
    lines = [
        *page_head("Speed of the training loop", "train", record, facts),
        "",
        "![Seconds per epoch and rates, by network and system](train.png)",
        "",
        f"An epoch is {NUM_EPOCH_IMAGES:,} training images, without validation, worked out from the slices: median, least to",
        "greatest. Times faster: of the two slices of the same round, median, least to greatest.",
        "",
        "- **tutorial**: transforms of every sample in a DataLoader, float32, Adam (the MLP: SGD with momentum), the loss read",
        "  at every step;",
        "- **torchvision + workers**: torchvision's data set and two loading processes, after PyTorch's MNIST example;",
        "- **tensors + DataLoader**: all images normalised in memory, then a DataLoader;",
        "- **ours**: `classifier/training/loop.py` with `precision: auto`; the default network with the recipe of",
        "  `params.yaml`, where the other systems have Adam. In colour it has images of the shape of CIFAR-10's, which are",
        "  random.",
    ]
    for network, figures in record["networks"].items():
        lines += ["", f"## {network}, {figures['batch_size']} images a step, {figures['MFLOP_per_image']} MFLOP an image", ""]
        lines += [*_network_table(figures), "", f"n = {figures['rounds']} rounds in turn; commit {figures['commit']}."]
    wanted = ", ".join(f"{times} on `{network}`" for network, times in record["wanted_times_faster_than_tutorial"].items())
    lines += [
        "",
        f"Wanted, times faster than the tutorial at least: {wanted}. FLOPs are those of products and convolutions,",
        "forward and backward. The peak memory of a process holds mapped files too; what loading processes have for themselves",
        "is added.",
        "",
        "## What the machine does at best, GFLOP/s",
        "",
        "| operation | median | least to greatest |",
        "|---|---|---|",
        *(f"| {name} | {row['median']:.0f} | {row['min']:.0f} to {row['max']:.0f} |" for name, row in _ceiling(record)),
    ]
    return "\n".join(lines) + "\n"


def _network_table(figures: dict[str, Any]) -> list[str]:
    faster = figures["ours_times_faster_than"] | {"ours": None}
    rows = [
        f"| {system} | {ranged(of['seconds_per_epoch'])} | {of['images_per_s']:,} | {of['GFLOP_per_s']:.0f} "
        f"| {of['peak_MiB']} | {ranged(faster[system]) if faster[system] else ''} |"
        for system, of in figures["systems"].items()
    ]
    return ["| | s/epoch | images/s | GFLOP/s | peak MiB | ours is times faster |", "|---|---|---|---|---|---|", *rows]


def _ceiling(record: dict[str, Any]) -> list[tuple[str, dict[str, float]]]:
    return list(record["ceiling_GFLOP_per_s"].items())


def _plot(record: dict[str, Any], path: Path) -> None:
    """Seconds per epoch by network and system, with their range; and the rates beside those of a matrix product."""
    networks = {name: of for name, of in record["networks"].items() if len(of["systems"]) > 1}
    places = np.arange(len(networks))
    with styled():
        figure = Figure(figsize=(10, 4))
        seconds, rates = figure.subplots(1, 2)
        for number, (system, colour) in enumerate(COLOURS.items()):
            rows = [of["systems"][system] for of in networks.values()]
            at = places + 0.2 * (number - 1.5)
            epochs = [row["seconds_per_epoch"] for row in rows]
            medians = [row["median"] for row in epochs]
            below = [row["median"] - row["min"] for row in epochs]
            above = [row["max"] - row["median"] for row in epochs]
            seconds.bar(at, medians, 0.19, yerr=[below, above], color=colour, label=system, ecolor="black", capsize=2)
            rates.bar(at, [row["GFLOP_per_s"] for row in rows], 0.19, color=colour)
        products = ("matrix product, float32", "matrix product, bfloat16")
        ceilings = [record["ceiling_GFLOP_per_s"][product]["median"] for product in products]
        for product, ceiling, style in zip(products, ceilings, ("--", "-"), strict=True):
            rates.axhline(ceiling, color="black", linestyle=style, linewidth=1, label=product)
        for axes, title in ((seconds, f"Seconds per epoch of {NUM_EPOCH_IMAGES:,} images"), (rates, "GFLOP/s")):
            axes.set_title(title)
            axes.set_xticks(places, list(networks))
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("")
            axes.grid(axis="x", visible=False)
            axes.legend(fontsize=8, loc="upper left")
        seconds.set_ylim(1, 200)
        rates.set_ylim(top=8 * max(ceilings))  # room for the legend
        save_png(figure, path)


if __name__ == "__main__":
    main()
