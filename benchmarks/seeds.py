"""How far the default setting's figures lie apart when nothing but the seed differs: split, weights, order, flips.

    python -m benchmarks.seeds

Runs the stages of the last commit in a temporary clone, once for each seed. Rewrites benchmarks/seeds.json and
benchmarks/seeds.md.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from benchmarks.record import ROOT, circumstances, page_head
from classifier.files import write_json, write_text
from classifier.params.base import read_yaml

PACKAGES = ("torch",)
METRICS = ("test_accuracy", "test_loss", "test_macro_f1")


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description="Spread of the default setting's figures over seeds.")
    parser.add_argument("--seeds", type=int, default=5, help="how many seeds, from 0 on")
    num_seeds = parser.parse_args().seeds
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "project"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        setting = read_yaml(clone / "params.yaml")
        _run(clone, "download")
        _run(clone, "convert")
        runs = [_measure(clone, seed) for seed in range(num_seeds)]
    del setting["seed"]
    record: dict[str, Any] = {
        "command": f"python -m benchmarks.seeds --seeds {num_seeds}",
        **circumstances(PACKAGES),
        "setting": setting,
        "seconds": [run["seconds"] for run in runs],
        **{name: [run[name] for run in runs] for name in METRICS},
    }
    write_json(ROOT / "benchmarks/seeds.json", record)
    write_text(ROOT / "benchmarks/seeds.md", _page(record))
    print(_page(record))


def _measure(clone: Path, seed: int) -> dict[str, float]:
    editor = YAML()
    values = editor.load(clone / "params.yaml")
    values["seed"] = seed
    editor.dump(values, clone / "params.yaml")
    _run(clone, "build")
    seconds = _run(clone, "train")
    _run(clone, "evaluate")
    metrics: dict[str, float] = json.loads((clone / "metrics/test.json").read_text(encoding="utf-8"))
    return metrics | {"seconds": round(seconds, 1)}


def _run(clone: Path, stage: str) -> float:
    """Run a stage in a process of its own; return its seconds, imports included."""
    began = time.monotonic()
    environment = {**os.environ, "DVC_ROOT": str(ROOT)}  # the files that were downloaded before
    subprocess.run([sys.executable, "-m", f"stages.{stage}"], cwd=clone, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def _page(record: dict[str, Any]) -> str:
    num_seeds, setting = len(record["seconds"]), record["setting"]
    lines = page_head("The default setting over seeds", "seeds", record)
    lines += [
        "",
        f"The setting of `params.yaml` (network `{setting['network']}`, {setting['epochs']} epochs) with the seeds 0 to "
        f"{num_seeds - 1}; `±` is the standard deviation.",
        "",
        "| figure | mean ± std | each seed |",
        "|---|---|---|",
    ]
    for name in (*METRICS, "seconds"):
        values = record[name]
        digits = 1 if name == "seconds" else 4
        each = ", ".join(f"{value:.{digits}f}" for value in values)
        label = "seconds of `train`, imports included" if name == "seconds" else name
        lines.append(f"| {label} | {statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f} | {each} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
