"""Says what a folder, an archive or a table of one's own is taken for, before anything runs: `python -m tools.data SOURCE`.

Where it has two readings, it names the params that choose one, with exit status 1. `-S label_column=breed` tries a param.
"""

import argparse
from pathlib import Path

from classifier.common.errors import UserError, short_repr
from classifier.common.params import PARAMS_FILE, validate
from classifier.images.schema import CSV, FOLDER
from classifier.sources.folder import list_pictures
from classifier.sources.params import DownloadParams, check_source, columns_of
from classifier.sources.report import command, folder_lines
from classifier.sources.tables import find_tables
from tools.command import run_command

SETTINGS = [name for name in DownloadParams.model_fields if name not in ("dataset", "source")]


def main() -> int:
    """Print what was recognised."""
    arguments = _parser().parse_args()
    settings = _settings(arguments.settings)
    source = str(Path(arguments.source).expanduser())
    if not Path(source).exists():
        raise UserError(f"{source}: no such file or folder")
    absolute = str(Path(source).resolve()) if ".." in Path(source).parts else source
    is_table = Path(source).suffix.lower() == ".csv"
    dataset = CSV if is_table else FOLDER
    params = validate(PARAMS_FILE, {"dataset": dataset, "source": absolute, **settings}, DownloadParams)
    check_source(Path(source), dataset)
    if is_table or _holds_only_tables(Path(source)):
        print(f"{source}: a table of pixels, or a folder of such tables; `download` says what it makes of them")
        print(command(CSV, absolute, {}))
        return 0
    listing = list_pictures(Path(source), columns_of(params), params.class_depth, params.group_pattern)
    for line in folder_lines(listing, absolute, settings):
        print(line)
    return 0


def _settings(texts: list[str]) -> dict[str, str | int | None]:
    found: dict[str, str | int | None] = dict.fromkeys(SETTINGS)
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or key not in SETTINGS:
            raise UserError(f"-S {text}: needs one of {', '.join(SETTINGS)}, as `-S label_column=breed`, got {short_repr(key)}")
        found[key] = int(value) if value.isdecimal() and key == "class_depth" else value.strip("'\"")
    return found


def _holds_only_tables(source: Path) -> bool:
    """Whether `dataset: csv` would take the folder, and no picture lies in it or in a folder of it."""
    if not source.is_dir() or any(path.is_dir() for path in source.iterdir()):
        return False
    try:
        return bool(find_tables(source))
    except UserError:
        return False


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.data", description="what a source of one's own is taken for")
    parser.add_argument("source", help="a folder of pictures, a .zip or .tar of one, or tables of pixels")
    parser.add_argument("-S", dest="settings", action="append", default=[], metavar="PARAM=VALUE", help="a param to try")
    return parser


if __name__ == "__main__":
    run_command(main)
