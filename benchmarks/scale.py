"""Whether seconds an image and memory stay the same as the data grow to millions of images: on Linux,

    python -m benchmarks.scale

Writes random data itself, 60,000 training images times each of the sizes, as idx files and as folders of PNGs, and runs each
stage in a process of its own. Needs 40 GB of disk for size 100, a tenth of that for 10. Rewrites benchmarks/scale.json, .md
and .png.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, NullFormatter
from ruamel.yaml import YAML

from benchmarks.record import ROOT, circumstances
from benchmarks.scale_data import SIDE, write_folder, write_idx
from benchmarks.scale_page import microseconds, page
from benchmarks.scale_width import SHAPES_CHW, measured_width
from benchmarks.watched import Watched, watched
from classifier.figure_style import BLUE, GREEN, GREY, VERMILION, save_png, styled
from classifier.files import write_json, write_text

NUM_TRAIN, NUM_TEST = 60_000, 10_000
LARGE_BATCHES, NEIGHBOUR_BATCHES = 100, 1
"""Batches that are cut as of a file larger than memory: with requests, and without, where each takes seconds."""
HASHED_BYTES = 10**9
PACKAGES = ("numpy", "pandas", "pillow", "torch", "dvc")
WANTED = {"seconds an image, times those of size 1, at most": 1.25, "anonymous memory, bytes an image more, at most": 78.4}
"""A tenth of an image's 784 bytes."""


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description="Seconds an image and memory, from 60,000 to millions of images.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 10, 30, 100], help="of idx data, times 60,000 images")
    parser.add_argument("--folders", type=int, nargs="*", default=[1, 10], help="the same of folders of PNGs")
    parser.add_argument("--repeats", type=int, default=3, help="of wide images, and of what takes seconds")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        record = {
            "command": _command(arguments),
            **circumstances(PACKAGES),
            "memory_GiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            "idx": [_measured_idx(Path(folder) / "idx", size, arguments.repeats) for size in arguments.sizes],
            "folder": [_measured_folder(Path(folder) / "folder", size) for size in arguments.folders],
            "widths": {"×".join(map(str, shape)): measured_width(shape, arguments.repeats) for shape in SHAPES_CHW},
            "dvc": _measured_dvc(Path(folder)),
            "wanted": WANTED,
        }
    write_json(ROOT / "benchmarks/scale.json", record)
    write_text(ROOT / "benchmarks/scale.md", page(record))
    _plot(record, ROOT / "benchmarks/scale.png")
    print(page(record))


def _command(arguments: argparse.Namespace) -> str:
    lists = {"sizes": arguments.sizes, "folders": arguments.folders, "repeats": [arguments.repeats]}
    return " ".join(["python -m benchmarks.scale", *(f"--{name} {' '.join(map(str, of))}" for name, of in lists.items())])


def _measured_idx(root: Path, size: int, repeats: int) -> dict[str, Any]:
    """Both stages and the training input; of size 1, which takes but seconds, the quickest of `repeats`."""
    rows = {"train": size * NUM_TRAIN, "test": NUM_TEST}
    root.mkdir()
    write_idx(root / "data/raw", rows)
    _write_params(root, dataset="fashion_mnist")
    _tell(f"idx files, size {size}")
    times = repeats if size == 1 else 1
    stages = {stage: _least([_stage(root, stage) for _ in range(times)]) for stage in ("convert", "build")}
    return _summed_up(root, size, rows, stages | _inputs(root))


def _measured_folder(root: Path, size: int) -> dict[str, Any]:
    """The three stages, once: what they make is as large as from idx files."""
    rows = {"train": size * NUM_TRAIN, "test": NUM_TEST}
    root.mkdir()
    write_folder(root / "pictures", rows)
    _write_params(root, dataset="folder", source=str(root / "pictures"))
    _tell(f"folder, size {size}")
    return _summed_up(root, size, rows, {stage: _stage(root, stage) for stage in ("download", "convert", "build")})


def _summed_up(root: Path, size: int, rows: dict[str, int], steps: dict[str, Any]) -> dict[str, Any]:
    """The figures, and how large the files are; then the data are deleted."""
    sizes = {"csv": "csv/train.csv", "arrays": "dataset/train/images.npy"}
    megabytes = {name: round((root / "data" / path).stat().st_size / 1e6) for name, path in sizes.items()}
    shutil.rmtree(root)
    return {"size": size, "images": sum(rows.values()), "MB": megabytes, **steps}


