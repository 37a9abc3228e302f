"""The bytes of one file from one address; over HTTP they are appended to a partial file, so that a broken transfer goes on."""

import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any

import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError

from classifier.common.files import naming

BLOCK_BYTES = 64 * 1024
FIRST_BYTES = 16
"""That are looked at before anything is kept."""


class SourceError(Exception):
    """Why one source did not give the file.

    `wrong_bytes`: it did answer, with something that claims to be the file and is not. `passing`: trying again may help.
    """

    def __init__(self, reason: str, *, wrong_bytes: bool = False, passing: bool = False) -> None:
        super().__init__(reason)
        self.wrong_bytes = wrong_bytes
        self.passing = passing


@dataclass(frozen=True)
class Patience:
    """How long one source is given: seconds to connect, seconds of silence, tries in a row that bring nothing new.

    The pause after the first such try is `pause_s` seconds, after the next ones twice as long each. A source that brings fewer
    than `least_bytes` in `window_s` seconds is too slow. Where no progress bar is shown, a line says every `report_s` seconds
    how far it is.
    """

    connect_s: float = 10
    silence_s: float = 30
    tries: int = 3
    pause_s: float = 1
    window_s: float = 60
    least_bytes: int = 60_000
    report_s: float = 15


def length(path: Path) -> int:
    """Size of `path` in bytes; 0 when there is no such file."""
    return path.stat().st_size if path.exists() else 0


def copy(source: str, target: Path) -> None:
    """Copy `source`, a path or `package:<package>/<path>`, to `target`. Raises SourceError when it is no file."""
    path = _packaged(source) if source.startswith("package:") else Path(source)
    if not path.is_file():
        raise SourceError("no such file")
    with path.open("rb") as read, naming(target), target.open("wb") as written:
        shutil.copyfileobj(read, written)


def _packaged(source: str) -> Path:
    """Where `package:<package>/<path>` is, found without importing the package, which may be slow."""
    package, _, path = source.removeprefix("package:").partition("/")
    try:
        spec = find_spec(package)
    except ValueError:  # the running program has none
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise SourceError(f"the package {package} is not installed")
    return Path(spec.submodule_search_locations[0]) / path


def download(url: str, partial: Path, size: int | None, patience: Patience) -> None:
    """Append to `partial` what it lacks of `size` bytes, trying again while that brings something. Raises SourceError.

    Where the size is not published, None, it is the one that the host announces.
    """
    furthest, failures = length(partial), 0
    while size is None or length(partial) < size:
        try:
            size = _request_rest(url, partial, size, patience)
        except SourceError as error:
            failures = 1 if length(partial) > furthest else failures + 1
            furthest = max(furthest, length(partial))
            if not error.passing or failures >= patience.tries:
                raise
            time.sleep(patience.pause_s * 2 ** (failures - 1))


def _request_rest(url: str, partial: Path, size: int | None, patience: Patience) -> int | None:
    """One request for what `partial` lacks; return the size of the whole file, or None if that is still not known.

    Redirects are followed, also from https to http: what comes is used only if its checksum agrees.
    """
    offset = length(partial)
    # Without `identity`, a server may say that a .gz file is the gzip encoding of something else, to be unpacked on arrival.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
    answer = _Answer(url, headers, patience)
    try:
        start = _start(answer.head(), offset, size)
        if start is None:
            partial.unlink()  # the next request is for the whole file
            return size
        whole = _announced(answer, start) if size is None else size
        _append(answer, partial, start, whole, patience.report_s)
        return whole
    except (requests.RequestException, HTTPError) as error:
        # A host that is silent for the whole connect_s, or has a bad certificate, is not asked again.
        final = isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.SSLError)
        came = f" with {length(partial)} of {size or 'all'} bytes here" if length(partial) else ""
        raise SourceError(f"{_cause(error)}{came}", passing=not final) from None
    finally:
        answer.leave()


