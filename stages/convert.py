"""Stage `convert`: data/raw -> data/csv/{train,test}.csv, data/csv/schema.json."""

import math
import sys
from pathlib import Path

from classifier.common.errors import UserError, short_repr
from classifier.common.files import read_json, replacing_folder, write_json
from classifier.decoding.params import ConvertParams
from classifier.decoding.raw_images import read_raw
from classifier.decoding.resize import CHANNELS, coloured, resized
from classifier.images.groups import write_groups
from classifier.images.packed_pixels import MAX_COLUMNS, write_packed
from classifier.images.schema import RawDescription, TableSchema
from classifier.images.table import write_table
from classifier.images.unreadable import UNREADABLE_FILE, write_unreadable
from stages.runner import run_stage

MAX_MESSAGE = 20
BLACK = 15
"""Of 255: white of 12 bits in a file of 16."""


def main(params: ConvertParams, root: Path = Path()) -> None:
    """Write the tables of both splits, with every image brought to the size and the colours of `params`."""
    raw = root / "data/raw"
    description = read_json(raw / "raw.json", RawDescription)
    with replacing_folder(root / "data/csv") as folder:
        scratch = folder / "pixels"
        images = read_raw(raw, description, params, scratch)
        shape_CHW = (CHANNELS.get(params.color, images.channels), params.image_size, params.image_size)
        packed = math.prod(shape_CHW) > MAX_COLUMNS
        rows = {}
        for split, blocks in images.splits.items():
            final = resized(coloured(blocks, shape_CHW[0]), params.image_size, params.resize)
            if packed:
                rows[split] = write_packed(folder, split, shape_CHW, final)
            else:
                rows[split] = write_table(folder / f"{split}.csv", math.prod(shape_CHW), final)
        if not rows["train"]:
            raise UserError(f"{raw}: needs images to train on, found none")
        scratch.unlink(missing_ok=True)
        schema = TableSchema(
            dataset=description.dataset,
            classes=description.classes,
            shape_CHW=shape_CHW,
            hflip_invariant=description.hflip_invariant,
            pixel_max=description.pixel_max,
            packed_pixels=True if packed else None,
            rows=rows,
        )
        write_json(folder / "schema.json", schema.model_dump(mode="json", exclude_none=True))
        if images.group_names:
            write_groups(folder, images.group_names, images.train_groups)
        if images.unreadable:
            write_unreadable(folder, images.unreadable)
    if images.brightest is not None and images.brightest <= BLACK:
        print(
            f"almost black: no pixel is above {images.brightest} of 255, as in pictures of 10 or 12 bits that are stored with "
            "16; multiply those by 64 or 16 first",
            file=sys.stderr,
        )
    for one in images.unreadable[:MAX_MESSAGE]:
        print(f"unreadable, left out: {short_repr(one.path)}: {one.reason}", file=sys.stderr)
    if len(images.unreadable) > MAX_MESSAGE:
        print(f"unreadable, left out: {len(images.unreadable)} in all; data/csv/{UNREADABLE_FILE} lists them", file=sys.stderr)


if __name__ == "__main__":
    run_stage("convert", main, ConvertParams)
