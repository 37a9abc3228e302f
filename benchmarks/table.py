"""How fast CSV tables are written and read, beside pandas, and what the stages `convert` and `build` take: on Linux,

    DATASET_MIRROR=… python -m benchmarks.table

With a mirror the images are Fashion-MNIST's; without one they are random, of the same number and size. Rewrites
benchmarks/table.json and benchmarks/table.md.
"""

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.record import ROOT, circumstances, page_head, spread
from classifier.common.files import write_json, write_text
from classifier.decoding.idx import read_idx
from classifier.images.arrays import Block
from classifier.images.schema import RawDescription
from classifier.images.table import read_table, write_table
from classifier.images.table_header import column_names

SIDE = 28
NUM_PIXELS = SIDE * SIDE
NUM_CLASSES = 10
NUM_IMAGES = {"train": 60_000, "test": 10_000}
FILES = {
    "train_images": "train-images-idx3-ubyte.gz",
    "train_labels": "train-labels-idx1-ubyte.gz",
    "test_images": "t10k-images-idx3-ubyte.gz",
    "test_labels": "t10k-labels-idx1-ubyte.gz",
}
PACKAGES = ("numpy", "pandas", "scikit-learn")
STAGE_IMPORTS = {"convert": "stages.convert", "build": "stages.build"}
# Run from a small process: the peak memory that Linux tells of a process begins with that of the one that started it.
LAUNCHER = """
import json, os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
print(json.dumps([time.perf_counter() - start, usage.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)]))
"""


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description="Speed of CSV tables and of the stages convert and build.")
    parser.add_argument("--rounds", type=int, default=7, help="repeats of everything, one after the other in turn")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        data = _make_raw(Path(folder))
        stages = _measure_stages(Path(folder), rounds)
        tables = _measure_tables(Path(folder), rounds)
    record = {
        "command": f"python -m benchmarks.table --rounds {rounds}",
        "data": data,
        "rounds": rounds,
        **circumstances(PACKAGES),
        "seconds": tables | {name: figures["seconds"] for name, figures in stages.items()},
        "peak_MiB": {name: figures["peak_MiB"] for name, figures in stages.items()},
        "times_faster_by_median": {
            "writing than pandas.to_csv": _ratio(tables, "write, pandas", "write, ours"),
            "reading than pandas.read_csv": _ratio(tables, "read, pandas", "read, ours"),
            "reading than pandas.read_csv(dtype=uint8)": _ratio(tables, "read, pandas uint8", "read, ours"),
        },
    }
    write_json(ROOT / "benchmarks/table.json", record)
    write_text(ROOT / "benchmarks/table.md", _page(record))
    print(_page(record))


def _make_raw(root: Path) -> str:
    """Fill data/raw under `root` and add what a stage needs to run there; return what the images are."""
    raw = root / "data/raw"
    raw.mkdir(parents=True)
    mirror = os.environ.get("DATASET_MIRROR")
    rng = np.random.default_rng(0)
    for role, name in FILES.items():
        if mirror:
            shutil.copy(Path(mirror) / "fashion_mnist" / name, raw)
            continue
        split, kind = role.split("_")
        shape = (NUM_IMAGES[split], SIDE, SIDE) if kind == "images" else (NUM_IMAGES[split],)
        content = rng.integers(0, 256 if kind == "images" else NUM_CLASSES, shape, dtype=np.uint8).tobytes()
        header = bytes([0, 0, 8, len(shape)]) + np.array(shape, dtype=">u4").tobytes()
        (raw / name).write_bytes(gzip.compress(header + content, compresslevel=1))
    classes = [str(label) for label in range(NUM_CLASSES)]
    description = RawDescription(dataset="fashion_mnist", format="idx", classes=classes, hflip_invariant=True, files=FILES)
    write_json(raw / "raw.json", description.model_dump())
    for name in ("params.yaml", "dvc.yaml", "requirements.txt"):
        shutil.copy(ROOT / name, root)
    return "Fashion-MNIST, 70,000 images" if mirror else "random, 70,000 images of 28×28"


