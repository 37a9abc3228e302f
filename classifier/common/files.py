"""Files that are either whole or not there: written under a temporary name, flushed to disk, then renamed.

Those that are written inside `together` appear together, or none of them.
"""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError

from classifier.common.errors import MAX_SHOWN, UserError, short_repr

Model = TypeVar("Model", bound=BaseModel)


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def _flush(path: Path) -> None:
    """Ask the system to bring `path` (a file or a folder) to the disk, so that a power cut after the rename loses nothing."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_waiting: ContextVar[dict[Path, Path] | None] = ContextVar("_waiting", default=None)
"""Inside `together`: the temporary path of each file and folder that is written, and waits to be renamed."""


@contextmanager
def together() -> Iterator[None]:
    """Rename what is written inside only when all of it is: on a full disk no file appears without those that belong to it.

    Until then the earlier ones are there, if any. Inside another `together` the outer one does it.
    """
    if _waiting.get() is not None:
        yield
        return
    waiting: dict[Path, Path] = {}
    token = _waiting.set(waiting)
    renamed: list[Path] = []
    try:
        yield
        for path, partial in waiting.items():
            _rename(partial, path)
            renamed.append(path)
    except BaseException:
        for path in (*waiting.values(), *renamed):
            _remove(path)
        raise
    finally:
        _waiting.reset(token)


def _put(partial: Path, path: Path) -> None:
    """Rename what is whole on the disk: now, or together with the others."""
    waiting = _waiting.get()
    if waiting is None:
        _rename(partial, path)
    else:
        waiting[path] = partial


def _rename(partial: Path, path: Path) -> None:
    if partial.is_dir() and path.is_dir():
        shutil.rmtree(path)
    partial.replace(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put `path` into a system error that names no file, as that of a write to a full disk does."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` on success, delete it on failure.

    A device or a pipe, as /dev/null, is written itself: a rename would put a file in its place.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        yield path
        return
    partial = _partial(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with naming(path):
            yield partial
            _flush(partial)
        _put(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside `path`; it becomes `path` on success and is deleted on failure.

    What a killed run left under the temporary name is deleted first. An earlier `path` is replaced whole. Files inside need not
    wait for `together`.
    """
    partial = _partial(path)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        token = _waiting.set(None)
        try:
            with naming(path):
                yield partial
                for file in partial.rglob("*"):
                    _flush(file)
        finally:
            _waiting.reset(token)
        _put(partial, path)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with `\\n` line ends, whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: dict[str, Any]) -> None:
    """Write indented JSON in the order of `value`, ending in a newline; NaN and infinity are our bug."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, model: type[Model]) -> Model:
    """Read and validate JSON. Raises UserError with the file, the first wrong field and what came."""
    try:
        return model.model_validate_json(path.read_bytes(), strict=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` to make it") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        field = ".".join(str(part)[:MAX_SHOWN] for part in first["loc"]) or "the file"
        raise UserError(f"{path}: {field}: {first['msg']}, got {short_repr(first['input'])}") from None


NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK}
"""What file systems say that have none."""


@contextmanager
def one_process(
    lock_file: Path, busy: str, *, seconds: float = 0, wait: Callable[[str], object] | None = None
) -> Iterator[None]:
    """Let one process at a time do what is inside. The system frees the lock of a process that was killed.

    Where another has it for longer than `seconds`: raises UserError with the text `busy`, or passes that to `wait`, then waits.
    On a file system without locks nobody is kept out: a file that only lies there would also keep out all who come later.
    """
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(lock_file, fallback_to_soft=False)
    try:
        try:
            lock.acquire(timeout=seconds)
        except Timeout:
            if wait is None:
                raise UserError(busy) from None
            wait(busy)
            lock.acquire()
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
    try:
        yield
    finally:
        lock.release()


def state_folder(root: Path) -> Path:
    """Where stages keep what outlives a run: $DVC_ROOT is the repository also when an experiment runs in a copy of it."""
    return Path(os.environ.get("DVC_ROOT") or root) / ".dvc/tmp"


FINISHED = ".finished"
"""Ends the name of a training's last state, `<run>.<MD5 of the weights>.finished`: kept until dvc.lock has these weights."""


def drop_recorded(states: Path, lock: Path) -> None:
    """Delete the finished states in the folder `states` whose weights DVC has recorded in `lock`."""
    finished = list(states.glob(f"*{FINISHED}")) if states.is_dir() else []
    recorded = lock.read_bytes() if finished and lock.is_file() else b""
    for file in finished:
        if file.name.split(".")[-2].encode() in recorded:
            file.unlink(missing_ok=True)
