"""The validation split: every row once, the same share of each class, drawn by the seed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from classifier.common.errors import UserError
from classifier.splits.split import split_rows

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
    ("counts", "val_fraction", "of_each"),
    [
        ([5, 5, 5], 0.1, [1, 1, 1]),  # two images for three classes
        ([5, 5, 5], 0.95, [4, 4, 4]),  # no image left to train on
        ([5, 5, 5], 0.0001, [1, 1, 1]),
        ([500, 500, 2], 0.1, [50, 50, 1]),  # a class so rare that its share rounds to none
        ([2, 2], 0.9, [1, 1]),
    ],
)
def test_a_fraction_too_small_or_too_large_leaves_each_class_one_image(
    counts: list[int], val_fraction: float, of_each: list[int]
) -> None:
    labels_N = np.repeat(np.arange(len(counts)), counts)
    train, val = split_rows(labels_N, val_fraction, seed=0)
    assert sorted([*train.tolist(), *val.tolist()]) == list(range(sum(counts)))
    assert np.abs(np.bincount(labels_N[val]) - of_each).max() <= (max(counts) > 5)  # of 100.2 images one more or less


@pytest.mark.parametrize("num_classes", [2, 3, 10, 120])
@pytest.mark.parametrize("num_images", [8, 10])
def test_few_images_of_each_class_are_cut_with_the_default_fractions(num_classes: int, num_images: int) -> None:
    labels_N = np.repeat(np.arange(num_classes), num_images)
    rest, test = split_rows(labels_N, 0.2, 0, "test_fraction")
    train, val = split_rows(labels_N[rest], 0.1, 0)
    for labels in (labels_N[rest][train], labels_N[rest][val], labels_N[test]):
        assert np.bincount(labels).all() and len(np.bincount(labels)) == num_classes


def rows_of_sklearn(labels_N: NDArray[np.int64], fraction: float, seed: int) -> list[list[int]] | None:
    """What train_test_split gives, in rising order; None where it refuses, or leaves a class without an image in either."""
    try:
        split = train_test_split(np.arange(len(labels_N)), test_size=fraction, stratify=labels_N, random_state=seed)
    except ValueError:
        return None
    return [sorted(rows.tolist()) for rows in split] if all(set(labels_N[rows]) == set(labels_N) for rows in split) else None


@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=6).flatmap(
        lambda counts: st.permutations([label for label, count in enumerate(counts) for _ in range(count)] or [0])
    ),
    st.sampled_from([0.1, 0.2, 0.25, 1 / 3, 0.5, 0.9]),
    st.integers(0, 2**32 - 1),
)
def test_the_rows_are_those_of_scikit_learn(labels: list[int], fraction: float, seed: int) -> None:
    labels_N = np.array(labels, dtype=np.int64)
    needed = rows_of_sklearn(labels_N, fraction, seed)
    if (np.unique(labels_N, return_counts=True)[1] < 2).any():
        assert needed is None
        with pytest.raises(UserError, match=r"leaves the class [0-9]+ without an image .*, as it has only one"):
            split_rows(labels_N, fraction, seed)
        return
    train, cut = split_rows(labels_N, fraction, seed)
    if needed is None:
        assert sorted([*train.tolist(), *cut.tolist()]) == list(range(len(labels_N)))
        assert set(labels_N[train]) == set(labels_N[cut]) == set(labels)
    else:
        assert [train.tolist(), cut.tolist()] == needed


def test_the_rows_are_those_of_scikit_learn_where_the_classes_are_large() -> None:
    labels_N = np.random.default_rng(1).integers(0, 10, 20_000)
    assert [rows.tolist() for rows in split_rows(labels_N, 0.1, 7)] == rows_of_sklearn(labels_N, 0.1, 7)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(1, 6)), min_size=1, max_size=30),
    st.sampled_from([0.1, 0.2, 0.5, 0.9]),
    st.integers(0, 2**32 - 1),
)
def test_a_group_is_never_divided(groups: list[tuple[int, int]], fraction: float, seed: int) -> None:
    """Groups of one class each. It is refused only where a class has one; each share is within a group of what it should be."""
    groups_N = np.repeat(np.arange(len(groups)), [size for _, size in groups])
    groups_N = np.random.default_rng(seed).permutation(groups_N)
    labels_N = np.array([groups[group][0] for group in groups_N])
    num_groups = np.bincount([label for label, _ in groups])
    if (num_groups == 1).any():
        with pytest.raises(UserError, match=r"leaves the class [0-9] without an image .*, as groups stay whole"):
            split_rows(labels_N, fraction, seed, groups_N=groups_N)
        return
    train, cut = split_rows(labels_N, fraction, seed, groups_N=groups_N)
    assert sorted([*train.tolist(), *cut.tolist()]) == list(range(len(labels_N)))
    assert not {*groups_N[train].tolist()} & {*groups_N[cut].tolist()}
    for label in np.unique(labels_N):
        largest = max(size for of, size in groups if of == label)
        assert abs(int((labels_N[cut] == label).sum()) - fraction * int((labels_N == label).sum())) <= largest


def test_groups_of_equal_size_give_exactly_the_share() -> None:
    labels_N, groups_N = np.repeat([0, 1], [100, 200]), np.arange(300) // 10
    train, cut = split_rows(labels_N, 0.2, 5, groups_N=groups_N)
    assert np.bincount(labels_N[cut]).tolist() == [20, 40]
    assert np.bincount(labels_N[train]).tolist() == [80, 160]
    assert cut.tolist() == split_rows(labels_N, 0.2, 5, groups_N=groups_N)[1].tolist()
    assert cut.tolist() != split_rows(labels_N, 0.2, 6, groups_N=groups_N)[1].tolist()


def test_a_class_of_one_group_is_named() -> None:
    with pytest.raises(
        UserError,
        match=r"test_fraction 0\.2 leaves the class 'bee' without an image to train on or to test on, as groups stay whole: it "
        r"has 3 images in 1 group; change test_fraction, or add images or groups$",
    ):
        split_rows(np.array([0, 0, 1, 1, 1]), 0.2, 0, "test_fraction", ["ant", "bee"], np.array([0, 1, 2, 2, 2]))


def test_a_refusal_has_the_name_of_the_class() -> None:
    with pytest.raises(
        UserError,
        match=r"val_fraction 0\.5 leaves the class 'bee' without an image to train on or to validate on, as it has only one; "
        "add images, or set val_fraction to 0 for no validation",
    ):
        split_rows(np.array([0, 0, 0, 0, 0, 1]), 0.5, 0, "val_fraction", ["ant", "bee"])
