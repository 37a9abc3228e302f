"""What is checked of the pictures that were found, before any of them is read."""

from itertools import pairwise

from classifier.common.errors import UserError, short_repr
from classifier.common.text import is_printable
from classifier.images.schema import LONGEST_NAME
from classifier.sources.files import LFS_POINTER, is_picture
from classifier.sources.listing import Listing

TWINS = 0.1
"""Share of the pictures at which two of a name are no chance."""
MAX_CLASSES = 20
"""Of which a picture is looked into."""


def check_names(listing: Listing) -> None:
    """Raise UserError for a class that cannot be called so."""
    for name in listing.classes:
        if name != name.strip() or not is_printable(name) or len(name) > LONGEST_NAME:
            raise UserError(
                f"{listing.files.source}: the class name {short_repr(name)} must be printable and of at most {LONGEST_NAME} "
                f"characters, without spaces at its ends; it has {len(name)}"
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
