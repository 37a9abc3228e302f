"""Processor time of decoding photographs, beside an earlier commit and torchvision's ImageFolder: on Linux,

    python -m benchmarks.photographs

What the stage `convert` does with a picture, the same of the commit BEFORE (in a work tree of its own), and what ImageFolder
does take turns on the same made-up photographs. Rewrites benchmarks/photographs.json and benchmarks/photographs.md.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.record import ROOT, circumstances, page_head, ranged, spread
from classifier.common.files import write_json, write_text

BEFORE = "d7d7a93"
"""Which decoded each JPEG whole."""
WAYS = ("ours", "before", "ImageFolder")
KINDS = {"12 megapixels": (4000, 3000), "1024×768": (1024, 768)}
TIMES = {"12 megapixels": 1, "1024×768": 8}
"""Decodings of a turn."""
SIZE = 64
WANTED = {"12 megapixels": {"before": 3.3, "ImageFolder": 4.0}, "1024×768": {"before": 1.8}}
"""How many times faster than each, at least."""
QUALITY = 90
LEAST_GRAIN = 2
NOISE = 5.0
PACKAGES = ("numpy", "pillow", "torch", "torchvision")


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description="Processor milliseconds of decoding a photograph.")
    parser.add_argument("--rounds", type=int, default=7, help="in each of which all take their turn")
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder) / "before"
        subprocess.run(["git", "worktree", "add", "--quiet", "--detach", before, BEFORE], cwd=ROOT, check=True)
        try:
            kinds = _measured(Path(folder), before, rounds)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", before], cwd=ROOT, check=True)
    record = {
        "command": f"python -m benchmarks.photographs --rounds {rounds}",
        "rounds": rounds,
        "before": BEFORE,
        **circumstances(PACKAGES),
        "kinds": kinds,
    }
    write_json(ROOT / "benchmarks/photographs.json", record)
    write_text(ROOT / "benchmarks/photographs.md", _page(record))
    print(_page(record))


def _photograph(shape: tuple[int, int]) -> Image.Image:
    """Random colours, coarse ones strong and finer ones weaker, as in photographs, and noise of the sensor."""
    width, height = shape
    random = np.random.default_rng(1)
    total_HWC = np.full((height, width, 3), 128, dtype=np.float32)
    grain = max(shape) // 2
    while grain >= LEAST_GRAIN:
        cells = random.integers(0, 256, (height // grain + 2, width // grain + 2, 3), dtype=np.uint8)
        layer = Image.fromarray(cells).resize(shape, Image.Resampling.BICUBIC)
        total_HWC += (np.asarray(layer, dtype=np.float32) - 128) * (grain / max(shape)) ** 0.5
        grain //= 2
    total_HWC += random.normal(0, NOISE, total_HWC.shape).astype(np.float32)
    return Image.fromarray(total_HWC.clip(0, 255).astype(np.uint8))


def _measured(folder: Path, before: Path, rounds: int) -> dict[str, Any]:
    """By kind: milliseconds of each way, and the ratios within each round."""
    workers = {way: _worker(way, before if way == "before" else ROOT) for way in WAYS}
    kinds: dict[str, Any] = {}
    for kind, shape in KINDS.items():
        path = folder / f"{shape[0]}.jpg"
        _photograph(shape).save(path, quality=QUALITY)
        found: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(rounds):
            for way, worker in workers.items():
                assert worker.stdin and worker.stdout
                worker.stdin.write(f"{path} {TIMES[kind]}\n")
                worker.stdin.flush()
                found[way].append(float(worker.stdout.readline()))
        kinds[kind] = {
            "MB": round(path.stat().st_size / 1e6, 2),
            "ms": {way: spread(values) for way, values in found.items()},
            "times": {
                way: spread([other / ours for other, ours in zip(found[way], found["ours"], strict=True)]) for way in WAYS[1:]
            },
        }
    for worker in workers.values():
        worker.communicate()
    return kinds


def _worker(way: str, code: Path) -> "subprocess.Popen[str]":
    """`code` is where the package classifier comes from."""
    script = ROOT / "benchmarks/photographs_worker.py"
    environment = {**os.environ, "PYTHONPATH": str(code)}
    command = [sys.executable, str(script), way, str(SIZE)]
    return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _page(record: dict[str, Any]) -> str:
    """The record as Markdown."""
    data = ", ".join(f"a JPEG of {kind}, {of['MB']} MB" for kind, of in record["kinds"].items())
    facts = [f"data: made up, {data}, quality {QUALITY}", f"n = {record['rounds']} rounds, in which all take their turn"]
    lines = [
        *page_head("Photographs to arrays", "photographs", record, facts),
        "",
        f"Processor milliseconds of decoding a picture to {SIZE}×{SIZE} pixels in one thread, as the stage `convert` does:",
        f"median, least to greatest. Before is commit {record['before']}, ImageFolder torchvision's loader with Resize and",
        "CenterCrop. Ratios are taken within each round. Starting worker processes, and writing tables, are not in it.",
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
