"""The pictures that a command line names. Loads neither torch nor Pillow: a wrong command line is told at once."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from classifier.common.errors import UserError, short_repr
from classifier.images.picture_pack import SUFFIXES
from classifier.sources.files import LEFT_BY_SYSTEMS


@dataclass(frozen=True)
class PictureFiles:
    """`paths` in their order: those named as they are, those of a folder sorted. `notes` are lines for the person."""

    paths: list[Path]
    notes: list[str]


def find_pictures(named: Sequence[Path]) -> PictureFiles:
    """A file is taken whatever it is called; of a folder and those below it, what is called like a picture and not hidden.

    Links to folders are not followed. Raises UserError for a path that is neither, and for a folder without any picture.
    """
    paths: list[Path] = []
    notes = []
    for path in named:
        if path.is_dir():
            files = _files_below(path)
            pictures = [file for file in files if file.suffix.lower() in SUFFIXES]
            others = [file for file in files if file.suffix.lower() not in SUFFIXES]
            if not pictures:
                held = f"{len(files)} files of other names" if files else "nothing"
                raise UserError(f"{displayed_path(path)}: needs pictures ({', '.join(sorted(SUFFIXES))}), found {held}")
            if others:
                more = f" and {len(others) - 1} more" if len(others) > 1 else ""
                notes.append(f"passed over, as its name is not that of a picture: {displayed_path(others[0])}{more}")
            paths += pictures
        elif path.is_file():
            paths.append(path)
        else:
            what = "neither a file nor a folder" if path.exists() else "no such file or folder"
            raise UserError(f"{displayed_path(path)}: {what}; name pictures, or a folder of them")
    return PictureFiles(paths, notes)


def displayed_path(path: Path) -> str:
    """`path` as it is typed; quoted and escaped where a terminal could not print it or would obey it."""
    text = str(path)
    return text if text.isprintable() else short_repr(text)


def _files_below(folder: Path) -> list[Path]:
    files: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=_stop):
        folders[:] = sorted(name for name in folders if _is_meant(name))
        files += [Path(place, name) for name in names if _is_meant(name) and Path(place, name).is_file()]
    return sorted(files)


def _stop(error: OSError) -> None:
    """Otherwise a folder that may not be read would pass for an empty one."""
    raise error


def _is_meant(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in LEFT_BY_SYSTEMS
