"""What changed between two dvc.lock files, which stages that touches, and which results are stale."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from record.lock_file import Lock
from record.results import read_results
from record.revisions import find_revision
from record.staleness import code_hashes, stale_inputs
from tests.support.review_case import CODE, Case
from tools.review.changes import ABSENT, Change, Touched, by_module, fact_changes, find_changes, touched_stages

A, B = "a" * 32, "b" * 32


def lock(**changed: Any) -> Lock:
    """Two stages: `make` makes data/set for `use`, from code that both import."""
    values = {"code": A, "folder": A, "notes": A, "data": A, "result": A, "cmd": "use it", "lr": 0.1, **changed}
    shared = [{"path": "lib.py", "md5": values["code"]}]
    make = {"cmd": "make it", "deps": shared, "outs": [{"path": "data/set", "md5": values["data"]}]}
    own = [{"path": "classifier/lib", "md5": f"{values['folder']}.dir"}, {"path": "notes.txt", "md5": values["notes"]}]
    use = {
        "cmd": values["cmd"],
        "deps": [*shared, {"path": "data/set/test", "md5": values["data"]}, *own],
        "params": {"params.yaml": {"lr": values["lr"]}},
        "outs": [{"path": "model", "md5": values["result"]}],
    }
    return Lock.model_validate({"stages": {"make": make, "use": use} | values.get("more", {})})


@pytest.mark.parametrize(
    ("changed", "change", "touched"),
    [
        ({"lr": 0.2}, Change("param", "lr", "0.1", "0.2", ["use"]), Touched(["use"], [], [], [])),
        ({"lr": None}, Change("param", "lr", "0.1", "null", ["use"]), Touched(["use"], [], [], [])),
        ({"lr": True}, Change("param", "lr", "0.1", "true", ["use"]), Touched(["use"], [], [], [])),
        ({"code": B}, Change("code", "lib.py", "aaaaaaa", "bbbbbbb", ["make", "use"]), Touched(["make", "use"], [], [], [])),
        ({"folder": B}, Change("code", "classifier/lib", "aaaaaaa", "bbbbbbb", ["use"]), Touched(["use"], [], [], [])),
        ({"notes": B}, Change("file", "notes.txt", "aaaaaaa", "bbbbbbb", ["use"]), Touched(["use"], [], [], [])),
        ({"cmd": "x"}, Change("command", "use", "use it", "x", ["use"]), Touched(["use"], [], [], [])),
        ({"data": B}, Change("data", "data/set/test", "aaaaaaa", "bbbbbbb", ["use"]), Touched([], ["use"], [], ["make"])),
    ],
)
def test_each_kind_of_change_with_its_stages(changed: dict[str, Any], change: Change, touched: Touched) -> None:
    assert find_changes(lock(), lock(**changed)) == [change]
    assert touched_stages(lock(), lock(**changed)) == touched


def test_another_environment_that_is_recorded_is_no_change_without_a_record() -> None:
    before, after = lock(), lock(result=B)
    assert touched_stages(before, after) == Touched([], [], [], ["use"])
    fact = Change("machine", "MKL_CBWR", "not set", "COMPATIBLE", ["use"])
    assert touched_stages(before, after, [fact]) == Touched([], [], ["use"], [])
    assert touched_stages(before, lock(result=B, lr=0.2), [fact]) == Touched(["use"], [], [], []), "a param says more"


def test_of_a_folder_of_code_the_modules_that_differ_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless a revision does not hold what its dvc.lock is about."""
    case = Case(tmp_path)
    monkeypatch.chdir(tmp_path)
    locks = []
    for number, files in enumerate([{"same": "", "loop": "1", "gone": ""}, {"same": "", "loop": "2", "new": ""}]):
        shutil.rmtree(tmp_path / "classifier", ignore_errors=True)
        for name, text in files.items():
            case.write(f"classifier/lib/{name}.py", text)
        case.commit(str(number))
        locks.append(lock(folder=code_hashes(find_revision("HEAD"), ["classifier/lib"])["classifier/lib"].removesuffix(".dir")))
    (change,) = find_changes(*locks)
    assert (change.kind, change.name, change.stages) == ("code", "classifier/lib", ["use"])
    short = {text: hashlib.md5(text.encode()).hexdigest()[:7] for text in ("", "1", "2")}
    modules = [("gone", short[""], ABSENT), ("loop", short["1"], short["2"]), ("new", ABSENT, short[""])]
    told = [Change("code", f"classifier/lib/{name}.py", was, now, ["use"]) for name, was, now in modules]
    assert by_module(change, find_revision("HEAD^"), find_revision("HEAD")) == told
    assert by_module(change, find_revision("HEAD^"), find_revision("workspace")) == told
    assert by_module(change, find_revision("HEAD"), find_revision("HEAD")) == [change]
    param = Change("param", "lr", "0.1", "0.2", ["use"])
    assert by_module(param, find_revision("HEAD^"), find_revision("HEAD")) == [param]


