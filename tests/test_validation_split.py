"""The validation split: every row once, the same share of each class, drawn by the seed."""

import numpy as np
import pytest

from classifier.errors import UserError
from classifier.validation_split import split_rows

LABELS_N = np.repeat(np.arange(4), [100, 200, 50, 50])[np.random.default_rng(0).permutation(400)]


def test_every_row_is_in_one_split_and_in_order() -> None:
    train, val = split_rows(LABELS_N, 0.1, seed=3)
    assert sorted([*train.tolist(), *val.tolist()]) == list(range(400))
    assert train.tolist() == sorted(train.tolist())
    assert val.tolist() == sorted(val.tolist())


def test_each_class_gives_its_share() -> None:
    train, val = split_rows(LABELS_N, 0.1, seed=3)
    assert np.bincount(LABELS_N[val]).tolist() == [10, 20, 5, 5]
    assert np.bincount(LABELS_N[train]).tolist() == [90, 180, 45, 45]


def test_the_seed_draws_the_rows() -> None:
    first, again, other = (split_rows(LABELS_N, 0.1, seed)[1].tolist() for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_no_validation() -> None:
    train, val = split_rows(LABELS_N, 0.0, seed=3)
    assert train.tolist() == list(range(400))
    assert val.tolist() == []


@pytest.mark.parametrize(
    ("counts", "val_fraction"),
    [
        ([5, 5, 1], 0.5),  # one image cannot be in both
        ([5, 5, 5], 0.1),  # two images for three classes
        ([5, 5, 5], 0.95),  # no image left to train on
        ([5, 5, 5], 0.0001),
        ([500, 500, 2], 0.1),  # a class so rare that its share rounds to none
    ],
)
def test_a_class_left_without_images_is_refused(counts: list[int], val_fraction: float) -> None:
    labels_N = np.repeat(np.arange(3), counts)
    rarest = (
        rf"there are {sum(counts)} images of 3 classes, {min(counts)} of class {int(np.argmin(counts))}; change val_fraction"
    )
    with pytest.raises(UserError, match=rf"val_fraction {val_fraction} leaves some class without an image .*: {rarest}"):
        split_rows(labels_N, val_fraction, seed=0)
