"""Cuts the validation split, or one to test on, from the training rows."""

import numpy as np
from numpy.typing import NDArray

from classifier.blocks import Labels
from classifier.errors import UserError

Rows = NDArray[np.intp]


PURPOSES = {"val_fraction": "validate", "test_fraction": "test"}


def split_rows(labels_N: Labels, fraction: float, seed: int, name: str = "val_fraction") -> tuple[Rows, Rows]:
    """Return the rows to train on and those cut from them, each in rising order; `name` (of PURPOSES) stands in an error.

    Drawn by `seed`, `fraction` of the rows are cut, stratified: of each class the same share (scikit-learn's train_test_split).
    0 means none. Raises UserError when a class would be left without an image in either.
    """
    if fraction == 0:
        return np.arange(len(labels_N)), np.arange(0)
    from sklearn.model_selection import train_test_split  # a second to import, and seldom not needed

    try:
        train, cut = train_test_split(np.arange(len(labels_N)), test_size=fraction, stratify=labels_N, random_state=seed)
    except ValueError:  # too few rows for one of each class, in the split or in a class
        raise _refusal(labels_N, fraction, name) from None
    classes = set(labels_N.tolist())
    if set(labels_N[train].tolist()) != classes or set(labels_N[cut].tolist()) != classes:
        raise _refusal(labels_N, fraction, name)
    return np.sort(train), np.sort(cut)


def _refusal(labels_N: Labels, fraction: float, name: str) -> UserError:
    labels, counts = np.unique(labels_N, return_counts=True)
    advice = f"change {name}, or set it to 0 for no validation" if name == "val_fraction" else f"change {name}, or add images"
    return UserError(
        f"{name} {fraction} leaves some class without an image to train on or to {PURPOSES[name]} on: there are "
        f"{len(labels_N)} images of {len(labels)} classes, {counts.min()} of class {labels[counts.argmin()]}; {advice}"
    )
