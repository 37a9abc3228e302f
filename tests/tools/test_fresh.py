"""`python -m tools.fresh`: every way in which dvc.lock can be about something else than what git holds, in words."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc_data.hashfile.hash_info import HashInfo
from dvc_data.hashfile.meta import Meta
from dvc_data.hashfile.tree import Tree

from classifier.common.errors import UserError
from record.revisions import find_revision
from tests.support.review_case import CODE, OUTS, PARAMS, Case
from tools.fresh import main, stale_lines

SOURCE = Path(__file__).parents[2]
MEND = "run `dvc repro` and commit dvc.lock, metrics and plots"
GRAPH: dict[str, dict[str, Any]] = {
    "download": {"cmd": "python -m stages.download", "params": ["dataset"], "outs": ["data/dataset"]},
    "train": {
        "cmd": "python -m stages.train",
        "deps": [CODE],
        "params": ["lr", "momentum"],
        "metrics": [{OUTS["train"][0]: {"cache": False}}],
        "plots": [{OUTS["train"][1]: {"cache": False, "x": "epoch"}}],
    },
    "evaluate": {
        "cmd": "python -m stages.evaluate",
        "deps": ["data/dataset/test"],
        "metrics": [{OUTS["evaluate"][0]: {"cache": False}}],
        "plots": [{path: {"cache": False}} for path in OUTS["evaluate"][1:]],
    },
}
"""What the dvc.yaml of tests.support.review_case would be."""


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    """A repository with fresh results."""
    case = Case(tmp_path)
    monkeypatch.chdir(tmp_path)
    case.results([0, 1, 2], [0, 1, 2])
    write_graph(case, GRAPH)
    case.commit()
    return case


def write_graph(case: Case, graph: dict[str, Any]) -> None:
    case.write("dvc.yaml", yaml.safe_dump({"stages": graph}, sort_keys=False))


def edit(case: Case, name: str, old: str, new: str) -> None:
    text = (case.root / name).read_text(encoding="utf-8")
    assert old in text
    case.write(name, text.replace(old, new, 1))


def found(revision: str = "workspace") -> list[str]:
    """The lines without what to do, which all of them end in."""
    lines = stale_lines(find_revision(revision))
    assert all(line.endswith(f"; {MEND}") for line in lines)
    return [line.removesuffix(f"; {MEND}") for line in lines]


def test_fresh_results_say_so_and_a_stale_param_is_named(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["HEAD"]) == 0
    assert capsys.readouterr().out == "dvc.lock is up to date: it matches the params, code and files\n" * 2
    edit(case, "params.yaml", "lr: 0.001", "lr: 0.01")
    assert main(["HEAD"]) == 0
    capsys.readouterr()
    assert main([]) == 1
    assert capsys.readouterr() == ("", f"dvc.lock is stale: stage train, param lr; {MEND}\n")
    case.commit()
    assert main(["HEAD"]) == 1
    assert main(["HEAD^"]) == 0


@pytest.mark.parametrize("names", [["download", "train", "evaluate"], ["evaluate", "train", "download"]])
def test_code_and_several_params_stand_on_one_line_and_stages_as_they_run(case: Case, names: list[str]) -> None:
    write_graph(case, {name: GRAPH[name] for name in names})
    case.write(CODE, "edited")
    case.write("params.yaml", yaml.safe_dump(PARAMS | {"lr": 1, "momentum": 0.5, "dataset": "mnist"}))
    assert found() == [
        "dvc.lock is stale: stage download, param dataset",
        f"dvc.lock is stale: stage train, param lr, param momentum, {CODE}",
    ]


@pytest.mark.parametrize(
    ("stage", "key", "value", "line"),
    [
        ("train", "cmd", "python -m stages.train --fast", "stage train, its command"),
        ("train", "cmd", ["python -m stages.train"], "stage train, its command"),
        ("train", "params", ["lr", "momentum", "dataset"], "stage train, param dataset"),
        ("train", "deps", [CODE, "params.yaml"], "stage train, params.yaml"),
        ("train", "outs", ["models/model"], "stage train, new output models/model"),
        ("plot", "cmd", "python -m stages.plot", "stage plot is not in it"),
    ],
)
def test_another_graph_is_stale(case: Case, stage: str, key: str, value: Any, line: str) -> None:
    write_graph(case, GRAPH | {stage: GRAPH.get(stage, {}) | {key: value}})
    assert found() == [f"dvc.lock is stale: {line}"]


def test_what_is_no_longer_declared_counts_for_nothing_as_for_dvc(case: Case) -> None:
    """DVC fills what dvc.yaml declares from dvc.lock, and does not look at the rest (StageLoader.fill_from_lock)."""
    case.write(CODE, "edited")
    case.write("params.yaml", yaml.safe_dump(PARAMS | {"lr": 1}))
    write_graph(case, GRAPH | {"train": GRAPH["train"] | {"deps": [], "params": ["momentum"]}})
    assert found() == []
    write_graph(case, {name: stage for name, stage in GRAPH.items() if name != "train"})
    assert found() == []


def test_a_path_that_a_param_names(case: Case) -> None:
    write_graph(case, GRAPH | {"train": GRAPH["train"] | {"deps": ["stages/${ dataset }.py"]}})
    assert found() == ["dvc.lock is stale: stage train, stages/digits.py"]
    case.write("params.yaml", yaml.safe_dump(PARAMS | {"dataset": "train"}))
    assert found() == ["dvc.lock is stale: stage download, param dataset"]


def test_a_result_that_is_not_the_recorded_one(case: Case) -> None:
    case.write("metrics/train.json", "{}\n")
    (case.root / "plots/classes.csv").unlink()
    assert found("HEAD") == []
    case.commit()
    assert (
        found() == found("HEAD") == ["metrics/train.json is not the file that dvc.lock records", "plots/classes.csv is missing"]
    )


def test_half_of_dvc_lock_from_another_branch(case: Case) -> None:
    """As git merges it without a word where two branches changed other stages."""
    write_graph(case, GRAPH | {"evaluate": GRAPH["evaluate"] | {"deps": ["data/dataset/test", "plots/history.csv"]}})
    locked = yaml.safe_load((case.root / "dvc.lock").read_text(encoding="utf-8"))
    md5 = locked["stages"]["train"]["outs"][1]["md5"]
    dep = {"path": "plots/history.csv", "hash": "md5", "md5": md5, "size": 1}
    locked["stages"]["evaluate"]["deps"].append(dep)
    case.write("dvc.lock", yaml.safe_dump(locked))
    assert found() == []
    dep["md5"] = "a" * 32
    case.write("dvc.lock", yaml.safe_dump(locked))
    assert found() == ["dvc.lock is stale: stage evaluate, plots/history.csv of another run"]


def test_a_folder_of_code_is_compared_by_what_its_modules_hold(case: Case) -> None:
    """As DVC records it, in a subfolder of the repository too; test_pipeline.py compares with a dvc.lock of DVC."""
    for name in ("__init__.py", "loop.py", "deep/z.py", "deep/a.py"):
        case.write(f"classifier/training/{name}", name)
    write_graph(case, GRAPH | {"train": GRAPH["train"] | {"deps": [CODE, "classifier/training"]}})
    dep = f"- path: classifier/training\n      md5: {dvc_hash(case.root / 'classifier/training')}\n    - path: {CODE}"
    edit(case, "dvc.lock", f"- path: {CODE}", dep)
    case.write("classifier/training/notes.txt", "nothing that counts")
    case.write("classifier/training/__pycache__/loop.pyc", "nothing that counts")
    case.commit()
    assert found() == found("HEAD") == []
    stale = ["dvc.lock is stale: stage train, classifier/training"]
    case.write("classifier/training/deep/a.py", "edited")
    assert found() == stale
    case.git("checkout", "--quiet", ".")
    case.write("classifier/training/new.py", "")
    assert found() == stale
    case.commit()
    assert (found("HEAD"), found("HEAD^")) == (stale, [])
    shutil.rmtree(case.root / "classifier")
    assert found() == stale


def dvc_hash(folder: Path) -> str:
    """Of the modules in it, by DVC's own function."""
    tree = Tree()
    for path in folder.rglob("*.py"):
        md5 = hashlib.md5(path.read_bytes()).hexdigest()
        tree.add(path.relative_to(folder).parts, Meta(), HashInfo("md5", md5))
    tree.digest()
    return str(tree.hash_info and tree.hash_info.value)


