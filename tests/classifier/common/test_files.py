"""Files are whole or not there."""

import errno
import os
from contextlib import ExitStack
from pathlib import Path

import pytest
from pydantic import BaseModel

from classifier.common.errors import UserError, one_line
from classifier.common.files import (
    drop_recorded,
    one_process,
    read_json,
    replacing,
    replacing_folder,
    together,
    write_json,
    write_text,
)


class Point(BaseModel):
    x: int


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), replacing(path) as partial:
        partial.write_text("new, but only ha")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_the_new_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    with replacing(path) as partial:
        partial.write_text("half")
        assert not path.exists()
    assert path.read_text() == "half"
    assert os.listdir(path.parent) == ["a.txt"]


def test_a_pipe_or_a_device_is_written_and_stays_one(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        write_text(pipe, "whole")
        assert os.read(reader, 100) == b"whole"
    finally:
        os.close(reader)
    assert pipe.is_fifo()
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_folder_is_replaced_whole_and_a_killed_runs_leftover_is_not_taken_over(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").write_text("old")
    leftover = tmp_path / ".out.partial"
    leftover.mkdir()
    (leftover / "junk").write_text("junk")
    with replacing_folder(target) as partial:
        assert os.listdir(partial) == []
        (partial / "new").write_text("new")
        assert os.listdir(target) == ["old"]
    assert os.listdir(target) == ["new"]
    assert os.listdir(tmp_path) == ["out"]


def test_a_failure_leaves_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(RuntimeError), replacing_folder(target) as partial:
        (partial / "new").write_text("new")
        raise RuntimeError
    assert os.listdir(target) == ["old"]
    assert os.listdir(tmp_path) == ["out"]


def test_text_has_the_same_bytes_on_every_platform(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "é\nb\n")
    assert (tmp_path / "a").read_bytes() == b"\xc3\xa9\nb\n"


def test_json_keeps_order_and_refuses_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": "é"})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "b": 1,\n  "a": "é"\n}\n'
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "a.json", {"b": float("nan")})
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"x": "1"}', r"a\.json: x: .*integer, got '1'"),
        (b"{}", r"a\.json: x: Field required"),
        (b'{"x": 1', r"a\.json: the file: "),
    ],
)
def test_bad_json_is_refused_on_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_json(tmp_path / "a.json", Point)
    assert "\n" not in str(caught.value)


def test_missing_json_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.json: no such file; run `dvc repro`"):
        read_json(tmp_path / "a.json", Point)


def test_one_process_at_a_time_and_the_other_is_told(tmp_path: Path) -> None:
    lock_file = tmp_path / "new folder/work.lock"
    with (
        one_process(lock_file, "busy here"),
        pytest.raises(UserError, match=r"^busy here$"),
        one_process(lock_file, "busy here"),
    ):
        pytest.fail("both are inside")
    with pytest.raises(ZeroDivisionError), one_process(lock_file, "busy here"):
        raise ZeroDivisionError
    with one_process(lock_file, "busy here"):  # a failure inside frees it
        pass


def test_one_that_waits_says_so_and_goes_on(tmp_path: Path) -> None:
    """The one before it ends when it hears that another waits."""
    said: list[str] = []
    with ExitStack() as before:
        before.enter_context(one_process(tmp_path / "work.lock", "busy"))
        with one_process(tmp_path / "work.lock", "waiting", wait=lambda text: (said.append(text), before.close())):
            assert said == ["waiting"]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks_keeps_nobody_out(tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old lock file lies there, as each run leaves one. filelock would take it for another process."""

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("fcntl.flock", refuse)
    (tmp_path / "work.lock").touch()
    inside = False
    with one_process(tmp_path / "work.lock", "another process"):
        inside = True
    assert inside
    with pytest.raises(ZeroDivisionError), one_process(tmp_path / "work.lock", "another process"):
        raise ZeroDivisionError


def test_what_is_written_together_appears_together(tmp_path: Path) -> None:
    with together():
        write_text(tmp_path / "a", "new")
        with replacing_folder(tmp_path / "folder") as folder:
            write_text(folder / "inside", "new")
            assert (folder / "inside").read_text() == "new", "what is inside need not wait"
        with together():
            write_text(tmp_path / "b", "new")
        assert not any((tmp_path / name).exists() for name in ("a", "b", "folder"))
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")) == ["a", "b", "folder", "folder/inside"]


@pytest.mark.parametrize("blocked", [False, True])
def test_when_one_cannot_be_written_none_of_those_that_belong_together_appears(tmp_path: Path, blocked: bool) -> None:
    """A full disk; or a folder in the place of a file, which is found only when the others are renamed."""
    if blocked:
        (tmp_path / "c").mkdir()
    with pytest.raises(OSError, match=r"b|c"), together():
        write_text(tmp_path / "a", "new")
        with replacing_folder(tmp_path / "folder") as folder:
            write_text(folder / "inside", "new")
        write_text(tmp_path / "c", "new")
        if not blocked:
            with replacing(tmp_path / "b"):
                raise OSError(errno.ENOSPC, "No space left on device")
    assert [path.name for path in tmp_path.iterdir()] == (["c"] if blocked else [])
    write_text(tmp_path / "a", "later")
    assert (tmp_path / "a").read_text() == "later", "what is written afterwards does not wait"


def test_a_finished_state_is_kept_until_its_weights_are_recorded(tmp_path: Path) -> None:
    drop_recorded(tmp_path / "no folder", tmp_path / "dvc.lock")
    states = tmp_path / "resume"
    for name in ("train-1-2.0123abcd.finished", "train-1-3.4567abcd.finished", "train-1-4.safetensors"):
        write_text(states / name, "state")
    drop_recorded(states, tmp_path / "dvc.lock")
    assert len(list(states.iterdir())) == 3, "there is no dvc.lock"
    write_text(tmp_path / "dvc.lock", "    md5: 0123abcd\n")
    drop_recorded(states, tmp_path / "dvc.lock")
    assert sorted(path.name for path in states.iterdir()) == ["train-1-3.4567abcd.finished", "train-1-4.safetensors"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_names_what_is_full() -> None:
    """Of a copy Python names first where it comes from; of a file that is open it names none."""
    copied = OSError(errno.ENOSPC, "No space left on device", "source", None, "target")
    assert one_line(copied) == "target: No space left on device"
    with pytest.raises(OSError, match="No space") as written, Path("/dev/full").open("wb", buffering=0) as file:
        file.write(b"content")
    assert one_line(written.value) == "the standard output or a temporary file: No space left on device"
