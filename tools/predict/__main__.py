"""Classify pictures with the trained model in models/, and say how each picture was prepared.

Pictures are files, folders of them, and the rows of tables of pixels (.csv, .csv.gz, .npz).

Exit status: 0; 1 when nothing can be answered; 2 for a wrong command line; 3 when some pictures could not be read.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from classifier.common.errors import UserError
from classifier.common.files import replacing
from classifier.sources.params import PIXEL_TABLES
from tools.command import Parser, run_command
from tools.predict.paths import displayed_path, find_pictures

if TYPE_CHECKING:
    from tools.predict.output import Report


SOME_UNREADABLE = 3


def main(arguments: list[str] | None = None, root: Path = Path()) -> int:
    """Answer for the pictures that are named, and return the exit status."""
    options = _options(arguments)
    tables = [path for path in options.pictures if path.is_file() and path.name.lower().endswith(PIXEL_TABLES)]
    found = find_pictures([path for path in options.pictures if path not in tables])
    if options.grid:
        _check_bad_output("--grid", options.grid, ".png", [*found.paths, *tables])
    if options.csv:
        _check_bad_output("--csv", options.csv, ".csv", [*found.paths, *tables])
    for note in found.notes:
        print(note, file=sys.stderr)
    if not options.csv:
        return _predict(options, found.paths, tables, root, None)
    with replacing(options.csv) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        status = _predict(options, found.paths, tables, root, file)
    print(f"{displayed_path(options.csv)}: written", file=sys.stderr)
    return status


def _predict(options: argparse.Namespace, paths: list[Path], tables: list[Path], root: Path, csv_file: TextIO | None) -> int:
    from tools.predict.output import Report
    from tools.predict.predictor import Predictor  # torch takes seconds to import: a wrong command line is told before
    from tools.predict.tables import read_tables

    predictor = Predictor.of_project(root, options.invert)
    opened = read_tables(tables, predictor.description, predictor.settings.image_shape)
    for table in opened:
        for note in table.notes:
            print(note, file=sys.stderr)
    report = Report(
        predictor, as_json=options.json, show=options.show, keeps_pictures=options.grid is not None, csv_file=csv_file
    )
    for result in predictor.answers(paths, opened):
        report.take(result)
    if options.json:
        print(json.dumps(report.document(), indent=2, allow_nan=False))
    if options.grid and report.kept:
        _draw(options.grid, report)
    if not report.num_answered:
        return 1
    return SOME_UNREADABLE if report.unreadable else 0


def _draw(path: Path, report: "Report") -> None:
    from classifier.figures.style import save_png, styled  # matplotlib takes half a second to import
    from tools.predict.output import answer_grid

    names = [name for answer in report.kept for name in (answer.picture.path.name, answer.top[0][0])]
    with styled(names) as remark:
        save_png(answer_grid(report.kept), path)
    if remark:
        print(f"{displayed_path(path)}: {remark}", file=sys.stderr)
    if report.num_answered > len(report.kept):
        print(f"{displayed_path(path)}: the first {len(report.kept)} of {report.num_answered} pictures", file=sys.stderr)


def _check_bad_output(option: str, path: Path, suffix: str, pictures: list[Path]) -> None:
    """Before any work; also what would write over a picture, as `--grid *.png` of a shell does."""
    where = f"{option} {displayed_path(path)}"
    if path.suffix.lower() != suffix:
        raise UserError(f"{where}: needs a name that ends in {suffix}")
    if path.exists() and any(path.samefile(picture) for picture in pictures):
        raise UserError(f"{where}: is one of the pictures, and would be written over; choose another name")
    if path.is_dir() or not path.parent.is_dir() or not os.access(path.parent, os.W_OK):
        raise UserError(f"{where}: needs a file name in a folder that exists and that you may write to")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    first, _, rest = (__doc__ or "").partition("\n\n")
    parser = Parser(
        prog="python -m tools.predict",
        description=first,
        epilog=f"{rest} example: python -m tools.predict shoe.jpg pictures --json",
    )
    of_a_picture = "a picture, a folder of them, or a table of pixels (.csv, .csv.gz, .npz)"
    parser.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE", help=of_a_picture)
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    parser.add_argument(
        "--csv", type=Path, metavar="OUT.CSV", help="write a row for each picture: path, row, class, confidence"
    )
    parser.add_argument("--grid", type=Path, metavar="OUT.PNG", help="draw the pictures as the model saw them, and its answers")
    parser.add_argument("--show", action="store_true", help="print each picture as the model saw it, in characters")
    parser.add_argument(
        "--invert",
        choices=["auto", "yes", "no"],
        default="auto",
        help="exchange light and dark; auto (the default): of a grey model, when the border is not as in training",
    )
    options = parser.parse_args(arguments)
    if options.show and (options.json or options.csv):
        parser.error(f"--show prints between the lines, which {'--json' if options.json else '--csv'} has none of; choose one")
    return options


if __name__ == "__main__":
    run_command(main)