def _write_params(root: Path, **params: Any) -> None:
    """What a stage needs to run in `root`."""
    editor = YAML()
    values = editor.load(ROOT / "params.yaml")
    values.update(params)
    editor.dump(values, root / "params.yaml")
    for name in ("dvc.yaml", "requirements.txt"):
        shutil.copy(ROOT / name, root)


def _stage(root: Path, stage: str) -> dict[str, float]:
    """Seconds beyond those of a process that only imports the stage, and the peaks of its memory."""
    only_imports = _python(root, "-c", f"import stages.{stage}")
    found = _python(root, "-m", f"stages.{stage}")
    _tell(f"  {stage}: {found.seconds:.1f} s, {found.peak_MiB['anonymous']:.0f} MiB")
    return {
        "seconds": found.seconds - only_imports.seconds,
        "processor": found.processor_seconds - only_imports.processor_seconds,
        **_peaks(found),
    }


def _inputs(root: Path) -> dict[str, Any]:
    """An epoch of batches while the file is in memory, and after it was thrown out; and a few batches as of a larger file."""
    file = root / "data/dataset/train/images.npy"
    plans = {
        "input, warm": ("plain", 0, False),
        "input, cold": ("plain", 0, True),
        "asked, cold": ("asked", LARGE_BATCHES, True),
        "neighbours, cold": ("neighbours", NEIGHBOUR_BATCHES, True),
    }
    results = {}
    for name, (how, num_batches, is_cold) in plans.items():
        if is_cold:
            _throw_out(file)
        found = _python(root, "-m", "benchmarks.scale_input", how, str(num_batches))
        figures = json.loads(found.output)
        _tell(f"  {name}: {figures['seconds']:.1f} s for {figures['images']} images, {found.peak_MiB['anonymous']:.0f} MiB")
        results[name] = {**figures, **_peaks(found)}
    return results


def _throw_out(file: Path) -> None:
    """Have Linux forget the pages of the file that it keeps in memory."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _least(runs: list[dict[str, float]]) -> dict[str, float]:
    """The quickest run: the others waited for something else."""
    return min(runs, key=lambda run: run["seconds"])


def _peaks(found: Watched) -> dict[str, float]:
    return {f"{kind}_MiB": round(peak, 1) for kind, peak in found.peak_MiB.items()}


def _python(root: Path, *arguments: str) -> Watched:
    """A Python of its own in `root`, with our modules."""
    return watched([sys.executable, *arguments], root, {**os.environ, "PYTHONPATH": str(ROOT)})


def _measured_dvc(folder: Path) -> dict[str, float]:
    """What `dvc add` takes for a file of HASHED_BYTES, more than for one of a byte: hashing, and the copy in the cache."""
    seconds = {}
    for name, size in (("small", 1), ("large", HASHED_BYTES)):
        root = folder / f"dvc_{name}"
        root.mkdir()
        (root / "file").write_bytes(os.urandom(size))
        subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "--quiet"], cwd=root, check=True)
        found = _python(root, "-m", "dvc", "add", "--quiet", "file")
        seconds[name] = found.seconds
        shutil.rmtree(root)
    return {"seconds_per_GB": (seconds["large"] - seconds["small"]) / (HASHED_BYTES / 1e9)}


def _plot(record: dict[str, Any], path: Path) -> None:
    """Seconds an image, and anonymous memory beside what the images take, by the number of images."""
    rows = record["idx"]
    numbers = [row["images"] for row in rows]
    colours = {"convert": BLUE, "build": VERMILION, "input, warm": GREEN}
    with styled():
        figure = Figure(figsize=(9, 3.6))
        times, memory = figure.subplots(1, 2)
        for name, colour in colours.items():
            times.plot(numbers, [microseconds(row, name) for row in rows], "o-", color=colour, label=name)
            memory.plot(numbers, [row[name]["anonymous_MiB"] for row in rows], "o-", color=colour, label=name)
        memory.plot(numbers, [number * SIDE**2 / 2**20 for number in numbers], "--", color=GREY, label="the images")
        times.set(title="Seconds of a stage", ylabel="µs an image", xlabel="images", xscale="log", ylim=(0, None))
        memory.set(title="Anonymous memory", ylabel="MiB", xlabel="images", xscale="log", yscale="log")
        for axis in (times.xaxis, memory.xaxis, memory.yaxis):  # by themselves they would write powers of ten as formulas
            axis.set_major_formatter(EngFormatter(sep=""))
            axis.set_minor_formatter(NullFormatter())
        for axes in (times, memory):
            axes.legend()
        save_png(figure, path)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
