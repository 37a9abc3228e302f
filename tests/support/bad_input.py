"""What bad input may do to us, held against every case of test_bad_input_*.py: either the work is done, or one line.

Never: another exception, a hang, gigabytes of memory, a process, a connection, an unpickled object, a write anywhere but in the
declared outputs, a half-written output, a temporary file left behind.
"""

import copy
import faulthandler
import json
import os
import re
import resource
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any, TypeGuard, TypeVar

import pytest
from dvc.utils.serialize import parse_yaml
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from classifier.common.errors import UserError, one_line

MAX_SECONDS = 20
"""Of the processor, whatever else the machine does."""
MAX_SECONDS_WAITING = 100
"""By the clock."""
SECONDS_TO_ABORT = 120
MAX_NEW_BYTES = 3 * 2**30
"""Of address space: far more than any case needs, far less than this machine has."""
LONGEST_LINE = 1000

TIMES = float(os.environ.get("CASES_TIMES", "0.05"))
"""The share of its cases that a property tries, or how many times as many; where it is set, they are other ones each time."""
LEAST_CASES = 5

Test = TypeVar("Test", bound=Callable[..., None])


def cases(number: int) -> Callable[[Test], Test]:
    """Try `number` cases of a property in the nightly tests, and a twentieth of them otherwise, the same ones every time."""
    chosen = settings(
        max_examples=max(LEAST_CASES, round(number * TIMES)),
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )

    def register(test: Test) -> Test:
        marked: Test = pytest.mark.generated(chosen(test))
        return marked

    return register


class Touch:
    """Unpickled, it makes a file: what a pickle can do, it can do with anything."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.path,)


class Hang(BaseException):
    """Raised into a case that takes too long; not an Exception, so that nothing turns it into a line."""


class Sandbox:
    """A folder `root` to run stages in, and around it a folder in which nothing else may change."""

    def __init__(self, around: Path) -> None:
        self.around = around
        self.root = around / "repository"
        self.marker = around / "EXECUTED"
        self.root.mkdir()
        (around / "neighbour").write_bytes(b"not yours")

    def write(self, name: str, content: bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def refusal(
        self,
        run: Callable[[], object],
        outputs: tuple[str, ...] = (),
        names: tuple[str, ...] = (),
        programs: tuple[str, ...] = (),
        keeps: tuple[str, ...] = (),
    ) -> str | None:
        """Call `run`; return None when it did its work, else the one line with which it ended, which has one of `names`.

        Only the `outputs`, files or folders below `root`, may have changed, and those only when the work was done. What is
        below `keeps` may change either way. Only the `programs` may be started.
        """
        before = self._contents()
        line: str | None = None
        with _limits(), _watched(self.root) as seen, warnings.catch_warnings(record=True, action="always") as warned:
            try:
                run()
            except (UserError, OSError) as error:
                line = one_line(error)
        forbidden = [one for one in seen if not one.startswith(tuple(f"subprocess.Popen ('{name}'," for name in programs))]
        assert not forbidden, forbidden
        after = self._contents()
        changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        allowed = [self.root / name for name in (keeps if line is not None else outputs + keeps)]
        assert all(any(path.is_relative_to(output) for output in allowed) for path in changed), (line, sorted(changed))
        assert not [path for path in after.keys() - before.keys() if path.name.endswith(".partial")]
        if line is not None:
            assert line.strip()
            assert len(line.splitlines()) == 1, line
            assert len(line) < LONGEST_LINE, line
            assert any(name in line for name in names), line
            assert not [one for one in warned if not issubclass(one.category, DeprecationWarning)], "more lines on the screen"
        return line

    def _contents(self) -> dict[Path, bytes | None]:
        """Every file with its bytes and every folder, but for the empty folders and locks that any run may make."""
        found: dict[Path, bytes | None] = {}
        for path in self.around.rglob("*"):
            if path.is_file() and path.suffix != ".lock":
                found[path] = path.read_bytes()
        return found


@contextmanager
def sandbox() -> Iterator[Sandbox]:
    """A new one, in memory where the system has such a place: to remove a folder from a disk takes longer than most cases."""
    with TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        yield Sandbox(Path(folder).resolve())


@contextmanager
def _limits() -> Iterator[None]:
    """Raise Hang after MAX_SECONDS or MAX_SECONDS_WAITING; end the process if that does not come through. Limit new memory."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    timers = ((signal.ITIMER_PROF, signal.SIGPROF, MAX_SECONDS), (signal.ITIMER_REAL, signal.SIGALRM, MAX_SECONDS_WAITING))
    earlier = [signal.signal(number, _raise_hang) for _, number, _ in timers]
    for timer, _, seconds in timers:
        signal.setitimer(timer, seconds)
    faulthandler.dump_traceback_later(SECONDS_TO_ABORT, exit=True, file=2)
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + MAX_NEW_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        faulthandler.cancel_dump_traceback_later()
        for (timer, number, _), handler in zip(timers, earlier, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


def _raise_hang(number: int, frame: FrameType | None) -> None:
    raise Hang


def _address_space() -> int:
    """Bytes of address space in use; where the system does not say (it has no such limit either), much."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return 2**40
    return pages * resource.getpagesize()


_NEVER = (
    *("pickle.find_class", "os.system", "os.exec", "os.fork", "os.posix_spawn", "subprocess.Popen"),
    *("socket.connect", "socket.getaddrinfo", "socket.bind"),
)
_CHANGES_PATHS = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "shutil.rmtree")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_root: Path | None = None
_seen: list[str] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    """Note what must not be. Python calls this at everything that the documentation's table of audit events lists."""
    if _root is None:
        return
    if event == "open":
        path, _, flags = arguments
        if isinstance(path, str | bytes | os.PathLike) and flags & _WRITING and not _may_write(path):
            _seen.append(f"writes {path!r}")
    elif event in _CHANGES_PATHS and arguments[-1] in (-1, None):  # otherwise relative to a folder that shutil.rmtree has named
        paths = [one for one in arguments if isinstance(one, str | bytes | os.PathLike)]
        _seen.extend(f"{event} {path!r}" for path in paths if not _may_write(path))
    elif event in _NEVER:
        _seen.append(f"{event} {arguments!r}")


def _may_write(path: str | bytes | os.PathLike[str]) -> bool:
    """Below the root, and where Python keeps the compiled form of a module that it imports late."""
    name = os.fsdecode(path)
    return name.startswith((f"{_root}/", "/dev/null")) or name.endswith("__pycache__") or "/__pycache__/" in name


sys.addaudithook(_hook)


@contextmanager
def _watched(root: Path) -> Iterator[list[str]]:
    """Collect what happens below Python's own surface that must not, be it undone before the end or not."""
    global _root
    _seen.clear()
    _root = root
    try:
        yield _seen
    finally:
        _root = None


@st.composite
def damaged(draw: st.DrawFn, good: bytes, pieces: tuple[bytes, ...] = (), most: int = 3) -> bytes:
    """`good` with up to `most` changes: a cut, a flipped bit, or up to eight bytes replaced by others or by one of `pieces`."""
    content = bytearray(good)
    replacement = st.one_of(st.sampled_from(pieces), st.binary(max_size=4)) if pieces else st.binary(max_size=4)
    for _ in range(draw(st.integers(0, most))):
        start = draw(st.integers(0, len(content)))
        kind = draw(st.integers(0, 9))
        if kind == 0:
            del content[start:]
        elif kind < 3 and start < len(content):
            content[start] ^= 1 << draw(st.integers(0, 7))
        else:
            content[start : start + draw(st.integers(0, 8))] = draw(replacement)
    return bytes(content)


HUGE = 10**400
WORDS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["", "a/b", "..", "../x", "/etc/passwd", "a\nb", "a\0b", "\ud800", "$x^$", "é", "x" * 2000, "nan"]),
)
NUMBERS = st.one_of(
    st.sampled_from([0, 1, -1, 2, 3, 255, 256, 2**31, 2**32, 2**63, 2**64, HUGE, 0.0, 0.5, 1.0, -1.5, 1e-320, 1e308]),
    st.integers(-(10**6), 10**6),
    st.floats(),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=3)),
    max_leaves=5,
)
"""What JSON and YAML can say, with what trips readers most."""


