"""The binary version of CIFAR-10: a gzip-compressed tar archive of five training batches, a test batch and the classes' names.

A batch is up to 10,000 records of 3,073 bytes: the label, then 1,024 bytes of red, of green and of blue, each row by row
(https://www.cs.toronto.edu/~kriz/cifar.html).
"""

import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from classifier.common.errors import UserError, short_message, short_repr
from classifier.decoding.compressed import open_gzip
from classifier.images.arrays import Block, row_slices
from classifier.images.schema import TableSplit

SHAPE_CHW = (3, 32, 32)
RECORD_BYTES = 1 + 3 * 32 * 32
MAX_RECORDS = 10_000
FOLDER = "cifar-10-batches-bin"
CLASSES_FILE = "batches.meta.txt"
BATCHES: dict[TableSplit, list[str]] = {
    "train": [f"data_batch_{number}.bin" for number in range(1, 6)],
    "test": ["test_batch.bin"],
}
MAX_BYTES = 2**28
"""Of the archive unpacked, a third more than the official one has. A few kilobytes of gzip data can unpack to gigabytes."""
MAX_MEMBERS = 100


def read_cifar(path: Path, classes: list[str]) -> dict[TableSplit, Iterator[Block]]:
    """The blocks of images_N3HW (32×32) and labels_N of each split, the training batches in the order of their numbers.

    Nothing is unpacked to the disk. The batches do not lie in their order in the archive, so all six are read (180 MB) at once.
    Raises UserError for an archive that is damaged or has other members or sizes, a link or a path out of its folder, and for
    other class names than `classes` and labels from their number on.
    """
    wanted = {f"{FOLDER}/{name}": name for names in (*BATCHES.values(), [CLASSES_FILE]) for name in names}
    members: dict[str, bytes] = {}
    with open_gzip(path, MAX_BYTES) as reader:
        try:
            with tarfile.open(fileobj=reader, mode="r|") as archive:
                for number, member in enumerate(archive):
                    _check_hostile(path, member, number)
                    if (name := wanted.get(member.name)) is not None:
                        members[name] = _content(path, archive, member, name)
        except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
            if isinstance(error, UserError):
                raise
            raise UserError(f"{path}: not a whole tar archive: {short_message(error)}") from None
    missing = [name for name in wanted.values() if name not in members]
    if missing:
        raise UserError(f"{path}: needs {FOLDER}/{missing[0]}, found none")
    _check_other_classes(path, members[CLASSES_FILE], classes)
    return {split: _blocks(path, names, members, len(classes)) for split, names in BATCHES.items()}


def _check_hostile(path: Path, member: tarfile.TarInfo, number: int) -> None:
    parts = PurePosixPath(member.name).parts
    if number >= MAX_MEMBERS:
        raise UserError(f"{path}: needs at most {MAX_MEMBERS} members, found more")
    if not (member.isreg() or member.isdir()) or parts[:1] != (FOLDER,) or ".." in parts:
        raise UserError(f"{path}: needs plain files in {FOLDER}, found {short_repr(member.name)}")


def _content(path: Path, archive: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> bytes:
    if name != CLASSES_FILE and (member.size % RECORD_BYTES or not 0 < member.size <= MAX_RECORDS * RECORD_BYTES):
        needed = f"1 to {MAX_RECORDS} records of {RECORD_BYTES} bytes"
        raise UserError(f"{path}: {FOLDER}/{name}: needs {needed}, found {member.size} bytes")
    stream = archive.extractfile(member)
    if stream is None:
        raise UserError(f"{path}: {FOLDER}/{name}: needs a plain file")
    content = stream.read()
    if len(content) != member.size:
        raise UserError(f"{path}: {FOLDER}/{name}: needs {member.size} bytes, found {len(content)}")
    return content


def _check_other_classes(path: Path, text: bytes, classes: list[str]) -> None:
    found = text.decode(errors="replace").split()
    if found != classes:
        raise UserError(f"{path}: {CLASSES_FILE}: needs {', '.join(classes)}, found {short_repr(' '.join(found))}")


def _blocks(path: Path, names: list[str], members: Mapping[str, bytes], num_classes: int) -> Iterator[Block]:
    for name in names:
        records = np.frombuffer(members[name], dtype=np.uint8).reshape(-1, RECORD_BYTES)
        wrong = np.flatnonzero(records[:, 0] >= num_classes)
        if len(wrong):
            where = f"{path}: {FOLDER}/{name}: the label of record {wrong[0] + 1}"
            raise UserError(f"{where} must be from 0 to {num_classes - 1}, found {records[wrong[0], 0]}")
        for rows in row_slices(len(records), RECORD_BYTES):
            yield records[rows, 1:].reshape(-1, *SHAPE_CHW), records[rows, 0].astype(np.int64)