def _measure_stages(root: Path, rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Seconds and MiB of each stage as DVC runs it, and seconds beyond what its imports alone take."""
    figures: dict[str, list[float]] = {}
    for _ in range(rounds):
        for stage, imports in STAGE_IMPORTS.items():
            import_seconds, _ = _run(root, "-c", f"import {imports}")
            seconds, peak = _run(root, "-m", f"stages.{stage}")
            for name, value in (("", seconds), (" beyond imports", seconds - import_seconds), (" peak", peak)):
                figures.setdefault(stage + name, []).append(value)
    return {
        f"{stage}{name}": {"seconds": spread(figures[stage + name]), "peak_MiB": spread(figures[f"{stage} peak"])}
        for stage in STAGE_IMPORTS
        for name in ("", " beyond imports")
    }


def _run(root: Path, *arguments: str) -> tuple[float, float]:
    """Seconds and peak MiB of a Python of its own in `root`."""
    command = [sys.executable, "-I", "-S", "-c", LAUNCHER, sys.executable, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=root, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    seconds, peak, status = json.loads(done.stdout)
    assert status == 0, arguments
    return seconds, peak


def _measure_tables(root: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Seconds to write and to read both tables; every result is compared before it counts."""
    blocks = {split: _load(root / "data/raw", split) for split in NUM_IMAGES}
    frames = {split: _frame(block) for split, block in blocks.items()}
    ours, theirs = root / "ours", root / "theirs"
    ours.mkdir()
    theirs.mkdir()
    dtypes = dict.fromkeys(column_names(NUM_PIXELS), "uint8") | {"label": "int64"}
    jobs: dict[str, Callable[[str], Any]] = {
        "write, pandas": lambda split: frames[split].to_csv(theirs / split, index=False),
        "write, ours": lambda split: write_table(ours / split, NUM_PIXELS, [blocks[split]]),
        "read, pandas": lambda split: pd.read_csv(ours / split),
        "read, pandas uint8": lambda split: pd.read_csv(ours / split, dtype=dtypes),
        "read, ours": lambda split: _read(ours / split, NUM_IMAGES[split]),
    }
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, job in jobs.items():
            start = time.perf_counter()
            results = {split: job(split) for split in NUM_IMAGES}
            seconds[name].append(time.perf_counter() - start)
            for split, (pixels_NP, labels_N) in blocks.items():
                if name == "write, ours":
                    assert (ours / split).read_bytes() == (theirs / split).read_bytes()
                elif name == "read, ours":
                    assert np.array_equal(results[split][0], pixels_NP) and np.array_equal(results[split][1], labels_N)
                elif name.startswith("read"):
                    assert results[split].equals(frames[split].astype(results[split].dtypes))
    return {name: spread(values) for name, values in seconds.items()}


def _load(raw: Path, split: str) -> Block:
    blocks = list(read_idx(raw / FILES[f"{split}_images"], raw / FILES[f"{split}_labels"], NUM_CLASSES))
    images_N1HW, labels_N = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return images_N1HW.reshape(-1, NUM_PIXELS), labels_N


def _frame(block: Block) -> pd.DataFrame:
    pixels_NP, labels_N = block
    names = column_names(NUM_PIXELS)
    return pd.concat([pd.Series(labels_N, name=names[0]), pd.DataFrame(pixels_NP, columns=names[1:])], axis=1)


def _read(path: Path, num_rows: int) -> Block:
    """The whole table in memory, as pandas gives it."""
    blocks = list(read_table(path, NUM_PIXELS, NUM_CLASSES, num_rows))
    return np.concatenate([block[0] for block in blocks]), np.concatenate([block[1] for block in blocks])


def _ratio(tables: dict[str, dict[str, float]], slow: str, fast: str) -> float:
    return round(tables[slow]["median"] / tables[fast]["median"], 2)


def _page(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    data = f"data: {record['data']}, as one table of 60,000 rows and one of 10,000"
    lines = [
        *page_head("Writing and reading tables", "table", record, [data]),
        f"- {record['rounds']} rounds, each measuring everything once, in turn",
        "",
        "| seconds | least | median | greatest |",
        "|---|---|---|---|",
        *_rows(record["seconds"]),
        "",
        "| peak memory, MiB | least | median | greatest |",
        "|---|---|---|---|",
        *_rows({stage: record["peak_MiB"][stage] for stage in STAGE_IMPORTS}),
        "",
        "| times faster, by median | |",
        "|---|---|",
        *(f"| {name} | {ratio} |" for name, ratio in record["times_faster_by_median"].items()),
        "",
        "The tables written are byte-identical to those of `pandas.DataFrame.to_csv(index=False)`, and the arrays read are",
        "equal to what was written: both are compared in every round. A stage's time includes the start of Python, the imports",
        "and bringing the files to the disk; “beyond imports” is that less the time of a Python that only imports the same.",
    ]
    return "\n".join(lines) + "\n"


def _rows(table: dict[str, dict[str, float]]) -> list[str]:
    return [f"| {name} | {figures['min']} | {figures['median']} | {figures['max']} |" for name, figures in table.items()]


if __name__ == "__main__":
    main()
