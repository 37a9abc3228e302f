"""What is odd about a data set, counted before anything is trained on it."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifier.images.arrays import Images, Labels, row_slices
from classifier.images.schema import DatasetSplit
from classifier.splits.digests import DIGEST_BYTES, Digests, all_digests
from classifier.splits.near_copies import MAX_IMAGES, NEIGHBOURS, NearCopy

Splits = Mapping[DatasetSplit, tuple[Images, Labels]]
"""images_NCHW and labels_N of each split, in the order train, val, test."""
MAX_NAMED = 20
"""Unreadable files."""
NEAR_COPIES_FILE = "near_copies.csv"
MAX_LISTED = 1000
"""Pairs of near copies."""
LARGE_IMBALANCE = 10
"""Of the largest class to the smallest: worth a remark."""


def data_report(
    splits: Splits,
    num_classes: int,
    unreadable: Sequence[str],
    pixel_max: int | None = None,
    near_copies: Sequence[NearCopy] | None = None,
    digests: Mapping[str, Digests] | None = None,
) -> dict[str, Any]:
    """The details in metrics/data.json; those of a split without images are left out.

    `digests` are those of the images, if they are known already; they are sorted in place.

    - `images`, `classes_missing`, `constant` (of one colour all over), and `repeated` (the same pixels as an image before it in
      the same split), a number for each split
    - `imbalance`: images of the largest class of train for each one of the smallest that has any
    - `leaked`: images of a split whose very pixels are also in the split that comes before: `test_in_train` should be 0
    - `near_copies`: images with a near copy in a split that comes before, if these were looked for: see
      classifier/splits/near_copies.py; and `near_copies_full`, images with so many that there may be more
    - `label_conflicts`: different images that occur with more than one label
    - `unreadable`: pictures that were left out, and `unreadable_files`, the names of the first
    - `pixel_max`: of tables whose pixels lay within 0 to that number and were scaled to 0 to 255

    Memory: two digests an image, four where every image has an equal one.
    """
    filled = {name: split for name, split in splits.items() if len(split[1])}
    digests = digests or all_digests({str(name): images_NCHW for name, (images_NCHW, _) in filled.items()})
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
    if near_copies is not None:
        num_of = Counter(place for one in near_copies for place in ((one.split, one.row), (one.earlier_split, one.earlier_row)))
        report["near_copies"] = len({(one.split, one.row) for one in near_copies if one.is_across})
        report["near_copies_full"] = sum(number >= NEIGHBOURS for number in num_of.values())
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
    if report.get("near_copies"):
        yield (
            f"{report['near_copies']} images are near copies of one in another split, or look so (compressed again, resized, "
            f"shifted by a pixel or two, brightened); data/dataset/{NEAR_COPIES_FILE} lists the pairs; the params group_column "
            "and group_pattern keep copies together when a split is cut"
        )
    if report.get("near_copies_full"):
        yield f"{report['near_copies_full']} images have {NEIGHBOURS} near copies or more; further ones were not looked for"
    if sum(report["images"].values()) > MAX_IMAGES:
        yield f"near copies were not looked for: there are more than {MAX_IMAGES} images"
    if report["label_conflicts"]:
        yield f"{report['label_conflicts']} images occur with more than one label"
    if report["imbalance"] >= LARGE_IMBALANCE:
        yield f"the largest class has {report['imbalance']:g} times the training images of the smallest"
    if "pixel_max" in report:
        yield f"the pixels of the tables lie within 0 to {report['pixel_max']}; they were scaled to 0 to 255"


def near_copies_table(near_copies: Sequence[NearCopy] | None, splits: Splits, classes: list[str]) -> str:
    """The nearest pairs as CSV, those across splits first. Rows count from 0."""
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["split", "row", "class", "earlier_split", "earlier_row", "earlier_class", "difference"])
    labels = {str(name): labels_N for name, (_, labels_N) in splits.items()}
    for one in sorted(near_copies or (), key=lambda one: (not one.is_across, one))[:MAX_LISTED]:
        places = ((one.split, one.row), (one.earlier_split, one.earlier_row))
        lines.writerow([cell for split, row in places for cell in (split, row, classes[labels[split][row]])] + [one.difference])
    return text.getvalue()


def class_table(splits: Splits, classes: list[str]) -> str:
    """The images of each class and split, as CSV."""
    counts = [np.bincount(labels_N, minlength=len(classes)).tolist() for _, labels_N in splits.values()]
    text = io.StringIO(newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(["class", *splits])
    lines.writerows(zip(classes, *counts, strict=True))
    return text.getvalue()


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
