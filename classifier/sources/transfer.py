"""The bytes of one file from one address; over HTTP they are appended to a partial file, so that a broken transfer goes on."""

import re
import shutil
import time
from dataclasses import dataclass
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path

import requests
from tqdm import tqdm
from urllib3.exceptions import HTTPError

from classifier.common.files import naming

BLOCK_BYTES = 64 * 1024


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

    The pause after the first such try is `pause_s` seconds, after the next ones twice as long each.
    """

    connect_s: float = 10
    silence_s: float = 30
    tries: int = 3
    pause_s: float = 1


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
    try:
        with requests.get(url, headers=headers, stream=True, timeout=(patience.connect_s, patience.silence_s)) as response:
            start = _start(response, offset, size)
            if start is None:
                partial.unlink()  # the next request is for the whole file
                return size
            whole = _announced(response, start) if size is None else size
            _append(response, partial, start, whole)
            return whole
    except (requests.RequestException, HTTPError) as error:
        # A host that is silent for the whole connect_s, or has a bad certificate, is not asked again.
        final = isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.SSLError)
        came = f" with {length(partial)} of {size or 'all'} bytes here" if length(partial) else ""
        raise SourceError(f"{_cause(error)}{came}", passing=not final) from None


def _announced(response: requests.Response, start: int) -> int:
    """Size of the whole file by the response whose body begins at `start`. Raises SourceError when it does not say."""
    if response.raw.length_remaining is None:
        raise SourceError("does not say how many bytes the file has")
    return start + int(response.raw.length_remaining)


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


def _append(response: requests.Response, partial: Path, start: int, size: int) -> None:
    """Write the body at `start` of `partial`, up to `size` bytes in all. Raises SourceError, or an OSError of the disk."""
    length_of_body = response.raw.length_remaining
    block = response.raw.read(min(BLOCK_BYTES, size + 1 - start), decode_content=False)
    if start == 0 and _looks_like_html(block):
        raise SourceError("an HTML page came in place of the file; a login page of the network?")
    if length_of_body is not None and start + length_of_body != size:
        raise SourceError(f"has {start + length_of_body} bytes, {size} needed", wrong_bytes=True)
    bar = tqdm(desc=partial.stem, total=size, initial=start, unit="B", unit_scale=True, disable=None, leave=False)
    with naming(partial), partial.open("ab" if start else "wb") as file, bar:
        while block:
            file.write(block)
            bar.update(len(block))
            if file.tell() > size:
                file.truncate(0)
                raise SourceError(f"sends more than {size} bytes", wrong_bytes=True)
            block = response.raw.read(min(BLOCK_BYTES, size + 1 - file.tell()), decode_content=False)
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
