"""Whether the exported file computes what PyTorch does, on every test image. Legend: N images, K classes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from classifier.common.errors import UserError
from classifier.model.dataset import ImageDataset
from classifier.model.inference import batch_size
from tools.export.onnx_file import INPUT, OUTPUT
from tools.export.probabilities import Probabilities

MOST_DIFFERENCE = 1e-4
"""Of a probability. Another order of float32 sums makes a hundredth of it; a wrong layer makes far more."""
TIE = 1e-5
"""Two classes whose probabilities differ by less are as good as equal: the order of the sums may decide between them."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Agreement:
    """Of the exported file and PyTorch, both in float32."""

    predicted_N: NDArray[np.int64]
    """Labels that the exported file gives."""
    num_ties: int
    """Images to which the two give different classes, all of them within TIE."""
    largest_difference: float
    """Of any probability of any image."""


def compare(path: Path, network: Probabilities, test_set: ImageDataset, classes: list[str], threads: int) -> Agreement:
    """Run the file at `path` in onnxruntime, on the CPU, beside `network`.

    Raises UserError at the first image of which the two say something else.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    predicted, num_ties, largest = [], 0, 0.0
    for rows in tqdm(
        torch.arange(len(test_set)).split(batch_size(test_set)), desc="comparing", unit="batch", disable=None, leave=False
    ):
        images_NCHW, _ = test_set.batch(rows)
        with torch.inference_mode():
            wanted_NK: Floats = network(images_NCHW).numpy()
        (found_NK,) = session.run([OUTPUT], {INPUT: images_NCHW.numpy()})
        largest = max(largest, float(np.abs(found_NK - wanted_NK).max()))
        num_ties += refuse_differing(wanted_NK, found_NK, int(rows[0]), classes)
        predicted.append(found_NK.argmax(axis=1))
    return Agreement(np.concatenate(predicted), num_ties, largest)


def refuse_differing(wanted_NK: Floats, found_NK: Floats, first_row: int, classes: list[str]) -> int:
    """Raise UserError if an image has another class, or a probability that is off; return how many are ties."""
    wanted_N, found_N = wanted_NK.argmax(axis=1), found_NK.argmax(axis=1)
    differs_N = wanted_N != found_N
    each = np.arange(len(wanted_N))
    is_tie_N = differs_N & (wanted_NK[each, wanted_N] - wanted_NK[each, found_N] < TIE)
    difference_N = np.abs(found_NK - wanted_NK).max(axis=1)
    wrong_N = (differs_N & ~is_tie_N) | ~(difference_N <= MOST_DIFFERENCE)  # so that NaN is wrong
    if wrong_N.any():
        row = int(wrong_N.argmax())
        wanted, found = wanted_N[row], found_N[row]
        raise UserError(
            f"models/export: nothing written, for the exported file differs: test image {first_row + row} is by PyTorch "
            f"{classes[wanted]!r} ({wanted_NK[row, wanted]:.4f}) and by onnxruntime {classes[found]!r} "
            f"({found_NK[row, found]:.4f}), and the probabilities lie up to {difference_N[row]:.1e} apart; "
            "run `make export` for the pinned versions, or report this with what `make doctor` prints"
        )
    return int(is_tie_N.sum())
