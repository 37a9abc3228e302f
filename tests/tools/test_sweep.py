"""Sweeps: what is refused before anything runs, the report, and real experiments beside each other, some of which die."""

import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml
from statsmodels.stats.proportion import proportion_confint

from classifier.common.errors import UserError
from classifier.common.params import read_yaml
from tests.support.pipeline import Repository
from tools.experiments.__main__ import main
from tools.experiments.selection import Validation, interval_of_best, optimism, report, threads_of_job
from tools.experiments.space import grid, name_of, split_values

STAGE = """
import json, os, pathlib, sys, time
from ruamel.yaml import YAML
params = YAML(typ="safe").load(pathlib.Path("params.yaml"))
if params["lr"] == 666:
    sys.exit("error: training diverged; try a lower lr")
while params["lr"] == 0.5 and not pathlib.Path(os.environ["GO"]).exists():
    pathlib.Path(os.environ["GO"] + ".waits").write_text(str(os.getpid()))
    time.sleep(0.1)
for name in ("models", "metrics", "plots"):
    pathlib.Path(name).mkdir(exist_ok=True)
write = lambda name, text: pathlib.Path(name).write_text(text)
accuracy = 0.9 - params["lr"] / 10
write("models/model.json", json.dumps(params))
images = {"train": 900, "val": 200, "test": 300}
none = dict.fromkeys(images, 0)
found = {"images": images, "classes": 2, "imbalance": 1.0, "leaked": {}, "label_conflicts": 0, "unreadable": 0}
write("metrics/data.json", json.dumps(found | {"classes_missing": none, "constant": none, "repeated": none}))
write("metrics/train.json", json.dumps({"train_loss": 0.5, "val_loss": 1 - accuracy, "val_accuracy": accuracy}))
write("metrics/test.json", json.dumps({"test_accuracy": 0.25 + params["lr"]}))
write("plots/history.csv", "epoch,train_loss\\n1,0.5\\n2,0.5\\n")
"""
"""Stands in for the pipeline: val_accuracy is 0.9 - lr / 10, test_accuracy 0.25 + lr; with lr 0.5 it waits for the file GO."""


