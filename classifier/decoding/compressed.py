"""Files that may be gzip-compressed."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader, RawIOBase
from pathlib import Path

from classifier.common.errors import UserError

GZIP_MAGIC = b"\x1f\x8b"
PIECE_BYTES = 2**20


class ByteReader(RawIOBase):
    """Reads a file front to back, plain or gzip-compressed. `num_read` is how many bytes came so far.

    No more than `most_bytes` are asked for in all, where that is given: UserError.
    """

    def __init__(self, path: Path, stream: BufferedReader | gzip.GzipFile, most_bytes: int | None) -> None:
        self._path = path
        self._stream = stream
        self._most_bytes = most_bytes
        self.num_read = 0

    def read(self, num_bytes: int = PIECE_BYTES, /) -> bytes:
        """The next bytes, fewer where the file ends; gzip data are compared with their checksum there.

        In small pieces: memory follows what comes, not what was asked for. Raises UserError for gzip data that are damaged or
        end early.
        """
        if self._most_bytes is not None and self.num_read + num_bytes > self._most_bytes:
            raise UserError(f"{self._path}: needs at most {self._most_bytes} bytes when unpacked, found more")
        pieces = []
        num_missing = num_bytes
        try:
            while num_missing and (piece := self._stream.read1(min(num_missing, PIECE_BYTES))):
                pieces.append(piece)
                num_missing -= len(piece)
                self.num_read += len(piece)
        except EOFError:
            raise UserError(f"{self._path}: the gzip data end early, after {self.num_read} bytes") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise UserError(f"{self._path}: damaged gzip data: {error}") from None
        return b"".join(pieces)


@contextmanager
def open_gzip(path: Path, most_bytes: int | None = None) -> Iterator[ByteReader]:
    """Open `path` for reading, decompressed when it starts as gzip does, whatever its name."""
    with path.open("rb") as file:
        if file.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC):
            with gzip.GzipFile(fileobj=file) as stream:
                yield ByteReader(path, stream, most_bytes)
        else:
            yield ByteReader(path, file, most_bytes)
