"""The tables in which DVC keeps who holds its locks: the dead are told from the living, and damage is what DVC stops at."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from dvc.fs import localfs
from dvc.rwlock import RWLockFileCorruptedError, RWLockFileFormatError, rwlock

from record.dvc_locks import TABLES, WORKSPACE_RUN, DamagedTable, damaged_tables, holders, left_by_killed, living_processes

DVC, EXPERIMENTS = TABLES


@pytest.fixture
def dead() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "null", "[]", "{}", '{"read": {}}', '{"read": []}', '{"else": {}}', '{"read": {"a": 1}}', "\\udcff"),
        *('{"read": {"a": []}, "write": {}}', '{"read": {"a": {"pid": 1, "cmd": ""}}}', '{"write": {"a": [1]}}'),
        *(
            '{"write": {"a": {"pid": "1", "cmd": ""}}}',
            '{"write": {"a": {"pid": 1, "cmd": 2}}}',
            '{"write": {"a": {"pid": 1}}}',
        ),
        *('{"write": {"a": {"pid": 1, "cmd": ""}}}', '{"read": {"a": [{"pid": 1, "cmd": ""}]}}', '{"write": {"a": null}}'),
    ],
)
def test_a_table_is_damaged_if_dvc_stops_at_it(tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("record.dvc_locks.SECONDS_BETWEEN_READINGS", 0)  # no other process writes it
    write(tmp_path / DVC, text)
    try:
        with rwlock(str(tmp_path / ".dvc/tmp"), localfs, "test", [], [], False):
            stops = False
    except (RWLockFileCorruptedError, RWLockFileFormatError):
        stops = True
    write(tmp_path / DVC, text)
    assert damaged_tables(tmp_path) == ([tmp_path / DVC] if stops else [])
    assert living_processes(tmp_path) in ({}, {1: ""})


def test_the_holders_that_dvc_itself_writes_down(tmp_path: Path) -> None:
    folder = tmp_path / ".dvc/tmp/exps"
    folder.mkdir(parents=True)
    with rwlock(str(folder), localfs, "dvc exp run", ["/data"], ["workspace"], False):
        assert {(holder.path, holder.pid) for holder in holders(tmp_path / EXPERIMENTS)} == {
            ("/data", os.getpid()),
            ("workspace", os.getpid()),
        }
        assert living_processes(tmp_path) == {os.getpid(): "dvc exp run"}
        assert left_by_killed(tmp_path) == set()
    assert holders(tmp_path / EXPERIMENTS) == []


def test_what_a_killed_process_held_is_still_there(tmp_path: Path) -> None:
    (tmp_path / ".dvc/tmp/exps").mkdir(parents=True)
    program = (
        "import os, signal; from dvc.fs import localfs; from dvc.rwlock import rwlock\n"
        "with rwlock('.dvc/tmp/exps', localfs, 'dvc', [], ['workspace'], False): os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False).returncode == -9
    assert left_by_killed(tmp_path) == {"workspace"}
    assert living_processes(tmp_path) == {}


@pytest.mark.parametrize("pid", [0, -1, 10**30])
def test_a_number_that_is_no_process(tmp_path: Path, pid: int) -> None:
    write(tmp_path / EXPERIMENTS, json.dumps({"write": {"a": {"pid": pid, "cmd": ""}}}))
    assert left_by_killed(tmp_path) == {"a"}


def test_an_experiment_between_two_stages_is_alive(tmp_path: Path, dead: int) -> None:
    write(tmp_path / WORKSPACE_RUN, json.dumps({"pid": os.getpid(), "stdin": None}))
    assert living_processes(tmp_path) == {os.getpid(): "dvc exp run"}
    for text in (json.dumps({"pid": dead}), "", "[]", "{}", '{"pid": "1"}'):
        write(tmp_path / WORKSPACE_RUN, text)
        assert living_processes(tmp_path) == {}


def test_a_table_that_is_being_written_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    later = iter(["", '{"read', '{"read": {}}'])
    monkeypatch.setattr("record.dvc_locks.time.sleep", lambda seconds: write(tmp_path / DVC, next(later)))
    write(tmp_path / DVC, "")
    assert holders(tmp_path / DVC) == []
    write(tmp_path / DVC, "{")
    slept: list[float] = []
    monkeypatch.setattr("record.dvc_locks.time.sleep", slept.append)
    with pytest.raises(DamagedTable, match=r"rwlock: not a table of locks: "):
        holders(tmp_path / DVC)
    assert sum(slept) == pytest.approx(0.45)
