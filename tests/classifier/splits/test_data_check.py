"""The figures of the data check, on splits made so that each is known."""

import csv
import io
import json
from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from classifier.splits.data_check import Splits, class_table, data_metrics, data_report, num_constant, remarks
from classifier.splits.digests import image_digests

RNG = np.random.default_rng(0)


def different(num_images: int, first: int = 0) -> np.ndarray:
    """Images of 2×2×2 pixels, each another: its number in its first two pixels, noise elsewhere."""
    images = RNG.integers(0, 256, (num_images, 2, 2, 2), dtype=np.uint8)
    numbers = np.arange(first, first + num_images)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = numbers % 256, numbers // 256
    return images


def made() -> Splits:
    train, val, test = different(10), different(4, 100), different(5, 200)
    train[7] = train[1]  # repeated, with another label
    train[8] = train[2]  # repeated, with the same label
    train[9] = train[2]
    val[0] = train[0]
    test[0] = test[1] = train[0]  # two images of test in train, and in val; one repeats the other
    train[3] = np.array([[[9]], [[200]]])  # one colour all over
    labels = np.array([0, 1, 0, 0, 0, 0, 0, 0, 0, 0])
    return {"train": (train, labels), "val": (val, np.array([0, 1, 0, 0])), "test": (test, np.array([0, 0, 0, 0, 0]))}


def test_the_figures() -> None:
    assert data_report(made(), 3, ["a.jpg"]) == {
        "images": {"train": 10, "val": 4, "test": 5},
        "classes": 3,
        "classes_missing": {"train": 1, "val": 1, "test": 2},
        "imbalance": 9.0,
        "constant": {"train": 1, "val": 0, "test": 0},
        "repeated": {"train": 3, "val": 0, "test": 1},
        "leaked": {"val_in_train": 1, "test_in_train": 2, "test_in_val": 2},
        "label_conflicts": 1,
        "unreadable": 1,
        "unreadable_files": ["a.jpg"],
    }


def test_splits_without_images_are_left_out_and_a_clean_set_has_no_remarks() -> None:
    empty = np.zeros((0, 2, 2, 2), dtype=np.uint8)
    splits: Splits = {
        "train": (different(4), np.arange(4) % 2),
        "val": (empty, np.zeros(0, dtype=np.int64)),
        "test": (different(2, 50), np.arange(2)),
    }
    report = data_report(splits, 2, [])
    assert report["images"] == {"train": 4, "test": 2}
    assert report["leaked"] == {"test_in_train": 0}
    assert list(remarks(report)) == []


def test_the_remarks() -> None:
    assert list(remarks(data_report(made(), 3, []))) == [
        "1 of 4 val images are also in train, pixel for pixel",
        "2 of 5 test images are also in train, pixel for pixel",
        "2 of 5 test images are also in val, pixel for pixel",
        "3 of 10 train images repeat another one of train, pixel for pixel",
        "1 of 5 test images repeat another one of test, pixel for pixel",
        "1 of 3 classes have no image in train",
        "1 of 3 classes have no image in val",
        "2 of 3 classes have no image in test",
        "1 of 10 train images have one colour all over",
        "1 images occur with more than one label",
    ]


def test_the_table_of_classes() -> None:
    rows = list(csv.reader(io.StringIO(class_table(made(), ["猫, 狗", 'a"b', "c"]))))
    assert rows == [["class", "train", "val", "test"], ["猫, 狗", "9", "3", "5"], ['a"b', "1", "1", "0"], ["c", "0", "0", "0"]]


def test_it_stays_small() -> None:
    text = json.dumps(data_report(made(), 3, [f"picture {number}.jpg" for number in range(10_000)]))
    assert len(text) < 2_000
    assert '"unreadable": 10000' in text


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=12), st.integers(1, 11))
def test_repeats_and_leaks_as_sets_of_bytes_have_them(drawn: list[tuple[int, int]], cut: int) -> None:
    images = np.array([[[[kind, 0], [kind, 7]]] for kind, _ in drawn], dtype=np.uint8)
    labels = np.array([label for _, label in drawn])
    cut = min(cut, len(drawn))
    splits: Splits = {
        "train": (images[:cut], labels[:cut]),
        "val": (images[:0], labels[:0]),
        "test": (images[cut:], labels[cut:]),
    }
    report = data_report(splits, 3, [])
    train, test = [kind for kind, _ in drawn[:cut]], [kind for kind, _ in drawn[cut:]]
    assert report["repeated"]["train"] == sum(number - 1 for number in Counter(train).values())
    assert report["label_conflicts"] == sum(len({label for kind, label in drawn if kind == one}) > 1 for one in range(4))
    if test:
        assert report["leaked"]["test_in_train"] == sum(kind in train for kind in test)


def test_digests_and_constants_of_more_than_a_block() -> None:
    images = RNG.integers(0, 256, (3_000, 1, 28, 28), dtype=np.uint8)
    images[2_900] = images[5]
    images[2_999] = 7
    digests = image_digests(images)
    assert len(np.unique(digests)) == 2_999
    assert digests[2_900] == digests[5]
    assert num_constant(images) == 1
    np.testing.assert_array_equal(digests[100:200], image_digests(images[100:200]))


def test_dvcs_tables_get_six_numbers_and_the_rest_stands_in_a_list_which_they_leave_out() -> None:
    report = data_report(made(), 3, ["a.jpg"])
    metrics = data_metrics(report)
    assert metrics.pop("details") == [report]
    assert metrics == {
        "train_images": 10,
        "val_images": 4,
        "test_images": 5,
        "two_split_images": 1 + 2 + 2,
        "two_label_images": 1,
        "unreadable_images": 1,
    }
