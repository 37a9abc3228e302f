"""What is checked of the pictures that were found, before any of them is read."""

import re
from itertools import pairwise

from classifier.common.errors import UserError, short_repr
from classifier.common.text import is_printable
from classifier.images.schema import FOLDER, LONGEST_NAME
from classifier.sources.files import LFS_POINTER, is_picture
from classifier.sources.label_tables import LABELS_FILE
from classifier.sources.labels import GENERIC
from classifier.sources.listing import Listing, command, shown
from classifier.sources.tree import Tree

TWINS = 0.1
"""Share of the pictures at which two of a name are no chance."""
MAX_CLASSES = 20
"""Of which a picture is looked into."""
MASK_WORDS = {
    *("mask", "masks", "gt", "groundtruth", "truth", "ground", "annotation", "annotations", "label", "labels"),
    *("seg", "segmentation", "segmentations"),
}
"""Of folders that hold a picture's outlines beside the folder of the pictures."""
JOINTS = re.compile(r"[|,;/+&]")
"""What people write between several labels of one picture."""


def check_names(listing: Listing) -> None:
    """Raise UserError for a class that cannot be called so."""
    for name in listing.classes:
        if name != name.strip() or not is_printable(name) or len(name) > LONGEST_NAME:
            raise UserError(
                f"{listing.files.source}: the class name {short_repr(name)} must be printable and of at most {LONGEST_NAME} "
                f"characters, without spaces at its ends; it has {len(name)}"
            )


def check_masks(tree: Tree, depth: int) -> None:
    """Raise UserError for folders such as images/ and masks/, `depth` deep: they hold parts of one picture."""
    words = [{*re.findall("[a-z]+", name.lower())} for name in tree.folders]
    if all(one <= GENERIC | MASK_WORDS for one in words) and any(map(MASK_WORDS.intersection, words)):
        source = tree.files.source
        raise UserError(
            f"{source}: the folders {shown(tree.folders)} look like pictures and their masks, not like classes; needs a folder "
            f"for each class, or a file {LABELS_FILE} with `path,label`; where they are the classes, say "
            f"`{command(FOLDER, source, {'class_depth': depth})}`"
        )


def check_classes_to_train_on(listing: Listing) -> None:
    """Raise UserError where there are not two."""
    train = {number for number, is_test in zip(listing.class_of, listing.is_test, strict=True) if not is_test}
    if not train:
        raise UserError(f"{listing.files.source}: needs pictures to train on, found some only to test on")
    if len(train) < 2:
        raise UserError(
            f"{listing.files.source}: needs pictures of two classes or more to train on, found only "
            f"{short_repr(listing.class_names[train.pop()])} there"
        )


def say_odd_classes(listing: Listing) -> None:
    """Cat and cat may be one class; `cat|dog` may be two labels of one picture. Single letters are what they are."""
    classes = listing.classes
    first: dict[str, str] = {}
    same = [(first[name.lower()], name) for name in classes if first.setdefault(name.lower(), name) != name and len(name) > 1]
    if same:
        one, other = same[0]
        listing.notes.append(
            f"{short_repr(one)} and {short_repr(other)} are two classes here ({len(same)} such); if they are the same, "
            "call them the same"
        )
    joined = [name for name in classes if len(parts := JOINTS.split(name)) > 1 and {*map(str.strip, parts)} <= {*classes}]
    if joined:
        listing.notes.append(
            f"{short_repr(joined[0])} is a class of its own here ({len(joined)} such); if it means several labels, take "
            "those pictures out: a picture has one class"
        )


def say_twins(listing: Listing) -> None:
    """a.jpg beside a.png: one may be the mask of the other, which is no picture of the class."""
    paths = (listing.files.pictures[place] for place in listing.places)
    twins = [
        (one, other)
        for one, other in pairwise(paths)
        if one.rpartition(".")[0] == other.rpartition(".")[0] and is_picture(one) and is_picture(other)
    ]
    if len(twins) >= TWINS * len(listing):
        one, other = twins[0]
        listing.notes.append(
            f"{len(twins)} names occur with two suffixes, as {short_repr(one)} and {short_repr(other)}; if one is a mask "
            "or another form of the other, take those out"
        )


def check_pointers(listing: Listing) -> None:
    """Raise UserError where the first pictures of the classes are pointers of Git LFS."""
    firsts: dict[int, int] = {}
    for number, name in enumerate(listing.class_of):
        firsts.setdefault(name, number)
        if len(firsts) == MAX_CLASSES:
            break
    paths = [listing.files.pictures[listing.places[number]] for number in firsts.values()]
    pointers = [path for path in paths if listing.files.peek(path, len(LFS_POINTER)) == LFS_POINTER]
    if pointers:
        raise UserError(
            f"{listing.files.source}: {short_repr(pointers[0])} is a pointer of Git LFS, not the picture; run `git lfs pull` "
            "in its repository"
        )
