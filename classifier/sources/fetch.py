"""Published files, from the first source that gives the right bytes, kept in a store that outlives the run."""

import hashlib
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

from tqdm import tqdm

from classifier.common.errors import UserError
from classifier.common.files import one_process
from classifier.sources.transfer import Patience, SourceError, copy, download, length

MIRROR_VARIABLE = "DATASET_MIRROR"
PATIENCE = Patience()


class RemoteFile(Protocol):
    """What is known of a file beforehand: `name`, addresses in order of preference, and the checks of its content."""

    @property
    def name(self) -> str: ...
    @property
    def urls(self) -> list[str]: ...
    @property
    def packaged(self) -> bool:
        """Whether the file ships inside an installed Python package, so that no host and no mirror is asked for it."""

    @property
    def size(self) -> int | None:
        """In bytes; None where only the digest is published."""

    @property
    def algorithm(self) -> Literal["MD5", "SHA-256"]: ...
    @property
    def digest(self) -> str:
        """Of the content, in lower-case hexadecimal: all of it, or its beginning."""


class UnreachableError(UserError):
    """No source answered with anything that claims to be the file: the network or the hosts are at fault, not the bytes."""


def fetch_all(
    dataset: str, files: Mapping[str, RemoteFile], store: Path, mirror: str | None, patience: Patience = PATIENCE
) -> dict[str, Path]:
    """Bring every file of `dataset` into the folder `store`; return the path there of each role.

    `mirror`, when given, is a folder or a base address that holds `<dataset>/<file>`; it is asked first, but not for files
    that ship inside a package. A file that the store has is checked and not fetched again; a partial one is continued.
    Raises UnreachableError, UserError (wrong bytes, no such mirror) or OSError (disk).
    """
    return {role: _fetch(dataset, file, store, mirror, patience) for role, file in files.items()}


def _fetch(dataset: str, file: RemoteFile, store: Path, mirror: str | None, patience: Patience) -> Path:
    """Path of one file in the store, checked just now."""
    path = store / dataset / file.digest / file.name
    with one_process(path.with_name(f"{path.name}.lock"), f"{file.name}: another process is fetching it; waiting", wait=_say):
        if path.exists() and (fault := _fault(path, file)):
            _say(f"{path}: {fault}; thrown away, to be fetched anew")
            path.unlink()
        if not path.exists():
            partial = path.with_name(f"{path.name}.partial")
            _fetch_from_any(_sources(dataset, file, mirror), dataset, file, partial, patience)
            partial.replace(path)
    return path


def _sources(dataset: str, file: RemoteFile, mirror: str | None) -> list[str]:
    """Where to look, in order. Raises UserError when the mirror is a folder that does not exist."""
    if not mirror or file.packaged:
        return file.urls
    if not _is_http(mirror):
        mirror = mirror.removeprefix("file://")
        if not Path(mirror).is_dir():
            raise UserError(
                f"{MIRROR_VARIABLE}: must be a folder or an http(s) address that holds <dataset>/<file>, "
                f"got {mirror!r}, and there is no such folder; correct it or unset it"
            )
    return [f"{mirror.rstrip('/')}/{dataset}/{file.name}", *file.urls]


def _fetch_from_any(sources: list[str], dataset: str, file: RemoteFile, partial: Path, patience: Patience) -> None:
    """Bring the whole, checked file to `partial` from the first source that has it. Raises UserError with each one's fault."""
    failures: list[SourceError] = []
    tried: list[str] = []
    for source in sources:
        if tried:
            _say(f"{file.name}: {tried[-1]}; trying {_shown(source)}")
        try:
            return _take(source, file, partial, patience)
        except SourceError as error:
            failures.append(error)
            tried.append(f"{_shown(source)} ({error})")
    wrong = any(failure.wrong_bytes for failure in failures) or file.packaged
    advice = (
        "install the versions in requirements.txt"
        if file.packaged
        else f"check the network, or set {MIRROR_VARIABLE} to a folder or an http(s) address that holds {dataset}/{file.name}"
    )
    text = f"{dataset}/{file.name}: no source gave the right file: {', '.join(tried)}; {advice}"
    raise UserError(text) if wrong else UnreachableError(text)


def _take(source: str, file: RemoteFile, partial: Path, patience: Patience) -> None:
    """Bring the whole file from `source` to `partial`. Raises SourceError; wrong bytes are deleted, never continued."""
    resumed = length(partial) > 0
    if _is_http(source):
        download(source, partial, file.size, patience)
    else:
        copy(source, partial)
    if fault := _fault(partial, file):
        partial.unlink()
        if not resumed:
            raise SourceError(fault, wrong_bytes=True)
        _take(source, file, partial, patience)  # what was there before may have been the wrong part


def _fault(path: Path, file: RemoteFile) -> str | None:
    """What is wrong with the bytes of `path`, if anything. MD5 is what some publishers give; it guards against accidents."""
    if file.size is not None and length(path) != file.size:
        return f"has {length(path)} bytes, {file.size} needed"
    begin = {"MD5": lambda: hashlib.md5(usedforsecurity=False), "SHA-256": hashlib.sha256}[file.algorithm]
    with path.open("rb") as stream:
        came = hashlib.file_digest(stream, begin).hexdigest()
    return None if came.startswith(file.digest) else f"has {file.algorithm} {came}, {file.digest} needed"


def _is_http(source: str) -> bool:
    return source.lower().startswith(("http://", "https://"))


def _shown(source: str) -> str:
    """The address without a user name and password."""
    return re.sub(r"//[^/@]*@", "//", source)


def _say(text: str) -> None:
    tqdm.write(text, file=sys.stderr)