def test_ones_own_images_are_not_looked_for_in_git(case: Case) -> None:
    write_graph(case, GRAPH | {"train": GRAPH["train"] | {"deps": [CODE, "pictures"]}})
    edit(case, "dvc.lock", f"- path: {CODE}", f"- path: pictures\n      md5: {'a' * 32}.dir\n    - path: {CODE}")
    assert found() == []


@pytest.mark.parametrize("name", ["dvc.lock", "params.yaml", "dvc.yaml"])
def test_merge_conflicts_point_to_the_way_out(case: Case, name: str) -> None:
    edit(case, name, ":", ":\n<<<<<<< HEAD\n=======\n>>>>>>> other\n")
    with pytest.raises(
        UserError, match=rf"^workspace:{name}: has merge conflicts; docs/guide/pull_requests\.md says how to resolve them$"
    ):
        found()
    assert (SOURCE / "docs/guide/pull_requests.md").is_file()


def test_two_branches_that_changed_other_stages_conflict_in_dvc_lock(case: Case) -> None:
    """Merged line by line, dvc.lock would be that of no run, and fresh: nothing could tell it from a true one."""
    stages = ("download", "evaluate")
    write_graph(case, GRAPH | {name: GRAPH[name] | {"deps": [f"{name}.py", *GRAPH[name].get("deps", [])]} for name in stages})
    for name in stages:
        run_with(case, name, "as it was")
    case.commit()
    case.git("branch", "other")
    run_with(case, "evaluate", "edited here")
    case.commit()
    case.git("switch", "--quiet", "other")
    run_with(case, "download", "edited there")
    case.commit()
    case.git("merge", "--quiet", "--no-edit", "main")
    assert found() == [], "where git may merge lines"
    case.git("reset", "--quiet", "--hard", "HEAD^")
    shutil.copy(SOURCE / ".gitattributes", case.root)
    with pytest.raises(subprocess.CalledProcessError):
        case.git("merge", "--quiet", "--no-edit", "main")
    with pytest.raises(
        UserError, match=r"^workspace:dvc\.lock: has merge conflicts; docs/guide/pull_requests\.md says how to resolve them$"
    ):
        found()
    case.git("checkout", "--quiet", "HEAD", "--", "dvc.lock")
    assert found() == ["dvc.lock is stale: stage evaluate, evaluate.py"]


