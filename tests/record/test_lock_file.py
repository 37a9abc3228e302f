"""A dvc.lock that a kill cut off is found where DVC would stop at it, and only there; the mend is typed."""

import re
import subprocess
from pathlib import Path

import pytest
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from dvc.utils.serialize import YAMLError, parse_yaml
from voluptuous import MultipleInvalid

from record.lock_file import lock_file_problem
from tests.support.pipeline import Repository, stages_run

WHOLE = """\
schema: '2.0'
stages:
  first:
    cmd: python -m stages.first
    deps:
    - path: code.py
      hash: md5
      md5: 8d7c41bf829c2b6bc80aa42c5ffee32c
      size: 3113
    params:
      params.yaml:
        lr: 0.001
        momentum:
    outs:
    - path: data/raw
      hash: md5
      md5: b62acb39cf4a4b1ce88e9b9edec3c1ba.dir
      size: 30878645
      nfiles: 5
  second:
    cmd: echo
"""


def stops_dvc(text: str) -> bool:
    try:
        COMPILED_LOCKFILE_SCHEMA(parse_yaml(text, "dvc.lock"))
    except (YAMLError, MultipleInvalid):
        return True
    return False


def test_cut_off_anywhere_it_is_judged_as_dvc_does(tmp_path: Path) -> None:
    found = []
    for length in range(len(WHOLE) + 1):
        (tmp_path / "dvc.lock").write_text(WHOLE[:length], encoding="utf-8")
        problem = lock_file_problem(tmp_path)
        assert (problem is not None) == stops_dvc(WHOLE[:length]), WHOLE[:length]
        found.append(problem)
    assert found[-1] is None
    assert str(found[0]).startswith(f"{tmp_path}/dvc.lock: empty, ")
    assert str(found[1]).startswith(f"{tmp_path}/dvc.lock: half-written, ")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"<<<<<<< HEAD\n", b"[]", b"schema: '1.0'\nstages: {}\n"])
def test_what_is_no_lock_file_is_told_on_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "dvc.lock").write_bytes(content)
    problem = lock_file_problem(tmp_path)
    assert problem
    assert "\n" not in problem


def test_merge_conflicts_have_a_way_out_of_their_own(tmp_path: Path) -> None:
    """`git restore` refuses a file with conflicts."""
    lines = WHOLE.replace("      size: 3113\n", "<<<<<<< HEAD\n      size: 3113\n=======\n      size: 3114\n>>>>>>> other\n")
    (tmp_path / "dvc.lock").write_text(lines, encoding="utf-8")
    assert (
        lock_file_problem(tmp_path)
        == f"{tmp_path}/dvc.lock: has merge conflicts; docs/guide/pull_requests.md says how to resolve them"
    )


def test_none_is_no_problem(tmp_path: Path) -> None:
    assert lock_file_problem(tmp_path) is None


def test_the_mend_is_typed_and_nothing_runs_again(tmp_path: Path) -> None:
    """With a dvc.lock that git has, and with one that it has not."""
    repository = Repository(tmp_path / "project", threads=1, epochs=1)
    repository.dvc("repro", "convert")
    whole = repository.read("dvc.lock")
    for known in (True, False):
        if not known:
            repository.git("rm", "--quiet", "--cached", "dvc.lock")
        (repository.root / "dvc.lock").write_text(whole[: whole.rindex("size:") + 5])
        assert "validation failed" in repository.dvc("status", status=1)
        problem = lock_file_problem(repository.root)
        assert problem
        mend = re.search(r"run `([^`]+)`, then `dvc repro`", problem)
        assert mend
        assert mend[1] == ("git restore dvc.lock" if known else "rm dvc.lock")
        subprocess.run(mend[1], shell=True, cwd=repository.root, check=True)
        assert lock_file_problem(repository.root) is None
        assert stages_run(repository.dvc("repro", "convert")) == []
        assert repository.read("dvc.lock") == whole
