"""What is odd about a data set, counted before anything is trained on it."""

import csv
import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.images.arrays import Images, Labels, row_slices
from classifier.images.schema import DatasetSplit

Splits = Mapping[DatasetSplit, tuple[Images, Labels]]
"""images_NCHW and labels_N of each split, in the order train, val, test."""
Digests = NDArray[np.uint64]
DIGEST_BYTES = 8
"""Among a million different images two have the same digest once in 37 million times."""
MAX_NAMED = 20
"""Unreadable files."""
LARGE_IMBALANCE = 10
"""Of the largest class to the smallest: worth a remark."""


def data_report(splits: Splits, num_classes: int, unreadable: Sequence[str], pixel_max: int | None = None) -> dict[str, Any]:
    """The details in metrics/data.json; those of a split without images are left out.

    - `images`, `classes_missing`, `constant` (of one colour all over), and `repeated` (the same pixels as an image before it in
      the same split), a number for each split
    - `imbalance`: images of the largest class of train for each one of the smallest that has any
    - `leaked`: images of a split whose very pixels are also in the split that comes before: `test_in_train` should be 0
    - `label_conflicts`: different images that occur with more than one label
    - `unreadable`: pictures that were left out, and `unreadable_files`, the names of the first
    - `pixel_max`: of tables whose pixels lay within 0 to that number and were scaled to 0 to 255

    Memory: two digests an image, four where every image has an equal one.
    """
    filled = {name: split for name, split in splits.items() if len(split[1])}
    digests = {name: image_digests(images_NCHW) for name, (images_NCHW, _) in filled.items()}
    num_conflicts = _num_conflicts([(digests[name], labels_N) for name, (_, labels_N) in filled.items()])
    for found in digests.values():
        found.sort()
    counts = {name: np.bincount(labels_N, minlength=num_classes) for name, (_, labels_N) in filled.items()}
    train = counts["train"][counts["train"] > 0]
    report: dict[str, Any] = {
        "images": {name: len(labels_N) for name, (_, labels_N) in filled.items()},
        "classes": num_classes,
        "classes_missing": {name: int(np.count_nonzero(count == 0)) for name, count in counts.items()},
        "imbalance": round(int(train.max()) / int(train.min()), 4),
        "constant": {name: num_constant(images_NCHW) for name, (images_NCHW, _) in filled.items()},
        "repeated": {name: int(np.count_nonzero(found[1:] == found[:-1])) for name, found in digests.items()},
        "leaked": {
            f"{later}_in_{earlier}": sum(int(found.sum()) for _, _, found in _places(digests[earlier], digests[later]))
            for earlier, later in combinations(filled, 2)
        },
        "label_conflicts": num_conflicts,
        "unreadable": len(unreadable),
    }
    report |= {"unreadable_files": list(unreadable[:MAX_NAMED])} if unreadable else {}
    return report | ({"pixel_max": pixel_max} if pixel_max else {})


def data_metrics(report: Mapping[str, Any]) -> dict[str, Any]:
    """metrics/data.json: six numbers, and the whole report in a list, which DVC leaves out of its tables of metrics.

    `two_split_images` are those of a split that are also in another, `two_label_images` those that occur with several labels.
    """
    return {
        **{f"{split}_images": report["images"].get(split, 0) for split in ("train", "val", "test")},
        "two_split_images": sum(report["leaked"].values()),
        "two_label_images": report["label_conflicts"],
        "unreadable_images": report["unreadable"],
        "details": [report],
    }


def remarks(report: Mapping[str, Any]) -> Iterator[str]:
    """A line for each thing that a person should know before training."""
    for name, number in report["leaked"].items():
        if number:
            later, _, earlier = name.partition("_in_")
            yield f"{number} of {report['images'][later]} {later} images are also in {earlier}, pixel for pixel"
    for name, number in report["repeated"].items():
        if number:
            yield f"{number} of {report['images'][name]} {name} images repeat another one of {name}, pixel for pixel"
    for name, number in report["classes_missing"].items():
        if number:
            yield f"{number} of {report['classes']} classes have no image in {name}"
    for name, number in report["constant"].items():
        if number:
            yield f"{number} of {report['images'][name]} {name} images have one colour all over"
    if report["label_conflicts"]:
        yield f"{report['label_conflicts']} images occur with more than one label"
    if report["imbalance"] >= LARGE_IMBALANCE:
        yield f"the largest class has {report['imbalance']:g} times the training images of the smallest"
    if "pixel_max" in report:
        yield f"the pixels of the tables lie within 0 to {report['pixel_max']}; they were scaled to 0 to 255"


def class_table(splits: Splits, classes: list[str]) -> str:
    """The images of each class and split, as CSV."""
    counts = [np.bincount(labels_N, minlength=len(classes)).tolist() for _, labels_N in splits.values()]
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["class", *splits])
    lines.writerows(zip(classes, *counts, strict=True))
    return text.getvalue()


def image_digests(images_NCHW: Images) -> Digests:
    """A number for each image: the same for the same pixels, and as good as surely another for others (BLAKE2b)."""
    digests = np.empty(len(images_NCHW), dtype=np.uint64)
    for rows in row_slices(len(images_NCHW), images_NCHW[0].size):
        block = np.ascontiguousarray(images_NCHW[rows]).reshape(rows.stop - rows.start, -1)
        content = b"".join(hashlib.blake2b(image.data, digest_size=DIGEST_BYTES).digest() for image in block)
        digests[rows] = np.frombuffer(content, dtype="<u8")
    return digests


def num_constant(images_NCHW: Images) -> int:
    """How many images have the same colour in all pixels."""
    blocks = (images_NCHW[rows] for rows in row_slices(len(images_NCHW), images_NCHW[0].size))
    return sum(int((block == block[:, :, :1, :1]).all(axis=(1, 2, 3)).sum()) for block in blocks)


def _num_conflicts(splits: Sequence[tuple[Digests, Labels]]) -> int:
    """Digests that occur with more than one label, that is, whose lowest label is not the highest."""
    several = _several(splits)
    lowest, highest = np.full(len(several), np.iinfo(np.int64).max), np.full(len(several), -1)
    for digests, labels_N in splits:
        for rows, places, found in _places(several, digests):
            np.minimum.at(lowest, places[found], labels_N[rows][found])
            np.maximum.at(highest, places[found], labels_N[rows][found])
    return int(np.count_nonzero(lowest != highest))


def _several(splits: Sequence[tuple[Digests, Labels]]) -> Digests:
    """Those that occur more than once, sorted."""
    everything = np.concatenate([digests for digests, _ in splits])
    everything.sort()
    return np.unique(everything[1:][everything[1:] == everything[:-1]])


def _places(sought: Digests, digests: Digests) -> Iterator[tuple[slice, NDArray[np.intp], NDArray[np.bool_]]]:
    """Piece by piece of `digests`: its rows, where each would stand among the sorted `sought`, and whether it does."""
    for rows in row_slices(len(digests), DIGEST_BYTES):
        places = np.searchsorted(sought, digests[rows])
        found = places < len(sought)
        found[found] = sought[places[found]] == digests[rows][found]
        yield rows, places, found
