"""What the named settings reach in what time, and how far their figures lie apart over seeds: split, weights, order, flips.

    python -m benchmarks.seeds

Runs the stages of the last commit in a temporary clone, for each seed every setting in turn, and before each training a slice
of the tutorial's loop. Rewrites these settings in benchmarks/seeds.json and benchmarks/seeds.md; the others stay there as they
are, if they come from the same machine and versions.
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

from ruamel.yaml import YAML

from benchmarks.record import ROOT, circumstances, page_head, record_so_far
from benchmarks.train import IMAGES_PER_STEP, NUM_EPOCH_IMAGES, TUTORIAL_RECIPE
from benchmarks.train_slices import Slices
from classifier.common.files import write_json, write_text
from classifier.common.params import read_yaml, validate
from classifier.training.params import TrainParams
from tools.experiments.named import EXPERIMENTS_FILE, read_experiments

SETTINGS = ["one-epoch", "quick", "default", "accurate", "best"]
PACKAGES = ("torch", "torchvision")
METRICS = ("test_accuracy", "test_loss", "test_macro_f1")
SECONDS, TUTORIAL_EPOCHS = "train_seconds", "tutorial_epochs"
STEPS_IN_A_SLICE = 40


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description="Figures and seconds of named settings over seeds.")
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds, from 0 on: two or more")
    parser.add_argument("--experiments", nargs="+", default=SETTINGS, help="names in experiments.yaml")
    arguments = parser.parse_args()
    if arguments.seeds < 2:
        parser.error("--seeds: needs two or more, for their deviation")
    now = circumstances(PACKAGES)  # the record itself, once written, is a change to the commit
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "project"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        listed = read_experiments(clone / EXPERIMENTS_FILE)
        overrides = {name: listed[name].overrides for name in arguments.experiments}
        setting = read_yaml(clone / "params.yaml")
        _run(clone, "stages.download")
        _run(clone, "stages.convert")
        _run(clone, "stages.build")
        with Slices(_tutorial(setting, clone)) as tutorial:
            runs: list[dict[str, dict[str, float]]] = []
            for seed in range(arguments.seeds):
                runs.append(
                    {name: _measure(clone, setting | changed | {"seed": seed}, tutorial) for name, changed in overrides.items()}
                )
                if seed:  # one run has no deviation
                    _write(now, overrides, setting, runs, list(listed))
    print((ROOT / "benchmarks/seeds.md").read_text(encoding="utf-8"))


def _write(
    now: dict[str, Any],
    overrides: dict[str, Any],
    setting: dict[str, Any],
    runs: list[dict[str, dict[str, float]]],
    names: list[str],
) -> None:
    """The record of the runs so far: one that is broken off leaves the seeds that it has."""
    measured = {
        name: {
            "commit": now["commit"],
            "overrides": changed,
            "setting": {key: value for key, value in (setting | changed).items() if key != "seed"},
            **{figure: [run[name][figure] for run in runs] for figure in (*METRICS, SECONDS, TUTORIAL_EPOCHS)},
        }
        for name, changed in overrides.items()
    }
    command = f"python -m benchmarks.seeds --seeds {len(runs)} --experiments {' '.join(overrides)}"
    before = record_so_far("seeds", now).get("experiments", {})
    record = {"command": command, **now, "experiments": _in_order(before | measured, names)}
    write_json(ROOT / "benchmarks/seeds.json", record)
    write_text(ROOT / "benchmarks/seeds.md", _page(record))


def _in_order(experiments: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """By experiments.yaml; what is not in it any more goes."""
    return {name: experiments[name] for name in names if name in experiments}


def _tutorial(setting: dict[str, Any], clone: Path) -> dict[str, Any]:
    """The settings of slices of the tutorial's loop over its own network."""
    params = setting | TUTORIAL_RECIPE | {"network": "cnn", "batch_size": IMAGES_PER_STEP}
    return {
        "system": "tutorial",
        "params": validate(clone / "params.yaml", params, TrainParams).model_dump(),
        "folder": str(clone / "data/dataset/train"),
        "num_steps": STEPS_IN_A_SLICE,
    }


def _measure(clone: Path, params: dict[str, Any], tutorial: Slices) -> dict[str, float]:
    """Figures of one training, its seconds, and how many epochs of the tutorial's loop would take as long."""
    with (clone / "params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(params, file)
    _run(clone, "stages.build")
    seconds_of_an_epoch = tutorial.ask("slice") / (STEPS_IN_A_SLICE * IMAGES_PER_STEP) * NUM_EPOCH_IMAGES
    seconds = float(_run(clone, "benchmarks.timed_train").splitlines()[-1])
    _run(clone, "stages.evaluate")
    metrics: dict[str, float] = json.loads((clone / "metrics/test.json").read_text(encoding="utf-8"))
    return metrics | {SECONDS: round(seconds, 1), TUTORIAL_EPOCHS: round(seconds / seconds_of_an_epoch, 2)}


def _run(clone: Path, module: str) -> str:
    """Run `module` in a process of its own; return what it printed."""
    environment = {**os.environ, "DVC_ROOT": str(ROOT)}  # the files that were downloaded before
    command = [sys.executable, "-m", module]
    return subprocess.run(command, cwd=clone, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def _page(record: dict[str, Any]) -> str:
    experiments = record["experiments"]
    lines = [
        *page_head("The named settings over seeds", "seeds", record),
        "",
        "The seeds are 0 and on; `±` is the standard deviation. The seconds are those of the training: from the first look at",
        "the data set to the kept weights on the disk, validation included, imports left out. Beside them, how many epochs of",
        f"the tutorials' loop ({NUM_EPOCH_IMAGES:,} images, their own network) would take as long, from a slice before each",
        "training. The command is that of the last settings measured; each stands beside its commit.",
        "",
        "| setting | differs from params.yaml in | test accuracy | test loss | macro-F1 | seconds | tutorial's epochs "
        "| commit |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, figures in experiments.items():
        changed = ", ".join(f"`{key}: {_shown(value)}`" for key, value in figures["overrides"].items()) or "nothing"
        digits = {SECONDS: 1, TUTORIAL_EPOCHS: 1}
        cells = [_mean(figures[figure], digits.get(figure, 4)) for figure in (*METRICS, SECONDS, TUTORIAL_EPOCHS)]
        lines.append(f"| {name} | {changed} | {' | '.join(cells)} | {figures['commit']} |")
    lines += ["", "| setting | test accuracy of each seed | seconds of each seed |", "|---|---|---|"]
    for name, figures in experiments.items():
        accuracies = ", ".join(f"{value:.4f}" for value in figures["test_accuracy"])
        seconds = ", ".join(f"{value:.1f}" for value in figures[SECONDS])
        lines.append(f"| {name} | {accuracies} | {seconds} |")
    return "\n".join(lines) + "\n"


def _mean(values: list[float], digits: int) -> str:
    return f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"


def _shown(value: object) -> str:
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)


if __name__ == "__main__":
    main()