class _Answer:
    """What a host sends, read by a thread: where a byte comes now and then, only that one waits for a whole block of them."""

    def __init__(self, url: str, headers: dict[str, str], patience: Patience) -> None:
        self._patience = patience
        self._came: Queue[Any] = Queue(maxsize=16)
        self._is_left = Event()
        self._waited_s, self._num_bytes = 0.0, 0
        self.length: int | None = None
        """Of the body in bytes, where the host tells it with its headers."""
        Thread(target=self._read, args=(url, headers), daemon=True).start()

    def head(self) -> requests.Response:
        """Status and headers, after redirects. Raises what requests does, or SourceError."""
        response, self.length = self._next()
        assert isinstance(response, requests.Response)
        return response

    def blocks(self) -> Iterator[bytes]:
        """The body, as it comes. Raises as `head` does."""
        while block := self._next():
            self._num_bytes += len(block)
            yield block

    def leave(self) -> None:
        """Let the thread end."""
        self._is_left.set()

    def _next(self) -> Any:
        """Only time that is spent here counts: not that of a slow disk, nor one in which this process was stopped."""
        slice_s = self._patience.window_s / 60
        came = None
        while came is None:
            before = time.monotonic()
            with suppress(Empty):
                came = self._came.get(timeout=slice_s)
            self._waited_s += min(time.monotonic() - before, slice_s)
            if self._waited_s >= self._patience.window_s:
                if self._num_bytes < self._patience.least_bytes:
                    raise SourceError(f"too slow: {self._num_bytes:,} bytes in {self._patience.window_s:g} seconds")
                self._waited_s, self._num_bytes = 0.0, 0
        if isinstance(came, Exception):
            raise came
        return came

    def _read(self, url: str, headers: dict[str, str]) -> None:
        timeout = (self._patience.connect_s, self._patience.silence_s)
        try:
            with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
                self._hand_over((response, response.raw.length_remaining))
                block = b"-"
                while block and not self._is_left.is_set():
                    block = response.raw.read1(BLOCK_BYTES, decode_content=False)
                    self._hand_over(block)
        except Exception as error:
            self._hand_over(error)

    def _hand_over(self, came: Any) -> None:
        while not self._is_left.is_set():
            try:
                self._came.put(came, timeout=1)
            except Full:
                continue
            return


def _announced(answer: _Answer, start: int) -> int:
    """Size of the whole file by the answer whose body begins at `start`. Raises SourceError when it does not say."""
    if answer.length is None:
        raise SourceError("does not say how many bytes the file has")
    return start + answer.length


def _start(response: requests.Response, offset: int, size: int | None) -> int | None:
    """Where in the file the body of `response` starts; None when the server cannot go on at `offset`. Raises SourceError."""
    status = response.status_code
    if offset and status in (206, 416):
        content_range = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        same = content_range and int(content_range[1]) == offset and (size is None or content_range[2] in (str(size), "*"))
        if status == 206 and same:
            return offset
        return None
    if status != 200:
        raise SourceError(f"HTTP {status}", passing=status in (408, 429) or status >= 500)
    return 0  # also when the server ignores our Range


def _append(answer: _Answer, partial: Path, start: int, size: int, report_s: float) -> None:
    """Write the body at `start` of `partial`, up to `size` bytes in all. Raises SourceError, or an OSError of the disk."""
    blocks = answer.blocks()
    first = next(blocks, b"")
    while len(first) < FIRST_BYTES and (block := next(blocks, b"")):
        first += block
    if start == 0 and _looks_like_html(first):
        raise SourceError("an HTML page came in place of the file; a login page of the network?")
    if answer.length is not None and start + answer.length != size:
        raise SourceError(f"has {start + answer.length} bytes, {size} needed", wrong_bytes=True)
    bar = tqdm(desc=partial.stem, total=size, initial=start, unit="B", unit_scale=True, disable=None, leave=False)
    reported = time.monotonic()
    with naming(partial), partial.open("ab" if start else "wb") as file, bar:
        for block in chain([first], blocks):
            file.write(block)
            bar.update(len(block))
            if file.tell() > size:
                file.truncate(0)
                raise SourceError(f"sends more than {size} bytes", wrong_bytes=True)
            if bar.disable and time.monotonic() - reported >= report_s:
                print(f"{partial.stem}: {file.tell():,} of {size:,} bytes are here", file=sys.stderr)
                reported = time.monotonic()
    if length(partial) < size:
        raise SourceError(f"ends after {length(partial)} of {size} bytes", wrong_bytes=True, passing=True)


def _looks_like_html(block: bytes) -> bool:
    """Whether a body that starts with `block` is markup. No packed file starts with `<`."""
    return block.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")


def _cause(error: BaseException) -> str:
    """A network error in a few words: those of the innermost exception, as a rule the operating system's."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    if isinstance(error, HTTPException):
        return "the connection broke"
    return getattr(error, "strerror", None) or str(error)
