"""Whether seconds an image and memory stay the same as the data grow to millions of images: on Linux,

    python -m benchmarks.scale

Writes random data itself, 60,000 training images times each of the sizes, as idx files and as folders of PNGs, and runs each
stage in a process of its own. Needs 40 GB of disk for size 100, a tenth of that for 10. Rewrites benchmarks/scale.json, .md
and .png; with `--only-folders` the part about folders in them, as a folder of 610,000 pictures (size 10) needs 6 GB.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, NullFormatter
from ruamel.yaml import YAML

from benchmarks.record import ROOT, circumstances
from benchmarks.scale_data import SIDE, rows_of, write_folder, write_idx
from benchmarks.scale_page import microseconds, page
from benchmarks.scale_width import SHAPES_CHW, measured_width
from benchmarks.watched import Watched, watched
from classifier.common.files import write_json, write_text
from classifier.figures.style import BLUE, GREEN, GREY, VERMILION, save_png, styled

Steps = Mapping[str, Callable[[Path], dict[str, Any]]]
"""What is measured, by name: a function of the folder with the data, which returns seconds and memory."""
LARGE_BATCHES, NEIGHBOUR_BATCHES = 100, 1
"""Batches that are cut as of a file larger than memory: with requests, and without, where each takes seconds."""
HASHED_BYTES = 10**9
PACKAGES = ("numpy", "pandas", "pillow", "torch", "dvc")
WANTED = {
    "seconds an image, times those of size 1, at most": 1.25,
    "anonymous memory, bytes an image more, at most": 78.4,  # a tenth of an image's 784 bytes
    "of download, at most": 300,
}


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description="Seconds an image and memory, from 60,000 to millions of images.")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 10, 30, 100], help="of idx data, times 60,000 images")
    parser.add_argument("--folders", type=int, nargs="*", default=[1, 10], help="the same of folders of PNGs")
    parser.add_argument("--repeats", type=int, default=3, help="of wide images")
    parser.add_argument("--only-folders", action="store_true", help="keep the other figures of the record")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        of_folders: dict[str, Any] = {
            "folder": _measured(Path(folder) / "folder", arguments.folders, _prepare_folder, FOLDER_STEPS),
            "wanted": WANTED,
        }
        if arguments.only_folders:
            of_folders["folder_circumstances"] = {"command": _command(arguments), **circumstances(PACKAGES)}
        record: dict[str, Any] = (
            json.loads((ROOT / "benchmarks/scale.json").read_text())
            if arguments.only_folders
            else {
                "command": _command(arguments),
                **circumstances(PACKAGES),
                "memory_GiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
                "idx": _measured(Path(folder) / "idx", arguments.sizes, _prepare_idx, IDX_STEPS),
                "widths": {"×".join(map(str, shape)): measured_width(shape, arguments.repeats) for shape in SHAPES_CHW},
                "dvc": _measured_dvc(Path(folder)),
            }
        )
        record |= of_folders
        write_json(ROOT / "benchmarks/scale.json", record)
        write_text(ROOT / "benchmarks/scale.md", page(record))
        _plot(record, ROOT / "benchmarks/scale.png")
        print(page(record), flush=True)  # to delete hundreds of thousands of files takes minutes on some disks


def _command(arguments: argparse.Namespace) -> str:
    lists = {"folders": arguments.folders}
    if not arguments.only_folders:
        lists = {"sizes": arguments.sizes, **lists, "repeats": [arguments.repeats]}
    options = [f"--{name} {' '.join(map(str, of))}" for name, of in lists.items()]
    return " ".join(["python -m benchmarks.scale", *["--only-folders"] * arguments.only_folders, *options])


def _measured(folder: Path, sizes: list[int], prepare: Callable[[Path, int], None], steps: Steps) -> list[dict[str, Any]]:
    """Each step on each size, and on data of size 1 right after it: what else the machine does then slows both."""
    if not sizes:
        return []
    folder.mkdir()
    beside, root, rows = folder / "1", folder / "large", []
    prepare(beside, 1)
    for step in steps.values():
        step(beside)
    for size in sizes:
        _tell(f"{folder.name}, size {size}")
        shutil.rmtree(root, ignore_errors=True)
        prepare(root, size)
        found: dict[str, Any] = {}
        for name, step in steps.items():
            found[name] = step(root) | {"beside": step(beside)}
            _tell(f"  {name}: {_told(found[name])}; size 1: {_told(found[name]['beside'])}")
        files = {"csv": "csv/train.csv", "arrays": "dataset/train/images.npy"}
        megabytes = {name: round((root / "data" / path).stat().st_size / 1e6) for name, path in files.items()}
        rows.append({"size": size, "images": sum(rows_of(size).values()), "MB": megabytes, **found})
    return rows


def _told(step: dict[str, Any]) -> str:
    return f"{step['seconds']:.1f} s, {step['anonymous_MiB']:.0f} MiB"


def _prepare_idx(root: Path, size: int) -> None:
    root.mkdir()
    write_idx(root / "data/raw", rows_of(size))
    _write_params(root, dataset="fashion_mnist")


def _prepare_folder(root: Path, size: int) -> None:
    root.mkdir()
    write_folder(root / "pictures", rows_of(size))
    _write_params(root, dataset="folder", source=str(root / "pictures"))


def _write_params(root: Path, **params: Any) -> None:
    """What a stage needs to run in `root`."""
    editor = YAML()
    values = editor.load(ROOT / "params.yaml")
    values.update(params)
    editor.dump(values, root / "params.yaml")
    for name in ("dvc.yaml", "requirements.txt", "constraints.txt"):
        shutil.copy(ROOT / name, root)
    for name in ("classifier", "stages"):  # a stage looks whether what it depends on is there
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))


def _stage(stage: str, root: Path) -> dict[str, Any]:
    """Seconds beyond those of a process that only imports the stage, and the peaks of its memory."""
    only_imports = _python(root, "-c", f"import stages.{stage}")
    found = _python(root, "-m", f"stages.{stage}")
    return {
        "seconds": found.seconds - only_imports.seconds,
        "processor": found.processor_seconds - only_imports.processor_seconds,
        **_peaks(found),
    }


def _input(how: str, num_batches: int, is_cold: bool, root: Path) -> dict[str, Any]:
    """Batches without a network, of a file that was thrown out of memory before where `is_cold`."""
    if is_cold:
        _throw_out(root / "data/dataset/train/images.npy")
    found = _python(root, "-m", "benchmarks.scale_input", how, str(num_batches))
    return {**json.loads(found.output), **_peaks(found)}


def _throw_out(file: Path) -> None:
    """Have Linux forget the pages of the file that it keeps in memory."""
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


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


IDX_STEPS: Steps = {
    "convert": partial(_stage, "convert"),
    "build": partial(_stage, "build"),
    "input, warm": partial(_input, "plain", 0, False),
    "input, cold": partial(_input, "plain", 0, True),
    "asked, cold": partial(_input, "asked", LARGE_BATCHES, True),
    "neighbours, cold": partial(_input, "neighbours", NEIGHBOUR_BATCHES, True),
}
FOLDER_STEPS: Steps = {stage: partial(_stage, stage) for stage in ("download", "convert", "build")}


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
