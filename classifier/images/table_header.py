"""The header of a CSV table of images. `download` reads it as well, so this module loads no NumPy."""

import re
from codecs import BOM_UTF8
from io import BufferedReader

from classifier.common.errors import UserError, short_repr
from classifier.images.schema import MAX_PIXELS


def column_names(num_pixels: int) -> list[str]:
    """`label`, then `pixel1` to `pixel<num_pixels>`."""
    return ["label", *(f"pixel{number}" for number in range(1, num_pixels + 1))]


def header(num_pixels: int) -> bytes:
    """The first line, without its line end."""
    return ",".join(column_names(num_pixels)).encode()


MAX_LINE_BYTES = 2**25
"""Room for MAX_PIXELS pixels of up to four characters, twice."""
LOOKS_LIKE_A_NUMBER = re.compile(r"[\s+-]*[0-9][0-9.eE+-]*\s*")


def read_header(file: BufferedReader) -> list[str]:
    """The names of the columns of an open table. Raises UserError for a first line that is no header of two names or more."""
    line = file.readline(MAX_LINE_BYTES).removeprefix(BOM_UTF8).rstrip(b"\r\n")
    names = line.decode(errors="replace").split(",")
    if len(names) < 2 or all(LOOKS_LIKE_A_NUMBER.fullmatch(name) for name in names):
        raise UserError(
            f"{file.name}: line 1: needs a header label,pixel1,pixel2,…, found {short_repr(line.decode(errors='replace'))}"
        )
    if len(names) - 1 > MAX_PIXELS:
        raise UserError(f"{file.name}: needs at most {MAX_PIXELS} pixels an image, found {len(names) - 1} columns of them")
    return names