def test_params_that_are_settled_by_hand_need_not_be_added_first(case: Case) -> None:
    """As docs/guide/pull_requests.md has it: `git add` is the last command."""
    case.git("branch", "other")
    for branch, lr in (("main", "0.01"), ("other", "0.02")):
        case.git("switch", "--quiet", branch)
        edit(case, "params.yaml", "lr: 0.001", f"lr: {lr}")
        case.commit()
    with pytest.raises(subprocess.CalledProcessError):
        case.git("merge", "--quiet", "--no-edit", "main")
    with pytest.raises(UserError, match=r"^workspace:params\.yaml: has merge conflicts"):
        found()
    case.write("params.yaml", yaml.safe_dump(PARAMS))
    assert found() == []


def run_with(case: Case, stage: str, code: str) -> None:
    """Give `stage` a module of its own, and record that it ran with it, and that the results are the same."""
    path = f"{stage}.py"
    case.write(path, code)
    locked = yaml.safe_load((case.root / "dvc.lock").read_text(encoding="utf-8"))
    deps = [dep for dep in locked["stages"][stage].get("deps", []) if dep["path"] != path]
    dep = {"path": path, "hash": "md5", "md5": hashlib.md5(code.encode()).hexdigest(), "size": len(code)}
    locked["stages"][stage]["deps"] = [*deps, dep]
    case.write("dvc.lock", yaml.safe_dump(locked, sort_keys=False))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("dvc.lock", None, rf"^workspace:dvc\.lock: no such file; {re.escape(MEND)}$"),
        ("dvc.lock", "", r"^workspace:dvc\.lock: needs `key: value` lines, got NoneType$"),
        ("dvc.lock", "stages: [", r"^workspace:dvc\.lock: not readable as YAML"),
        ("dvc.lock", "stages: {train: 3}", r"^workspace:dvc\.lock: stages\.train: .* got 3; run `dvc repro`$"),
        ("dvc.yaml", None, r"^workspace:dvc\.yaml: no such file"),
        ("dvc.yaml", "stages: 3", r"^workspace:dvc\.yaml: needs a mapping below `stages:`"),
        ("dvc.yaml", "stages: {a: {outs: 7}}", r"^workspace:dvc\.yaml: stages\.a\.outs: needs a list of names, got 7$"),
        (
            "dvc.yaml",
            "stages: {a: {deps: [x, 7]}}",
            r"^workspace:dvc\.yaml: stages\.a\.deps: needs a list of names, got \['x', 7\]$",
        ),
        ("dvc.yaml", "stages: {a: {params: lr}}", r"^workspace:dvc\.yaml: stages\.a\.params: needs a list of names, got 'lr'$"),
        ("dvc.yaml", "stages: {a: {plots: [{7: {cache: false}}]}}", r"^workspace:dvc\.yaml: stages\.a\.plots: needs a list"),
        ("params.yaml", None, r"^workspace:params\.yaml: no such file"),
        ("params.yaml", "a: [", r"^workspace:params\.yaml: not readable as YAML"),
    ],
)
def test_files_that_cannot_be_read(case: Case, name: str, text: str | None, message: str) -> None:
    if text is None:
        (case.root / name).unlink()
    else:
        case.write(name, text)
    with pytest.raises(UserError, match=message):
        found()


