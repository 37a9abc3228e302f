"""Cuts the validation split from the training rows."""

import numpy as np
from numpy.typing import NDArray

from classifier.blocks import Labels
from classifier.errors import UserError

Rows = NDArray[np.intp]


def split_rows(labels_N: Labels, val_fraction: float, seed: int) -> tuple[Rows, Rows]:
    """Return the rows to train on and those to validate on, each in rising order.

    Drawn by `seed`, `val_fraction` of the rows are for validation, stratified: of each class the same share (scikit-learn's
    train_test_split). 0 means none. Raises UserError when a class would be left without an image in either.
    """
    if val_fraction == 0:
        return np.arange(len(labels_N)), np.arange(0)
    from sklearn.model_selection import train_test_split  # a second to import, and seldom not needed

    try:
        train, val = train_test_split(np.arange(len(labels_N)), test_size=val_fraction, stratify=labels_N, random_state=seed)
    except ValueError:  # too few rows for one of each class, in the split or in a class
        raise _refusal(labels_N, val_fraction) from None
    classes = set(labels_N.tolist())
    if set(labels_N[train].tolist()) != classes or set(labels_N[val].tolist()) != classes:
        raise _refusal(labels_N, val_fraction)
    return np.sort(train), np.sort(val)


def _refusal(labels_N: Labels, val_fraction: float) -> UserError:
    labels, counts = np.unique(labels_N, return_counts=True)
    return UserError(
        f"val_fraction {val_fraction} leaves some class without an image to train on or to validate on: there are "
        f"{len(labels_N)} images of {len(labels)} classes, {counts.min()} of class {labels[counts.argmin()]}; "
        "change val_fraction, or set it to 0 for no validation"
    )
