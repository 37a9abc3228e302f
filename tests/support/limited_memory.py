"""Runs stages in a process of their own with less memory than their images take.

python -m tests.support.limited_memory WHAT FOLDER

The limit is that of the private writable memory (RLIMIT_DATA): it counts neither the code of the libraries nor maps of files.
WHAT is `idx` (CSV tables), `wide` (packed pixels), `pictures`, `damaged` (pictures that break off), `state` (of an earlier
run), or `train`.
"""

import io
import json
import os
import resource
import sys
import threading
from pathlib import Path

import numpy as np
from PIL import Image

from classifier.common.errors import UserError
from classifier.decoding.pictures import decode_pack
from classifier.images.arrays import write_header
from classifier.images.picture_pack import CONTENTS_FILE, LIST_FILE
from stages import build, convert
from tests.support.data_params import build_params, convert_params

MEBIBYTE = 2**20
ROOM = 64 * MEBIBYTE
"""For blocks of images, decoded pictures and tables of labels."""
ROOM_TO_TRAIN = 256 * MEBIBYTE
"""For batches as bytes and as floats, for what torch imports late, and for threads, also that of the notice of a stall."""
BEYOND = 16 * MEBIBYTE
"""By how much the images are more than the process may use."""
NUM_CLASSES = 10
MAX_CORES, STACK = 2, 8 * MEBIBYTE
"""A core's thread that decodes pictures has a stack of its own, which the limit counts, whatever the machine would give it."""
SIDES = {"idx": 28, "wide": 128, "pictures": 256}
SIDE_TO_TRAIN = 256
LARGE_SIDE = 1024


def held_bytes() -> int:
    """The private writable memory of this process, as the limit counts it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmData"))


def limited_to(room: int) -> int:
    """Let the process use `room` more than it does; return how much it may use in all."""
    limit = held_bytes() + room
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    return limit


def refuse_to_hold(path: Path) -> None:
    """The limit must be one: to load all of `path` has to fail."""
    try:
        np.load(path)
    except MemoryError:
        return
    raise AssertionError(f"{path} fits into the limit")


def sparse(path: Path, header: bytes, num_bytes: int) -> None:
    """A file of zeros after the header, which takes no room on the disk."""
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + num_bytes)


def idx_header(*shape: int) -> bytes:
    return bytes([0, 0, 8, len(shape)]) + np.array(shape, dtype=">u4").tobytes()


def write_idx(raw: Path, num_images: int, side: int) -> dict[str, str]:
    for split, number in (("train", num_images), ("test", NUM_CLASSES)):
        sparse(raw / f"{split}_images", idx_header(number, side, side), number * side**2)
        labels_N = np.arange(number, dtype=np.uint8) % NUM_CLASSES
        (raw / f"{split}_labels").write_bytes(idx_header(number) + labels_N.tobytes())
    return {f"{split}_{kind}": f"{split}_{kind}" for split in ("train", "test") for kind in ("images", "labels")}


def write_pictures(raw: Path, num_images: int) -> dict[str, str]:
    """Small ones, which `convert` enlarges."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 100, 0)).save(stream, "PNG")
    picture = stream.getvalue()
    (raw / CONTENTS_FILE).write_bytes(picture * num_images)
    lines = [
        f"{row}.png,{'train' if row < num_images - 20 else 'test'},{row % NUM_CLASSES},{len(picture)}\n"
        for row in range(num_images)
    ]
    (raw / LIST_FILE).write_text("path,split,label,size\n" + "".join(lines))
    return {"contents": CONTENTS_FILE, "list": LIST_FILE}


def convert_and_build(kind: str, root: Path) -> None:
    side, channels = SIDES[kind], 3 if kind == "pictures" else 1
    num_images = (held_bytes() + ROOM + BEYOND) // (channels * side**2)
    raw = root / "data/raw"
    raw.mkdir(parents=True)
    files = write_pictures(raw, num_images) if kind == "pictures" else write_idx(raw, num_images, side)
    description = {
        "dataset": "mine",
        "format": "pictures" if kind == "pictures" else "idx",
        "classes": [str(label) for label in range(NUM_CLASSES)],
        "hflip_invariant": True,
        "files": files,
    }
    (raw / "raw.json").write_text(json.dumps(description))
    assert num_images * channels * side**2 > limited_to(ROOM)
    convert.main(convert_params(image_size=side), root)
    build.main(build_params(), root)
    refuse_to_hold(root / "data/dataset/train/images.npy")