@st.composite
def misshapen(draw: st.DrawFn, good: Any, most: int = 2) -> Any:
    """A copy of `good`, of dicts and lists and scalars, with up to `most` places replaced, removed or added to."""
    made = copy.deepcopy(good)
    for _ in range(draw(st.integers(0, most))):
        made = _change(draw, made)
    return made


def _change(draw: st.DrawFn, value: Any) -> Any:
    if not isinstance(value, dict | list) or not value or draw(st.integers(0, 9)) == 0:
        return draw(VALUES)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = draw(st.sampled_from(keys))
    kind = draw(st.integers(0, 9))
    if kind == 0:
        del value[key]
    elif kind == 1 and isinstance(value, dict):
        value[draw(WORDS)] = draw(VALUES)
    elif kind == 2 and isinstance(value, list):
        value.insert(key, copy.deepcopy(value[key]))
    else:
        value[key] = _change(draw, value[key])
    return value


def as_yaml(value: Any) -> str:
    """`value` as YAML 1.2 in flow style; by hand, because a library would quote what it knows to be odd."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"? {as_yaml(key)} : {as_yaml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_yaml, value)) + "]"
    if isinstance(value, str):
        return '"' + "".join(one if one.isalnum() and one.isascii() else f"\\U{ord(one):08x}" for one in value) + '"'
    if isinstance(value, float):
        return {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}.get(repr(value), repr(value))
    return json.dumps(value)


def is_text(value: object, shortest: int = 0) -> TypeGuard[str]:
    """Whether `value` is text that UTF-8 can hold."""
    return isinstance(value, str) and len(value) >= shortest and not any("\ud800" <= one <= "\udfff" for one in value)


def is_whole(value: object, low: int, high: float = float("inf")) -> bool:
    """Whether `value` is a whole number, and not true or false, from `low` to `high`."""
    return type(value) is int and low <= value <= high


def is_number(value: Any) -> bool:
    """Whether `value` is a finite number as 64 bits hold it."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def is_shown(name: str) -> bool:
    """Whether `name` is printable, but for joiners (U+200C and U+200D) that have letters on both sides."""
    return re.sub("(?<=[^\u200c\u200d])[\u200c\u200d]+(?=[^\u200c\u200d])", "", name).isprintable()


def are_classes(value: object) -> bool:
    """Whether `value` can name classes: two or more different texts that can be shown."""
    if not isinstance(value, list) or not all(is_text(name) and len(name) <= 100 and is_shown(name) for name in value):
        return False
    return len(set(value)) == len(value) > 1


def read_by_dvc(content: bytes) -> object:
    """The reference for YAML; None where DVC cannot read it, or finds an empty file."""
    try:
        with warnings.catch_warnings(action="ignore"):
            return parse_yaml(content.decode("utf-8"), "a file") or None
    except Exception:  # DVC shows the person whatever its parser raises
        return None
