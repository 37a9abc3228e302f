"""Show how your own folder, archive or table is read; nothing runs: `python -m tools.data SOURCE`.

Where it has two readings, it names the params that choose one, with exit status 1. `-S label_column=breed` tries a param.
"""

import argparse
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from classifier.common.errors import UserError, short_repr
from classifier.common.params import PARAMS_FILE, read_yaml, validate
from classifier.common.text import visible
from classifier.decoding.pictures import quiet_pillow
from classifier.images.schema import CSV, FOLDER
from classifier.images.table import image_shape
from classifier.sources.csv_layouts import Asked
from classifier.sources.files import ArchiveFiles, holds_pictures, is_archive, is_picture, open_archive
from classifier.sources.folder import list_pictures
from classifier.sources.listing import MIRROR_NOTE, MOST_CLASSES, Listing, command, listing_lines, shown
from classifier.sources.npz_file import Arrays
from classifier.sources.npz_file import image_shape as npz_shape
from classifier.sources.params import PIXEL_TABLES, DownloadParams, check_source, columns_of
from classifier.sources.tables import Table, find_tables, open_tables, other_tables, survey, tables_folder, tables_in
from tools.command import Parser, run_command
from tools.experiments.named import untracked_images

SHAPE = "image_shape"
SIZE = "image_size"
GOOD_SIZE = 64
"""Pixels a side, with which README begins for photographs."""
LEGEND = ("channels", "height", "width")
SETTINGS = [*(name for name in DownloadParams.model_fields if name not in ("dataset", "source")), SHAPE]
NUMBER = re.compile(r"[0-9]+")


def main() -> int:
    """Print what was recognised."""
    arguments = _parser().parse_args()
    settings = _settings(arguments.settings)
    source = str(Path(arguments.source).expanduser())
    if not Path(source).exists():
        raise UserError(f"{source}: no such file or folder")
    archive = open_archive(Path(source)) if Path(source).is_file() and is_archive(Path(source)) else None
    is_table = _holds_only_tables(Path(source), archive)
    if not (is_table or Path(source).is_dir() or (Path(source).is_file() and holds_pictures(Path(source)))):
        found = "another file" if Path(source).is_file() else "neither a file nor a folder"
        raise UserError(
            f"{source}: needs a folder of pictures, .parquet files, tables of pixels ({', '.join(PIXEL_TABLES)}), or a .zip "
            f"or .tar of pictures or tables, found {found}"
        )
    dataset = CSV if is_table else FOLDER
    if settings[SHAPE] is not None and not is_table:
        raise UserError(f"-S {SHAPE}: is about tables of pixels, and {source} is none")
    known = {name: value for name, value in settings.items() if name != SHAPE}
    is_untracked = untracked_images({"dataset": dataset, "source": source}, Path()) is not None
    named = str(Path(source).resolve()) if is_untracked or ".." in Path(source).parts else source
    params = validate(PARAMS_FILE, {"dataset": dataset, "source": named, **known}, DownloadParams)
    check_source(Path(source), dataset)
    in_file = read_yaml(Path(PARAMS_FILE)) if Path(PARAMS_FILE).exists() else {}
    if is_table:
        lines = [*_table_lines(Path(source), archive, params, settings, in_file)]
    else:
        listing = list_pictures(Path(source), columns_of(params), params.class_depth, params.group_pattern, archive)
        lines = [*listing_lines(listing, source), MIRROR_NOTE, *_size_note(listing, in_file)]
        lines.append(command(FOLDER, named, settings, _set_in(in_file)))
    if is_untracked:
        lines.insert(-1, f"{source}: the command names the whole path, as `--temp` and `--queue` see what git and DVC track")
    for line in lines:
        print(visible(line))
    return 0


def _size_note(listing: Listing, in_file: dict[str, Any]) -> Iterator[str]:
    """Where the pictures would lose much: params.yaml is written for images of 28 pixels."""
    first = listing.picture(0).path
    try:
        with quiet_pillow(), Image.open(BytesIO(listing.files.read(first))) as image:
            width, height = image.size
    except OSError:  # which the stage convert names
        return
    better = min(width, height, GOOD_SIZE)
    if (size := in_file.get(SIZE, better)) < better:
        yield (
            f"{short_repr(first)} is {width}×{height}, and {SIZE} in params.yaml is {size}; `-S {SIZE}={better}` keeps more of "
            "the pictures, and takes longer"
        )