def decode_damaged(raw: Path) -> None:
    """Large pictures of which the end is missing: what was decoded of them until then must not stay."""
    stream = io.BytesIO()
    Image.new("RGB", (LARGE_SIDE, LARGE_SIDE)).save(stream, "PNG")
    whole = stream.getvalue()
    contents = [whole, *[whole[: len(whole) // 2]] * (2 * ROOM // (3 * LARGE_SIDE**2))]
    lines = [f"{row}.png,train,0,{len(content)}\n" for row, content in enumerate(contents)]
    (raw / CONTENTS_FILE).write_bytes(b"".join(contents))
    (raw / LIST_FILE).write_text("path,split,label,size\n" + "".join(lines))
    limited_to(ROOM)
    found = decode_pack(raw, list(map(str, range(NUM_CLASSES))), SIDES["idx"], "crop", "rgb", 1.0, raw / "pixels")
    assert len(found.unreadable) == len(contents) - 1


def read_large_state(folder: Path) -> None:
    """It must not pass for a damaged one, after which the training starts anew."""
    from safetensors.numpy import save_file

    from classifier.model.image_classifier import ImageClassifier
    from classifier.networks.own import build_network
    from classifier.training.checkpoint import read_checkpoint
    from classifier.training.loop import TrainState
    from tests.support.training import params, recipe_for

    train_state = TrainState(
        ImageClassifier(build_network("softmax", (1, 8, 8), NUM_CLASSES, 0), [0.5], [0.25]), recipe_for(params())
    )
    path = folder / "state.safetensors"
    save_file({"network.weight": np.zeros(ROOM // 2, dtype=np.float32)}, path, {"run": path.name})
    limited_to(ROOM)
    try:
        read_checkpoint(path, train_state)
    except UserError as error:
        assert str(error).startswith("out of memory: "), error
        return
    raise AssertionError("there was room for it")


def train(root: Path) -> None:
    """A whole epoch through the stage, shuffled and augmented, on more images than there is room for beside torch."""
    from stages import train as stage
    from tests.support.training import params

    image_bytes = SIDE_TO_TRAIN**2
    num_images = (ROOM_TO_TRAIN + BEYOND) // image_bytes
    for split, number in (("train", num_images), ("val", 64)):
        folder = root / "data/dataset" / split
        folder.mkdir(parents=True)
        with (folder / "images.npy").open("wb") as file:
            write_header(file, np.dtype("|u1"), (number, 1, SIDE_TO_TRAIN, SIDE_TO_TRAIN))
            file.truncate(file.tell() + number * image_bytes)
        np.save(folder / "labels.npy", np.arange(number) % NUM_CLASSES)
    info = {
        "dataset": "mine",
        "classes": [str(label) for label in range(NUM_CLASSES)],
        "shape_CHW": [1, SIDE_TO_TRAIN, SIDE_TO_TRAIN],
        "hflip_invariant": True,
        "rows": {"train": num_images, "val": 64, "test": 0},
        "mean": [0.5],
        "std": [0.25],
    }
    (root / "data/dataset/dataset.json").write_text(json.dumps(info))
    (root / "models").mkdir()
    limited_to(ROOM_TO_TRAIN)
    refuse_to_hold(root / "data/dataset/train/images.npy")
    stage.main(params(batch_size=8, augment=["flip"], lr=0.001), root)


if __name__ == "__main__":
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:MAX_CORES])
    threading.stack_size(STACK)
    what, folder = sys.argv[1], Path(sys.argv[2])
    if what == "train":
        train(folder)
    elif what == "state":
        read_large_state(folder)
    elif what == "damaged":
        decode_damaged(folder)
    else:
        convert_and_build(what, folder)
