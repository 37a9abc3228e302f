"""The digits that ship inside scikit-learn (digits.csv.gz): 8×8 pixels from 0 to 16 and the label on each line.

They are the test part of "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak, UCI repository).
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifier.common.errors import UserError
from classifier.decoding.compressed import open_gzip
from classifier.images.arrays import Block, Labels

SIDE = 8
INK_MAX = 16
NUMBER = re.compile(r"[0-9]{1,9}")
INK_TO_PIXEL = np.rint(np.arange(INK_MAX + 1) * 255 / INK_MAX).astype(np.uint8)
TEST_EVERY = 5
MAX_BYTES = 2**22
"""Of text, over ten times what ships. It is held in memory whole, and a few kilobytes of gzip data can unpack to gigabytes."""


def read_digits(path: Path, num_classes: int) -> Block:
    """Return images_N188, scaled from 0…16 to 0…255 and rounded half to even, and labels_N.

    Raises UserError with line and column for anything but 64 whole numbers from 0 to 16 and a label below `num_classes`.
    """
    with open_gzip(path) as reader:
        text = reader.read(MAX_BYTES + 1)
    if len(text) > MAX_BYTES:
        raise UserError(f"{path}: needs at most {MAX_BYTES} bytes of text, found more")
    # Bytes are cut at line ends alone; a str would also be cut at separators such as \x1c.
    lines = [line.decode("ascii", errors="replace") for line in text.splitlines()]
    if not lines:
        raise UserError(f"{path}: needs one image a line, found an empty file")
    table = np.array([_numbers(f"{path}: line {number}", line, num_classes) for number, line in enumerate(lines, start=1)])
    images_N188 = INK_TO_PIXEL[table[:, :-1]].reshape(-1, 1, SIDE, SIDE)
    return images_N188, table[:, -1]


def is_test_row(labels_N: Labels) -> NDArray[np.bool_]:
    """Which rows are the test split: every fifth image of each class, in the order of the file.

    scikit-learn names no official split. This one is ours: stratified, and the same for every seed, so that all runs compare.
    """
    test_N = np.zeros(len(labels_N), dtype=bool)
    for label in np.unique(labels_N):
        test_N[np.flatnonzero(labels_N == label)[TEST_EVERY - 1 :: TEST_EVERY]] = True
    return test_N


def _numbers(where: str, line: str, num_classes: int) -> list[int]:
    cells = line.split(",")
    if len(cells) != SIDE * SIDE + 1:
        raise UserError(f"{where}: needs {SIDE * SIDE + 1} numbers, found {len(cells)}")
    highest = [INK_MAX] * (SIDE * SIDE) + [num_classes - 1]
    for column, (cell, limit) in enumerate(zip(cells, highest, strict=True), start=1):
        if not NUMBER.fullmatch(cell) or int(cell) > limit:
            raise UserError(f"{where}, column {column}: needs a whole number from 0 to {limit}, found {cell[:40]!r}")
    return [int(cell) for cell in cells]