def test_a_bare_clone_is_judged_without_dvc_and_torch(case: Case, tmp_path: Path) -> None:
    """In a process of its own; one line and status 1 for what cannot be read."""
    bare = tmp_path / "bare.git"
    case.git("clone", "--quiet", "--bare", ".", str(bare))
    program = """if True:
        import runpy, sys
        sys.modules["dvc"] = sys.modules["torch"] = None  # to import them would be an error
        runpy.run_module("tools.fresh", run_name="__main__")
    """
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}

    def run(revision: str) -> tuple[int, str, str]:
        command = [sys.executable, "-c", program, revision]
        done = subprocess.run(command, cwd=bare, env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr

    assert run("HEAD") == (0, "dvc.lock is up to date: it matches the params, code and files\n", "")
    status, out, err = run("nowhere")
    assert (status, out) == (1, "")
    assert re.fullmatch(r"error: nowhere: git knows no such revision .*\n", err)
    shutil.rmtree(bare)


def test_a_commit_may_hold_names_and_yaml_that_nobody_means_well_with(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is not UTF-8, and lists in each other."""
    graph = GRAPH | {"train": GRAPH["train"] | {"deps": ["classifier/lib"]}}
    write_graph(case, graph)
    case.write("classifier/lib/one.py", "1\n")
    (case.root / os.fsdecode(b"classifier/lib/\xff.py")).write_text("2\n")
    case.commit()
    assert main(["HEAD"]) == 1
    assert "stage train, classifier/lib" in capsys.readouterr().err
    case.write("dvc.lock", "stages: " + "[" * 200 + "]" * 200)
    case.commit()
    with pytest.raises(UserError, match=r"^HEAD:dvc\.lock: not readable as YAML: more than 100 lists or mappings"):
        main(["HEAD"])