class Project(Repository):
    """This project's params and tools around one stage that takes a moment."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        (root / "stage.py").write_text(STAGE)
        results = ["metrics/data.json", "metrics/train.json", "metrics/test.json", "plots/history.csv"]
        stage = {
            "cmd": "python stage.py",
            "deps": ["stage.py"],
            "params": list(read_yaml(root / "params.yaml")),
            "outs": ["models/model.json"],
            "metrics": [{path: {"cache": False}} for path in results],
        }
        (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train": stage}}, sort_keys=False))
        (root / ".gitignore").write_text((root / ".gitignore").read_text() + "/models\n")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "a tiny pipeline")


@pytest.fixture
def go(tmp_path: Path) -> Path:
    return tmp_path / "go"


@pytest.fixture
def project(tmp_path: Path, go: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project = Project(tmp_path / "project")
    monkeypatch.chdir(project.root)
    for name, value in {**project.environment(), "GO": str(go)}.items():
        monkeypatch.setenv(name, value)
    return project


def stuck_stage(go: Path) -> psutil.Process:
    """The stage that waits for `go`, once it does."""
    note = go.with_name(f"{go.name}.waits")
    until = time.monotonic() + 120
    while not (note.exists() and note.read_text()):
        assert time.monotonic() < until
        time.sleep(0.1)
    return psutil.Process(int(note.read_text()))


@pytest.mark.slow
def test_of_runs_beside_each_other_one_that_is_killed_or_fails_stops_no_other(
    project: Project, go: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """lr 0.5 waits until it is let go, and 666 diverges: the two wrong ends that a run can have."""
    command = [sys.executable, "-m", "tools.experiments", "sweep", "lr=0.5,666,0.1", "--jobs", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout
        said = "".join(iter(process.stdout.readline, "experiments: lr=0.1: ended (2 of 3)\n"))
        os.killpg(os.getpgid(stuck_stage(go).pid), signal.SIGKILL)
        said += process.communicate()[0]
    assert process.returncode == 1, said
    assert "experiments: lr=666: failed: training diverged; try a lower lr (1 of 3)\n" in said
    assert "experiments: lr=0.5: failed: `dvc exp run` ended with status -9 (3 of 3)\n" in said
    assert "experiments: 2 of 3 settings without a result; the same command runs them again\n" in said
    assert "chosen: lr=0.1;" in said
    assert project.git("status", "--porcelain") == ""

    go.touch()
    capfd.readouterr()
    assert main(["sweep", "lr=0.1,0.5", "--jobs", "2"]) == 0
    told = capfd.readouterr().out
    assert "experiments: lr=0.1: is finished already" in told
    assert re.search(r"^  1  lr=0\.1  89\.00%\n  2  lr=0\.5  85\.00%$", told, re.MULTILINE)
    assert "its test_accuracy (not used for the choice): 35.00%" in told
    assert "75.00%" not in told, "the test figure of one that was not chosen"
    (commit,) = project.git("for-each-ref", "--format=%(objectname)", "refs/exps/*/*/lr=0.5").split()
    lock = yaml.safe_load(project.git("show", f"{commit}:dvc.lock"))
    assert lock["stages"]["train"]["params"]["params.yaml"]["lr"] == 0.5


@pytest.mark.slow
def test_ctrl_c_stops_the_runs_and_the_same_command_goes_on(
    project: Project, go: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = [sys.executable, "-m", "tools.experiments", "sweep", "lr=0.5,0.2", "--jobs", "1"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        stuck = stuck_stage(go)
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate()
    assert process.returncode == 130, said
    assert said.endswith(
        "interrupted; running experiments stopped after their last complete epoch; the same command continues\n"
    )
    assert not stuck.is_running()
    assert not (project.root / ".dvc/tmp/experiments").exists()
    go.touch()
    capfd.readouterr()
    assert main(command[3:]) == 0
    assert re.search(r"^  1  lr=0\.2  88\.00%\n  2  lr=0\.5  85\.00%$", capfd.readouterr().out, re.MULTILINE)


def test_a_dry_run_runs_nothing(project: Project, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    project.set_params(threads=64)
    for module in ("selection", "sweep"):
        monkeypatch.setattr(f"tools.experiments.{module}.num_cores", lambda: 8)
    project.git("commit", "--all", "--quiet", "--message", "threads")
    assert main(["sweep", "lr=1e-3,0.01", "augment=[],[flip,shift]", "--jobs", "2", "--dry-run"]) == 0
    assert capfd.readouterr().out.splitlines() == [
        "experiments: threads=4 for each run: 2 at once share 8 cores (params.yaml has 64)",
        "experiments: augment=none,lr=0.001: would run",
        "experiments: augment=flip+shift,lr=0.001: would run",
        "experiments: augment=none,lr=0.01: would run",
        "experiments: augment=flip+shift,lr=0.01: would run",
        "experiments: 4 of 4 settings to run; nothing was run",
    ]
    assert main(["sweep", "threads=1,2", "--dry-run"]) == 0
    assert "for each run" not in capfd.readouterr().out
    assert project.git("for-each-ref", "refs/exps") == ""
    (project.root / "stage.py").write_text("")
    with pytest.raises(UserError, match=r"^not committed: stage\.py; a sweep begins from the commit"):
        main(["sweep", "lr=1"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lrr=1"], r"^sweep: no stage in dvc\.yaml uses the key 'lrr'; did you mean 'lr'\?$"),
        (["lr=0.1,-1"], r"^sweep: lr=-1: lr must be greater than 0, got -1$"),
        (["lr=x"], r"^sweep: lr=x: lr must be a valid number, got 'x'$"),
        (["momentum=0.5"], r"^sweep: momentum=0\.5: momentum has no effect with optimizer 'adam'"),
        (["augment=[flip,flip]"], r"^sweep: augment=flip\+flip: augment must name each augmentation once"),
        (["dataset=mnist,digits"], r"^sweep: dataset: each value has other validation images"),
        (["flip_tta=true,false"], r"^sweep: flip_tta: has no effect on validation"),
        (["lr=1", "lr=2"], r"^lr: given twice"),
        (["lr"], r"^'lr': needs NAME=VALUE,VALUE"),
        (["lr=1,"], r"^lr: needs a value before and after each comma"),
        (["augment=[flip"], r"^augment: '\[flip' is not readable as YAML"),
        (["epochs=1,2,3", "lr=1,2", "--limit", "5"], r"^sweep: 6 settings, more than 5; `--limit 6` runs them all the same$"),
        (["lr=1", "--metric", "test_accuracy"], r"^--metric test_accuracy: a test split that chooses can no longer measure"),
        (
            ["lr=1", "--metric", "train_loss"],
            r"^--metric: needs val_accuracy or val_loss of metrics/train\.json, got 'train_loss'$",
        ),
    ],
)
def test_a_bad_sweep_is_refused_on_one_line(
    arguments: list[str], message: str, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path_factory.getbasetemp() / "refused"
    if not root.exists():
        Repository(root)
    monkeypatch.chdir(root)
    with pytest.raises(UserError, match=message) as refused:
        main(["sweep", *arguments])
    assert "\n" not in str(refused.value)


def test_without_validation_there_is_nothing_to_choose_by(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Repository(tmp_path / "project", val_fraction=0)
    monkeypatch.chdir(tmp_path / "project")
    with pytest.raises(UserError, match=r"^params\.yaml: val_fraction: 0 leaves no validation images to choose by"):
        main(["sweep", "lr=0.1"])


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0.1,0.2", ["0.1", "0.2"]),
        ("[],[flip,shift]", ["[]", "[flip,shift]"]),
        ("torchrun --standalone --nproc-per-node 2,python", ["torchrun --standalone --nproc-per-node 2", "python"]),
        ("'a,b',\"c,\\\"d\",it's", ["'a,b'", '"c,\\"d"', "it's"]),
        (",", ["", ""]),
    ],
)
def test_values_are_cut_at_the_commas_outside_brackets_and_quotes(text: str, values: list[str]) -> None:
    assert split_values(text) == values


def test_names_are_the_same_for_the_same_values_and_differ_for_others() -> None:
    assert [name_of(one) for one in grid(["weight_decay=0.0", "lr=1e-4,0.0001,1e-05"])] == [
        "lr=0.0001,weight_decay=0",
        "lr=1e-05,weight_decay=0",
    ]
    strange = ["a b", "a-b", "../a", "a..b", "b.lock", "~", "é", "a:b", "a/b", " ", "x" * 300, "x" * 299]
    names = [name_of({"source": one}) for one in strange]
    assert len(set(names)) == len(names)
    for name in names:
        subprocess.run(["git", "check-ref-format", f"refs/exps/ab/cd/{name}"], check=True)
        assert len(name) < 140


def test_threads_are_shared_but_never_more_than_the_params_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.experiments.selection.num_cores", lambda: 8)
    assert [threads_of_job({"threads": 4}, jobs) for jobs in (1, 2, 3, 8, 100)] == [4, 4, 2, 1, 1]
    assert threads_of_job({"threads": 1}, 1) == 1


def run(lr: float, figure: float, seed: int | None = None) -> Validation:
    overrides = {"lr": lr} | ({} if seed is None else {"seed": seed})
    return Validation(name_of(overrides), overrides, figure, num_looks=5, num_images=500, test_accuracy=lr)


def test_the_report_ranks_by_validation_and_tells_one_test_figure() -> None:
    text = report([run(0.1, 0.8), run(0.2, 0.9), run(0.3, 0.7)], "val_accuracy")
    assert re.findall(r"^ +(\d)  lr=(\S+)  (.*)$", text, re.MULTILINE) == [
        ("1", "0.2", "90.00%"),
        ("2", "0.1", "80.00%"),
        ("3", "0.3", "70.00%"),
    ]
    low, high = proportion_confint(450, 500, alpha=0.05 / 15, method="wilson")
    points = 100 * math.sqrt(0.9 * 0.1 / 500) * math.sqrt(2 * math.log(15))
    assert "3 settings and 15 epochs were compared" in text
    assert f"by up to {points:.1f} points on average" in text
    assert f"{low:.2%} to {high:.2%}" in text
    assert text.endswith("its test_accuracy (not used for the choice): 20.00%")
    by_loss = report([run(0.1, 0.8), run(0.2, 0.9)], "val_loss")
    assert re.findall(r"^ +\d  lr=(\S+)  (.*)$", by_loss, re.MULTILINE) == [("0.1", "0.8000"), ("0.2", "0.9000")]
    assert "points" not in by_loss


def test_seeds_are_no_settings_to_choose_between() -> None:
    runs = [run(0.1, 0.9, 0), run(0.1, 0.5, 1), run(0.2, 0.8, 0), run(0.2, 0.7, 1)]
    text = report(runs, "val_accuracy")
    assert re.findall(r"^ +\d  (.*)$", text, re.MULTILINE) == [
        "lr=0.2  75.00% ± 7.07 (2 seeds)",
        "lr=0.1  70.00% ± 28.28 (2 seeds)",
    ]
    assert "2 settings and 20 epochs" in text
    assert "`dvc exp apply lr=0.2,seed=0`" in text


def test_the_best_of_many_equal_ones_is_not_promised_more_than_it_is() -> None:
    """Twenty accuracies of equal models on 500 images, 400 times over: by simulation, both claims hold."""
    shares = np.random.default_rng(0).binomial(500, 0.9, (400, 20)).max(axis=1) / 500
    assert 0 < shares.mean() - 0.9 < optimism(0.9, 500, 20)
    intervals = [interval_of_best(share, 500, 20) for share in shares]
    assert np.mean([low <= 0.9 <= high for low, high in intervals]) >= 0.93
    assert optimism(0.9, 500, 1) == 0
