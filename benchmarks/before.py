"""The named settings beside those of an earlier commit, by seed: test accuracy, processor and wall seconds of the training.

    DATASET_MIRROR=… python -m benchmarks.before --before d7d7a93 --experiments quick default

For each seed all settings of both commits take turns, in clones, each training in a process of its own: its start and imports
count. Rewrites these settings in benchmarks/before.json and benchmarks/before.md.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from ruamel.yaml import YAML

from benchmarks.record import ROOT, circumstances, page_head, ranged, record_so_far, spread, timed
from classifier.common.files import write_json, write_text
from classifier.common.params import read_yaml
from tools.experiments.named import EXPERIMENTS_FILE

WANTED = {"quick": 0.75, "default": 0.75, "best": 0.65}
"""Of the earlier commit's processor seconds, at most."""


def main() -> None:
    """Measure, and write the record after each seed."""
    parser = argparse.ArgumentParser(description="Accuracy and seconds beside an earlier commit, over seeds.")
    parser.add_argument("--before", default="d7d7a93", help="a commit")
    parser.add_argument("--experiments", nargs="+", default=["quick", "default"], help="names in experiments.yaml of both")
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds, from 0 on")
    parser.add_argument("--seeds-before", type=int, help="how many of them the earlier commit trains with; all unless given")
    parser.add_argument("--threads", type=int, default=2, help="the param `threads`")
    arguments = parser.parse_args()
    num_seeds = {
        "now": arguments.seeds,
        "before": arguments.seeds if arguments.seeds_before is None else arguments.seeds_before,
    }
    now = circumstances(("torch", "torchvision"))
    rows = record_so_far("before", now).get("settings", {})
    with tempfile.TemporaryDirectory() as folder:
        clones = {"now": Path(folder) / "now", "before": Path(folder) / "before"}
        for clone in clones.values():
            subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        subprocess.run(["git", "checkout", "--quiet", arguments.before], cwd=clones["before"], check=True)
        measured: dict[str, Any] = {
            name: {"threads": arguments.threads} | {side: [] for side in clones} for name in arguments.experiments
        }
        for seed in range(arguments.seeds):
            for name, sides in measured.items():
                for side in [side for side, number in num_seeds.items() if seed < number]:
                    sides[side].append(training(clones[side], name, seed, arguments.threads))
                    print(name, side, seed, sides[side][-1], flush=True)
            options = f"--before {arguments.before} --seeds {arguments.seeds} --threads {arguments.threads}"
            record = {
                "command": f"python -m benchmarks.before {options}",
                "before": arguments.before,
                **now,
                "settings": rows | measured,
            }
            write_json(ROOT / "benchmarks/before.json", record)
            write_text(ROOT / "benchmarks/before.md", page(record))
    print(page(record))


def training(clone: Path, name: str, seed: int, threads: int) -> dict[str, float]:
    """Processor and wall seconds of one training, and its test accuracy."""
    changed = read_yaml(clone / EXPERIMENTS_FILE)[name].get("overrides", {})
    subprocess.run(["git", "checkout", "--quiet", "params.yaml"], cwd=clone, check=True)
    params = read_yaml(clone / "params.yaml") | changed | {"seed": seed, "threads": threads}
    with (clone / "params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(params, file)
    for stage in ("download", "convert", "build"):
        run(clone, f"stages.{stage}")
    if (clone / "stages/weights.py").exists():
        run(clone, "stages.weights")
    wall, processor = run(clone, "stages.train")
    run(clone, "stages.evaluate")
    accuracy = json.loads((clone / "metrics/test.json").read_text(encoding="utf-8"))["test_accuracy"]
    return {"processor": processor, "wall": wall, "accuracy": accuracy}


def run(clone: Path, module: str) -> tuple[float, float]:
    """Wall and processor seconds of `module`, with the code of the clone."""
    wall, processor, _ = timed([sys.executable, "-m", module], clone)
    return wall, processor


def page(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    before = record["before"]
    facts = ["`±` is the standard deviation over the seeds; ratios are by seed, median (least to greatest)"]
    lines = [
        *page_head(f"Beside {before}", "before", record, facts),
        "",
        f"| setting | threads | seeds | test accuracy | {before} | processor s | {before} | ratio | wanted | wall, ratio |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name, sides in record["settings"].items():
        now, earlier = sides["now"], sides["before"]
        ratio = {
            kind: ranged(spread([one[kind] / other[kind] for one, other in zip(now, earlier, strict=False)]))
            for kind in ("processor", "wall")
        }
        cells = [name, str(sides["threads"]), f"{len(now)}, {len(earlier)}", *(accuracy(runs) for runs in (now, earlier))]
        cells += [f"{mean(run['processor'] for run in runs):.0f}" for runs in (now, earlier)]
        cells += [ratio["processor"], str(WANTED.get(name, "")), ratio["wall"]]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def accuracy(runs: list[dict[str, float]]) -> str:
    """Mean and deviation, in percent."""
    values = [100 * run["accuracy"] for run in runs]
    return f"{mean(values):.2f} ± {stdev(values):.2f} %" if len(values) > 1 else f"{values[0]:.2f} %"


if __name__ == "__main__":
    main()