def _table_lines(
    source: Path,
    archive: ArchiveFiles | None,
    params: DownloadParams,
    settings: dict[str, str | int | None],
    in_file: dict[str, Any],
) -> Iterator[str]:
    """Of tables of pixels: the rows of each split, the classes, what was taken for what, and the command."""
    with tables_folder(source, archive) as place:
        paths = find_tables(place)
        tables = open_tables(paths, Asked(params.label_column, params.split_column))
        found = survey([table for table in tables if table.has_labels], params.pixel_max)
        yield f"{source}: tables of pixels, {found.num_pixels} an image"
        yield f"{found.rows.total()} images: " + ", ".join(f"{count} {split}" for split, count in found.rows.items())
        yield f"{len(found.classes)} classes: {shown(found.classes, MOST_CLASSES)}"
        for table in tables:
            where = table.where.replace(str(place), str(source))
            yield from (f"{where}: {note}" for note in table.notes)
            if not table.has_labels:
                yield f"{where}: left out, because it has no column of labels"
        if others := other_tables(place, paths):
            yield f"{source}: left out, because their names are of no split: {shown(others)}"
        yield from found.notes
        shape = _shape(source, tables[0], found.num_pixels, settings.get(SHAPE))
        height, width = shape[1:] if shape else image_shape(source, found.num_pixels, None)[1:]
        if height == width != in_file.get(SIZE, width):
            size = in_file[SIZE]
            yield f"the images are {height}×{width}, and {SIZE} in params.yaml is {size}; `-S {SIZE}={height}` keeps the pixels"
        yield command(CSV, params.source, settings | {SHAPE: shape}, _set_in(in_file))


def _set_in(in_file: dict[str, Any]) -> list[str]:
    """Settings that stand in params.yaml, maybe from a run with other files: the command must not depend on them."""
    return [name for name in SETTINGS if in_file.get(name) is not None]


def _shape(source: Path, table: Table, num_pixels: int, asked: object) -> list[int] | None:
    """What `image_shape` must be: None for a square in grey or colour. Raises UserError where only the person can know."""
    if asked is not None:
        numbers = [int(number) for number in NUMBER.findall(str(asked))]
        if len(numbers) != len(LEGEND):
            raise UserError(f"-S {SHAPE}={asked}: needs {', '.join(LEGEND)}, such as `-S '{SHAPE}=[1,20,28]'`")
        image_shape(source, num_pixels, numbers)
        return numbers
    if isinstance(table.content, Arrays):
        shape_CHW = npz_shape(table.path, table.content)
        return None if shape_CHW[1] == shape_CHW[2] else [*shape_CHW]
    image_shape(source, num_pixels, None)
    return None


def _settings(texts: list[str]) -> dict[str, str | int | None]:
    found: dict[str, str | int | None] = dict.fromkeys(SETTINGS)
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or key not in SETTINGS:
            raise UserError(f"-S {text}: needs one of {', '.join(SETTINGS)}, as `-S label_column=breed`, got {short_repr(key)}")
        if value != "null":
            found[key] = int(value) if value.isdecimal() and key in ("class_depth", "pixel_max") else value.strip("'\"")
    return found


def _holds_only_tables(source: Path, archive: ArchiveFiles | None) -> bool:
    """Whether it is a table, or a folder or archive that `dataset: csv` would take, and no picture lies in it."""
    if archive is not None:
        return bool(tables_in(archive)) and not archive.pictures
    if source.is_file():
        return source.name.lower().endswith(PIXEL_TABLES)
    if not source.is_dir() or any(path.is_dir() or is_picture(path.name) for path in source.iterdir()):
        return False
    try:
        return bool(find_tables(source))
    except UserError:
        return False


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m tools.data",
        description="how your own files are read",
        epilog="example: python -m tools.data ~/pictures -S group_pattern=null",
    )
    parser.add_argument("source", help="a folder of pictures, .parquet files, tables of pixels, or a .zip or .tar")
    parser.add_argument(
        "-S",
        dest="settings",
        action="append",
        default=[],
        metavar="PARAM=VALUE",
        help="try a param, such as -S label_column=breed",
    )
    return parser


if __name__ == "__main__":
    run_command(main)
