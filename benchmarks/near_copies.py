"""Recall of the search for near copies, by kind of change, and its processor time: `python -m benchmarks.near_copies FOLDER`.

FOLDER has the four files of Fashion-MNIST or MNIST. To its 70,000 images come changed copies of 300 test images of each kind.
"""

import argparse
import io
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from classifier.decoding.idx import read_idx
from classifier.splits.near_copies import find_near_copies

Picture = NDArray[np.uint8]
NUM_COPIES = 300


def compressed(quality: int) -> Callable[[Picture], Picture]:
    """JPEG and back."""

    def change(picture: Picture) -> Picture:
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG", quality=quality)
        return np.asarray(Image.open(file))

    return change


def resized(share: float, kernel: Image.Resampling) -> Callable[[Picture], Picture]:
    """To `share` of the sides and back."""

    def change(picture: Picture) -> Picture:
        height, width = picture.shape
        other = Image.fromarray(picture).resize((round(share * width), round(share * height)), kernel)
        return np.asarray(other.resize((width, height), kernel))

    return change


def shifted(down: int, right: int) -> Callable[[Picture], Picture]:
    """What comes in is as the edge."""
    room = 2
    places = [slice(room - by, -room - by or None) for by in (down, right)]
    return lambda picture: np.pad(picture, room, mode="edge")[places[0], places[1]]


def brightened(factor: float, offset: int) -> Callable[[Picture], Picture]:
    """Cut off at 255."""
    return lambda picture: np.rint(picture * factor + offset).clip(0, 255).astype(np.uint8)


CHANGES = {
    "JPEG, quality 90": compressed(90),
    "JPEG, quality 75": compressed(75),
    "JPEG, quality 50": compressed(50),
    "to 3/4 and back, bicubic": resized(0.75, Image.Resampling.BICUBIC),
    "to 3/4 and back, bilinear": resized(0.75, Image.Resampling.BILINEAR),
    "to 2 and back, bilinear": resized(2, Image.Resampling.BILINEAR),
    "shifted by 1": shifted(1, 0),
    "shifted by 2": shifted(0, -2),
    "shifted by 2 both ways": shifted(-2, -2),
    "times 0.7": brightened(0.7, 0),
    "times 1.2": brightened(1.2, 0),
    "plus 30": brightened(1.0, 30),
}


def main() -> int:
    """Print a line for each kind, and what is found without any copies."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.near_copies")
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    images = {}
    for split, name in (("train", "train"), ("test", "t10k")):
        blocks = read_idx(folder / f"{name}-images-idx3-ubyte.gz", folder / f"{name}-labels-idx1-ubyte.gz", 10)
        images[split] = np.concatenate([images_NCHW for images_NCHW, _ in blocks])
    start = time.process_time()
    found = find_near_copies(images) or []
    seconds = time.process_time() - start
    across = {one.row for one in found if one.is_across}
    print(f"{seconds:.1f} s of a processor; {len(found)} pairs, {len(across)} test images with a near copy in train")
    copied = images["test"][:NUM_COPIES]
    for name, change in CHANGES.items():
        copies = np.stack([change(picture)[np.newaxis] for picture in copied[:, 0]])
        found = find_near_copies({**images, "copies": copies}) or []
        rows = {one.row for one in found if one.split == "copies" and (one.earlier_split, one.earlier_row) == ("test", one.row)}
        is_changed = (copies != copied).any(axis=(1, 2, 3))
        print(f"{name}: {len(rows)} of {np.count_nonzero(is_changed)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
