"""Processor time of photographs to arrays, beside an earlier commit and torchvision's ImageFolder: on Linux,

    python -m benchmarks.photographs

The stage `convert` of this code, that of the commit BEFORE (in a work tree of its own), and ImageFolder with Resize in two
workers take turns on the same made-up photographs. Rewrites benchmarks/photographs.json and benchmarks/photographs.md.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from ruamel.yaml import YAML

from benchmarks.record import ROOT, circumstances, page_head, ranged, record_so_far, spread
from benchmarks.watched import watched
from classifier.common.files import write_json, write_text

BEFORE = "d7d7a93"
"""Which decoded each JPEG whole."""
WAYS = ("ours", "before", "ImageFolder")
KINDS = {"12 megapixels": (4000, 3000), "1024×768": (1024, 768)}
NUM_DIFFERENT = 2
FEW = 2
"""Pictures of the runs whose time is taken off: imports, and whatever else does not depend on the number of pictures."""
QUALITY = 90
LEAST_GRAIN = 2
NOISE = 5.0
SIZE = 64
WANTED = {"12 megapixels": {"before": 3.3, "ImageFolder": 4.0}, "1024×768": {"before": 1.8}}
"""How many times faster than each, at least."""
PACKAGES = ("numpy", "pillow", "torch", "torchvision")


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description="Processor milliseconds a photograph.")
    parser.add_argument("--rounds", type=int, default=5, help="in each of which all take their turn")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS), help="the others stay as they were")
    parser.add_argument("--pictures", type=int, nargs="+", default=[16, 160], help="of each kind")
    arguments = parser.parse_args()
    counts = dict(zip(arguments.kinds, arguments.pictures, strict=False))
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder) / "before"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", before, BEFORE], cwd=ROOT, check=True)
        try:
            found = {kind: _measured(Path(folder), before, kind, number, arguments.rounds) for kind, number in counts.items()}
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", before], cwd=ROOT, check=True)
    now = {"rounds": arguments.rounds, "before": BEFORE, **circumstances(PACKAGES)}
    record = {
        "command": f"python -m benchmarks.photographs --rounds {arguments.rounds}",
        **now,
        "kinds": record_so_far("photographs", now).get("kinds", {}) | found,
    }
    write_json(ROOT / "benchmarks/photographs.json", record)
    write_text(ROOT / "benchmarks/photographs.md", _page(record))
    print(_page(record))


def _write_pictures(folder: Path, shape: tuple[int, int], number: int) -> float:
    """JPEGs in two class folders, a few different ones in turn; return megabytes a picture."""
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
    paths = [folder / "ab"[row % 2] / f"{row:04}.jpg" for row in range(number)]
    for row, path in enumerate(paths):
        if row < NUM_DIFFERENT:
            _photograph(shape, row).save(path, quality=QUALITY)
        else:
            shutil.copy(paths[row % NUM_DIFFERENT], path)
    return round(sum(path.stat().st_size for path in paths) / len(paths) / 1e6, 2)


def _photograph(shape: tuple[int, int], seed: int) -> Image.Image:
    """Random colours, coarse ones strong and finer ones weaker, as in photographs, and a little noise of the sensor."""
    width, height = shape
    random = np.random.default_rng(seed)
    total_HWC = np.full((height, width, 3), 128, dtype=np.float32)
    grain = max(shape) // 2
    while grain >= LEAST_GRAIN:
        cells = random.integers(0, 256, (height // grain + 2, width // grain + 2, 3), dtype=np.uint8)
        layer = Image.fromarray(cells).resize(shape, Image.Resampling.BICUBIC)
        total_HWC += (np.asarray(layer, dtype=np.float32) - 128) * (grain / max(shape)) ** 0.5
        grain //= 2
    total_HWC += random.normal(0, NOISE, total_HWC.shape).astype(np.float32)
    return Image.fromarray(total_HWC.clip(0, 255).astype(np.uint8))


def _prepare(root: Path, code: Path, pictures: Path) -> None:
    """A folder in which `convert` of `code` can run, with the pictures packed by its own `download`."""
    root.mkdir()
    for name in ("dvc.yaml", "requirements.txt"):
        shutil.copy(code / name, root)
    editor = YAML()
    values = editor.load(code / "params.yaml")
    values.update(dataset="folder", source=str(pictures), image_size=SIZE)
    editor.dump(values, root / "params.yaml")
    _run(root, code, "-m", "stages.download")


def _run(root: Path, code: Path, *arguments: str) -> float:
    """Processor seconds."""
    environment = {**os.environ, "PYTHONPATH": str(code), "PYTHONDONTWRITEBYTECODE": "1"}
    return watched([sys.executable, *arguments], root, environment).processor_seconds


def _measured(folder: Path, before: Path, kind: str, number: int, rounds: int) -> dict[str, Any]:
    """Milliseconds a picture of each way, and the ratios within each round."""
    pictures, few = folder / kind, folder / f"{kind} few"
    size = _write_pictures(pictures, KINDS[kind], number)
    _write_pictures(few, KINDS[kind], FEW)

    def run(way: str, source: Path) -> float:
        if way == "ImageFolder":
            return _run(folder, ROOT, "-m", "benchmarks.image_folder", str(source), str(SIZE))
        root, code = folder / f"{source.name} {way}", {"ours": ROOT, "before": before}[way]
        if not root.exists():
            _prepare(root, code, source)
        return _run(root, code, "-m", "stages.convert")

    found: dict[str, list[float]] = {way: [] for way in WAYS}
    fixed = {way: run(way, few) for way in WAYS}
    for round_number in range(rounds):
        for way in WAYS:
            found[way].append((run(way, pictures) - fixed[way]) * 1000 / (number - FEW))
            print(f"{kind}, round {round_number}, {way}: {found[way][-1]:.1f} ms", file=sys.stderr, flush=True)
    return {
        "pictures": number,
        "MB a picture": size,
        "ms": {way: spread(values) for way, values in found.items()},
        "times": {
            way: spread([other / ours for other, ours in zip(found[way], found["ours"], strict=True)]) for way in WAYS[1:]
        },
    }


def _page(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    data = "; ".join(
        f"{of['pictures']} JPEGs of {kind}, {of['MB a picture']} MB each, quality {QUALITY}"
        for kind, of in record["kinds"].items()
    )
    lines = [
        *page_head("Photographs to arrays", "photographs", record, [f"data: {data}", f"n = {record['rounds']} rounds"]),
        "",
        f"Processor milliseconds a picture brought to {SIZE}×{SIZE} pixels, those of all cores together: median, least to",
        f"greatest. What the same takes for {FEW} pictures is taken off. Before is the stage `convert` of {record['before']},",
        "ImageFolder torchvision's, with Resize and CenterCrop in two workers. Ratios are taken within each round.",
        "",
        "| photographs | ours | before | ImageFolder | times before | times ImageFolder |",
        "|---|---|---|---|---|---|",
    ]
    for kind, of in record["kinds"].items():
        cells = [*(ranged(of["ms"][way]) for way in WAYS), *(ranged(of["times"][way]) for way in WAYS[1:])]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    for kind, of in record["kinds"].items():
        for way, least in WANTED[kind].items():
            measured = of["times"][way]["median"]
            verdict = "reached" if measured >= least else "not reached"
            lines += ["", f"Wanted, {kind}, times {way}: at least {least}; measured {measured:.2f}: {verdict}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