@pytest.mark.parametrize("name", ["../shared.py", "/opt/lib/prep.py", ":(glob)x.py", "lib.py"])
def test_code_that_is_no_folder_is_told_as_it_stands(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git is not asked: it knows nothing of what lies outside."""
    case = Case(tmp_path)
    monkeypatch.chdir(tmp_path)
    case.write("lib.py", "")
    case.commit()
    change = Change("code", name, "aaaaaaa", "bbbbbbb", ["use"])
    assert by_module(change, find_revision("HEAD"), find_revision("workspace")) == [change]


def test_results_that_differ_for_no_reason_on_record() -> None:
    assert find_changes(lock(), lock(result=B)) == []
    assert touched_stages(lock(), lock(result=B)) == Touched([], [], [], ["use"])
    assert touched_stages(lock(), lock()) == Touched([], [], [], [])


def test_a_new_stage_and_one_that_is_gone() -> None:
    more = {"more": {"draw": {"cmd": "draw", "deps": [{"path": "draw.py", "md5": B}]}}}
    assert find_changes(lock(), lock(**more)) == [
        Change("code", "draw.py", ABSENT, "bbbbbbb", ["draw"]),
        Change("command", "draw", ABSENT, "draw", ["draw"]),
    ]
    assert touched_stages(lock(), lock(**more)) == touched_stages(lock(**more), lock()) == Touched(["draw"], [], [], [])


def test_params_and_files_that_differ_from_what_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(tmp_path)
    monkeypatch.chdir(tmp_path)
    case.results([0, 1, 2], [0, 1, 2], lr=1e-05)
    case.commit()

    def stale(name: str) -> dict[str, list[str]]:
        revision = find_revision(name)
        return stale_inputs(revision, read_results(revision).lock)

    assert stale("HEAD") == stale("workspace") == {}
    case.write(CODE, "edited")
    params = (tmp_path / "params.yaml").read_text(encoding="utf-8")
    case.write("params.yaml", params.replace("lr: 1.0e-05", "lr: 0.5").replace("momentum: null\n", ""))
    assert stale("HEAD") == {}
    assert stale("workspace") == {"train": ["lr", "momentum", CODE]}
    case.commit()
    assert stale("HEAD") == {"train": ["lr", "momentum", CODE]}
    (tmp_path / CODE).unlink()
    (tmp_path / "params.yaml").unlink()
    assert stale("workspace") == {"train": [CODE]}


def test_what_the_models_were_computed_with_is_told_where_it_differs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the cache of a real DVC repository; nothing where a description is no longer in it."""
    monkeypatch.chdir(tmp_path)
    made = {"model": {"torch": "2", "threads": 2}, "other": {"torch": "2", "threads": 1, "MKL_CBWR": "COMPATIBLE"}}
    locks = []
    for facts in made.values():
        content = json.dumps(DESCRIPTION | {"computed_with": facts}).encode()
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        place = tmp_path / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
        place.parent.mkdir(parents=True)
        place.write_bytes(content)
        outs = [{"path": "models/model.json", "md5": digest}]
        locks.append(lock(more={"train": {"cmd": "train", "outs": outs}}))
    (tmp_path / ".dvc/config").touch()
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    assert fact_changes(*locks) == [
        Change("machine", "threads", "2", "1", ["train"]),
        Change("machine", "MKL_CBWR", "not set", "COMPATIBLE", ["train"]),
    ]
    assert fact_changes(locks[0], locks[0]) == []
    place.unlink()
    assert fact_changes(*locks) == []


DESCRIPTION = {
    "dataset": "digits",
    "classes": ["a", "b"],
    "shape_CHW": [1, 8, 8],
    "hflip_invariant": False,
    "mean": [0.5],
    "std": [0.5],
    "network": "mlp",
    "optimizer": "adamw",
    "precision": "float32",
    "num_parameters": 1,
    "kept_epoch": 1,
}
