"""The named experiments: what is refused before anything runs, what real DVC makes of the rest, the table, the comparison."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import yaml
from dvc.utils.hydra import apply_overrides
from filelock import FileLock
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import binom
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from benchmarks.calibration import Scenario, simulated_pair
from classifier.common.errors import UserError
from classifier.common.params import read_yaml
from classifier.scores.params import EvaluateParams
from classifier.splits.params import BuildParams
from classifier.training.params import TrainParams
from tests.support import warm
from tests.support.pipeline import SOURCE, Repository
from tools.experiments import dvc_exp
from tools.experiments.__main__ import main
from tools.experiments.dvc_exp import TrainingClock
from tools.experiments.named import check_experiments, read_experiments, set_param_options
from tools.experiments.ranking import Candidate, Comparison, RankedRun, as_text, paired_p_values, rank
from tools.experiments.scatter import Cost, accuracy_against, setting_name
from tools.experiments.table import SeedRun, accuracy_against_seconds

NUM_IMAGES = 400
STAGE = f"""
import json, os, pathlib, sys, time
from ruamel.yaml import YAML
params = YAML(typ="safe").load(pathlib.Path("params.yaml"))
if params["lr"] == 666:
    sys.exit("error: diverged")
for name in ("models", "metrics", "plots"):
    pathlib.Path(name).mkdir(exist_ok=True)
write = lambda name, text: pathlib.Path(name).write_text(text)
if sys.argv[1] == "train":
    print("epoch 1/1", flush=True)
    images = {{"dataset": "mine", "classes": ["cat", "dog"], "shape_CHW": [1, 2, 2], "hflip_invariant": False}}
    made = {{"network": "mlp", "optimizer": "adam"}}
    made |= {{"precision": "float32", "num_parameters": 12345, "kept_epoch": 1, "mean": [0.5], "std": [0.5]}}
    write("models/model.json", json.dumps(images | made | {{"computed_with": {{"torch": "9.9", "threads": 1}}}}))
    write("metrics/train.json", json.dumps({{"train_loss": 0.5, "best_epoch": 1}}))
    write("plots/history.csv", "epoch,train_loss,train_accuracy\\n1,0.5,0.5\\n")
else:
    wrong = round(100 * params["lr"]) + params["seed"]
    rows = [("cat", "dog" if row < wrong else "cat", 1.5 if row < wrong else 0.5) for row in range({NUM_IMAGES})]
    head, cells = "actual,predicted,confidence,loss\\n", "{{}},{{}},0.75,{{}}\\n"
    write("plots/predictions.csv", head + "".join(cells.format(*row) for row in rows))
    write("plots/classes.csv", "class,recall,support\\ncat,0.5,{NUM_IMAGES}\\ndog,0,0\\n")
    right = {NUM_IMAGES} - wrong
    recall, dog = right / {NUM_IMAGES}, 0
    f1 = 2 * right / ({NUM_IMAGES} + right) / (2 if wrong else 1)
    loss = sum(row[2] for row in rows) / {NUM_IMAGES}
    write("metrics/test.json", json.dumps({{"test_accuracy": recall, "test_loss": loss, "test_macro_f1": f1}}))
"""
"""Stands in for stages that take long: of 400 images, 100 lr + seed are wrong, and always the first ones."""

EXPERIMENTS = {
    "good": {"description": "the good one", "overrides": {"lr": 0.1}, "reported": {"accuracy": 0.97, "source": "a book"}},
    "bad": {"description": "the bad one", "overrides": {"lr": 1.5}},
}


def uncached(*paths: str) -> list[dict[str, Any]]:
    return [{path: {"cache": False}} for path in paths]


class Project(Repository):
    """This project's params, experiments and tools around stages that take a moment."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.write("stage.py", STAGE)
        keys = list(read_yaml(root / "params.yaml"))
        train = {
            "cmd": "python stage.py train",
            "deps": ["stage.py", "classifier/training"],
            "params": keys,
            "outs": ["models/model.json"],
            "metrics": uncached("metrics/train.json"),
            "plots": uncached("plots/history.csv"),
        }
        evaluate = {
            "cmd": "python stage.py evaluate",
            "deps": ["models/model.json", "data/dataset/test"],
            "params": ["lr", "seed"],
            "metrics": uncached("metrics/test.json"),
            "plots": uncached("plots/predictions.csv", "plots/classes.csv"),
        }
        self.write("dvc.yaml", yaml.safe_dump({"stages": {"train": train, "evaluate": evaluate}}, sort_keys=False))
        self.write("data/dataset/test/images", "images")
        self.experiments(EXPERIMENTS)
        self.git("add", "--all", "--force", "data", ".")
        self.git("commit", "--quiet", "--message", "a tiny pipeline")

    def write(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text, encoding="utf-8")

    def experiments(self, values: dict[str, Any]) -> None:
        self.write("experiments.yaml", json.dumps(values))

    @property
    def records(self) -> dict[str, Any]:
        read: dict[str, Any] = json.loads(self.read("benchmarks/results.json"))
        return read

    @property
    def refs(self) -> dict[str, str]:
        """Name to commit of the experiments, those of the last commit first in case of doubt."""
        lines = self.git("for-each-ref", "--format=%(refname) %(objectname)", "refs/exps").splitlines()
        return {line.split()[0].split("/")[-1]: line.split()[1] for line in lines if not line.startswith("refs/exps/exec")}

    def state(self) -> dict[str, bytes | str]:
        """All that must be as before a run: HEAD, branch, index, and every file but DVC's own and the results."""
        made = (".git", ".dvc", "benchmarks")
        files = [path for path in sorted(self.root.rglob("*")) if path.relative_to(self.root).parts[0] not in made]
        contents: dict[str, bytes | str] = {str(path): path.read_bytes() for path in files if path.is_file()}
        git = {
            name: self.git(*name.split())
            for name in ("symbolic-ref HEAD", "rev-parse HEAD", "diff", "diff --cached", "stash list")
        }
        return contents | git


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    project = Project(tmp_path / "project")
    monkeypatch.chdir(project.root)
    for name, value in project.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "executable", warm.python())  # that the tool starts DVC with
    return project


def test_runs_skips_replaces_and_goes_on(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    """One after the other, since each starts from what the one before has left."""
    mine = {"description": "own images", "overrides": {"dataset": "folder", "source": "photographs"}}
    failing = {"description": "no result", "overrides": {"lr": 666}}
    project.experiments({**EXPERIMENTS, "failing": failing, "mine": mine})
    edited = project.read("params.yaml").replace("epochs: 3", "epochs: 99") + "# an edit\n"
    project.write("params.yaml", edited)
    project.write("notes", "untracked")
    project.git("add", "notes")
    before = project.state()

    assert main(["run", "mine"]) == 1
    told = capfd.readouterr().out
    assert re.search(
        r"mine-seed0: photographs: found nothing there; dataset 'folder' needs .*; put yours there with `dvc add`.*\n"
        r"experiments: 0 of 1 done; failed: mine-seed0\n$",
        told,
    )
    assert "Running stage" not in told

    assert main(["run", "failing", "good", "--seeds", "0-1"]) == 1
    told = capfd.readouterr().out
    assert "not included, because not committed: params.yaml" in told
    assert "applied to your workspace" not in told
    assert told.endswith("experiments: 2 of 4 done; failed: failing-seed0, failing-seed1\n")
    assert project.state() == before, "edits and index are as they were"
    assert project.refs.keys() == {"good-seed0", "good-seed1"}
    assert project.git("status", "--porcelain") == " M experiments.yaml\nA  notes\n M params.yaml\n?? benchmarks/\n"
    records = project.records
    assert records.keys() == {"good"}
    assert (records["good"]["params"]["epochs"], records["good"]["params"]["lr"]) == (3, 0.1), "of the commit, and the override"
    first, second = records["good"]["runs"]
    assert (first["metrics"]["test_accuracy"], second["metrics"]["test_accuracy"]) == (390 / 400, 389 / 400)
    assert (first["seed"], second["seed"], second["num_parameters"]) == (0, 1, 12345)
    assert first["epochs"] == 1, "as many as the history has rows, whatever the param says"
    assert first["commit"] == project.git("rev-parse", "HEAD").strip()
    assert first["experiment"] == project.refs["good-seed0"]
    assert 0 < first["seconds"] < 30
    assert list((project.root / ".dvc/tmp").glob("experiments/*")) == []

    assert main(["run", "good", "--seeds", "0,1"]) == 0
    told = capfd.readouterr().out
    assert told.count("is finished already") == 2
    assert "Running stage" not in told
    assert project.records == records
    older = json.loads(json.dumps(records))
    for one in older["good"]["runs"]:
        del one["epochs"]
    project.write("benchmarks/results.json", json.dumps(older))
    assert main(["run", "good", "--seeds", "0,1"]) == 0
    assert project.records == records, "what a file of an earlier version lacks is added, and the seconds stay"

    project.experiments({"good": {"description": "changed", "overrides": {"lr": 0.2}}})
    assert main(["run"]) == 1
    assert re.search(
        r"good-seed0: the name is taken by another experiment \(lr was 0.1, here 0.2\); .*--force replaces it",
        capfd.readouterr().out,
    )
    assert project.refs["good-seed0"] == first["experiment"]

    assert main(["run", "--force"]) == 0
    assert project.refs["good-seed0"] != first["experiment"]
    runs = project.records["good"]["runs"]
    assert [(run["seed"], run["metrics"]["test_accuracy"]) for run in runs] == [(0, 380 / 400)], "seed 1 had other params"

    project.git("commit", "--quiet", "--message", "notes only", "notes")
    assert main(["run"]) == 0
    assert re.search(r"good-seed0: is finished already \(\w{7}, started from \w{7}\)", capfd.readouterr().out)
    project.write("stage.py", STAGE + "# other code\n")
    project.git("commit", "--quiet", "--message", "other code", "stage.py")
    assert main(["run"]) == 0
    assert re.search(r"the one started from \w{7} differs and is kept \(stage.py was another\)", capfd.readouterr().out)
    names = project.git("for-each-ref", "--format=%(refname:lstrip=4)", "refs/exps").split()
    assert names.count("good-seed0") == 2
    code_in_a_folder(project, capfd)


def code_in_a_folder(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    """What is no module in it is not part of an experiment, committed or not."""
    project.write("classifier/training/notes.txt", "nothing that counts")
    assert main(["run"]) == 0
    told = capfd.readouterr().out
    assert "is finished already" in told
    assert "classifier" not in told
    project.git("add", "classifier")
    project.git("commit", "--quiet", "--message", "notes beside the code")
    assert main(["run"]) == 0
    assert "is finished already" in capfd.readouterr().out
    project.write("classifier/training/new.py", "")
    assert main(["run"]) == 0
    assert "not included, because not committed: classifier/training/new.py, params.yaml" in capfd.readouterr().out
    project.git("add", "classifier")
    project.git("commit", "--quiet", "--message", "a new module")
    assert main(["run"]) == 0
    told = capfd.readouterr().out
    assert re.search(r"the one started from \w{7} differs and is kept \(classifier/training was another\)", told)


@pytest.mark.slow
def test_the_queue_then_the_results_and_the_comparison(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    project.write("stage.py", STAGE + "# an edit\n")
    with pytest.raises(UserError, match=r"^not committed: stage\.py; queued experiments begin from the commit"):
        main(["run", "--queue"])
    project.git("checkout", "--quiet", "stage.py")
    project.write("notes", "an edit that no stage reads")
    project.git("add", "notes")
    before = project.state()
    assert main(["run", "--queue", "good", "bad"]) == 0
    assert project.state() == before
    capfd.readouterr()
    assert main(["run", "--queue", "good"]) == 0
    assert "good-seed0: is already queued or running" in capfd.readouterr().out
    project.dvc("exp", "run", "--run-all")
    assert main(["run", "--seeds", "0-1"]) == 0
    runs = project.records["good"]["runs"]
    assert [run["seconds"] is None for run in runs] == [True, False], "nobody timed what the queue ran"
    wait_for_workers_to_end(project)
    assert main(["run", "--queue", "bad", "--seeds", "7"]) == 0

    capfd.readouterr()
    assert main(["compare"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "4 runs of 2 settings on the same 400 test images"
    table = [line.split() for line in lines[3:7]]
    low, high = proportion_confint(390, 400, method="wilson")
    assert table[0] == ["=", "good-seed0", "97.50%", f"{low:.2%}", "to", f"{high:.2%}"]
    assert table[1][:3] == ["=", "good-seed1", "97.25%"]
    assert table[1][-1] == "1.000"
    assert [row[:2] for row in table[2:]] == [["bad-seed0", "62.50%"], ["bad-seed1", "62.25%"]]
    assert [row[-1] for row in table[2:]] == ["<0.001", "<0.001"]
    told = "= the best, and those not significantly different from it: 1 of the 3 others, by 6 paired tests of these runs"
    assert lines[8:10] == [
        told,
        "(McNemar, mid-p, corrected for their number after Holm); the variation between seeds is not included",
    ]
    assert "left out: bad-seed7: queued" in lines
    assert any(line.startswith("left out: workspace: has no dvc.lock") for line in lines)
    assert lines[-1].startswith("warning: this ranks by test accuracy, and the best of many looks better than it is")
    a_picture_of_them(project, capfd)


def wait_for_workers_to_end(project: Project) -> None:
    """Those of `dvc exp run --run-all` live on for some seconds, and would run what is queued meanwhile."""
    deadline = time.monotonic() + 120
    notes = [json.loads(note.read_text()) for note in (project.root / ".dvc/tmp/exps/celery").glob("dvc-exp-worker-*.json")]
    while any(is_worker(note["pid"]) for note in notes):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def is_worker(pid: int) -> bool:
    with suppress(psutil.Error):
        return "queue-worker" in psutil.Process(pid).cmdline()
    return False


def a_picture_of_them(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    """Of four runs with models of 12,345 parameters, two of which were timed."""
    assert main(["compare", "--scatter", "first.png"]) == 0
    assert capfd.readouterr().out.endswith("\n\nwritten: first.png: 4 runs by test accuracy and parameters\n")
    with Image.open("first.png") as picture:
        picture.load()
    assert main(["compare", "--scatter", "timed.png", "--by", "seconds"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[-3] == "written: timed.png: 2 runs by test accuracy and seconds"
    for line, name in zip(lines[-2:], ("good-seed0", "bad-seed0"), strict=True):
        assert re.fullmatch(rf"not in timed\.png: {name}: benchmarks/results\.json has no time of it; .* notes that .*", line)

    results = project.root / "benchmarks/results.json"
    noted = results.read_text()
    results.unlink()
    assert main(["compare", "--scatter", "again.png"]) == 0, "DVC's cache has the models"
    assert Path("again.png").read_bytes() == Path("first.png").read_bytes()
    with pytest.raises(
        UserError, match=r"^--scatter: nothing to draw; of good-seed0: benchmarks/results\.json has no time of it"
    ):
        main(["compare", "--scatter", "never.png", "--by", "seconds"])
    shutil.rmtree(project.root / ".dvc/cache")
    with pytest.raises(UserError, match=r"^--scatter: nothing to draw; of good-seed0: its model is no longer in DVC's cache"):
        main(["compare", "--scatter", "never.png"])
    results.write_text(noted)
    assert main(["compare", "--scatter", "again.png"]) == 0, "the file has the numbers"
    assert Path("again.png").read_bytes() == Path("first.png").read_bytes()
    assert not Path("never.png").exists()


def test_own_images_count_as_the_commit_has_them(project: Project, capfd: pytest.CaptureFixture[str]) -> None:
    """What `dvc add` keeps is in git by its .dvc file alone, and the copy that the experiments run in gets it by that."""
    project.write("photographs/a/1.jpg", "first")
    project.dvc("add", "photographs")
    graph = yaml.safe_load(project.read("dvc.yaml"))
    graph["stages"]["train"]["deps"].append("${source}")
    project.write("dvc.yaml", yaml.safe_dump(graph, sort_keys=False))
    mine = {"description": "own images", "overrides": {"dataset": "folder", "source": "photographs"}}
    project.experiments({"mine": mine})
    project.git("add", "--all")
    project.git("commit", "--quiet", "--message", "own images")
    assert main(["run"]) == 0, capfd.readouterr().out
    assert "Running stage 'train'" in capfd.readouterr().out

    project.write("photographs/a/2.jpg", "second")
    assert main(["run"]) == 0
    assert "mine-seed0: is finished already" in capfd.readouterr().out, "what is not committed is not part of it"
    project.dvc("add", "photographs")
    assert main(["run"]) == 0
    assert "not included, because not committed: photographs.dvc" in capfd.readouterr().out
    with pytest.raises(UserError, match=r"^not committed: photographs\.dvc; queued experiments begin from the commit"):
        main(["run", "--queue"])

    project.experiments({"mine": mine | {"overrides": {"dataset": "folder", "source": "photographs/"}}})
    project.git("commit", "--quiet", "--all", "--message", "another picture")
    shutil.rmtree("photographs")
    assert main(["run"]) == 0
    told = capfd.readouterr().out
    assert "(source was" in told
    assert "Running stage 'train'" in told
    assert main(["run"]) == 0
    assert "is finished already" in capfd.readouterr().out
    project.write("photographs.dvc", "outs: []\n")
    project.git("commit", "--quiet", "--all", "--message", "damaged")
    assert main(["run"]) == 1
    assert re.search(r"mine-seed0: \w{7}:photographs\.dvc: not as `dvc add` writes it: ", capfd.readouterr().out)


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on_and_the_training_does(tmp_path: Path) -> None:
    """The real pipeline, as a person types it."""
    repository = Repository(tmp_path / "project", epochs=60)
    (repository.root / "experiments.yaml").write_text(json.dumps({"good": EXPERIMENTS["good"] | {"overrides": {}}}))
    command = [sys.executable, "-m", "tools.experiments", "run"]
    status = repository.git("status", "--porcelain")
    with subprocess.Popen(
        command, cwd=repository.root, env=repository.environment(), stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("epoch 3/60"):
                os.killpg(process.pid, signal.SIGINT)
    assert process.returncode == 130, said
    assert said[-1] == "experiments: interrupted; 0 of 1 done; the same command continues\n"
    assert repository.git("status", "--porcelain") == status
    assert repository.git("symbolic-ref", "HEAD") == "refs/heads/main\n"
    assert not (repository.root / ".dvc/tmp/experiments").exists()

    done = subprocess.run(
        command, cwd=repository.root, env=repository.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^going on after epoch ([2-9]|[1-5]\d) of 60,", done.stdout, re.MULTILINE)
    assert len(re.findall(r"^epoch \d+/60 ", done.stdout, re.MULTILINE)) < 60
    (run,) = json.loads(repository.read("benchmarks/results.json"))["good"]["runs"]
    assert run["seconds"] is None, "half of a training was timed"
    assert run["metrics"]["train_best_epoch"] <= 60
    assert run["num_parameters"] == 64 * 300 + 300 + 300 * 100 + 100 + 100 * 10 + 10
    assert run["computed_with"]["threads"] == 1


def test_one_run_at_a_time(project: Project) -> None:
    (project.root / ".dvc/tmp").mkdir(exist_ok=True)
    with FileLock(project.root / ".dvc/tmp/experiments.lock"), pytest.raises(UserError, match=r"^another .* is at work here"):
        main(["run"])


def test_a_folder_without_a_commit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments.yaml").write_text(json.dumps(EXPERIMENTS))
    with pytest.raises(UserError, match=r"^git: experiments begin from a commit, and here is none"):
        main(["run"])
    with pytest.raises(UserError, match=r"^experiments\.yaml: has no experiment 'goood'; it has good, bad$"):
        main(["run", "goood"])
    with pytest.raises(UserError, match=r"^benchmarks/results\.json: has no run of experiments\.yaml"):
        main(["table"])


def test_the_experiments_as_shipped_are_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(SOURCE)
    experiments = read_experiments()
    tutorials = {"softmax-by-hand", "mlp", "csv-cnn", "mnist-cnn", "cifar-cnn", "vgg16-head"}
    assert {"quick", "default", "best"} | tutorials <= experiments.keys()
    check_experiments(read_yaml(Path("params.yaml")), experiments, Path("params.yaml"))
    of_the_machine = {"seed", "device", "threads", "compile"}
    needed = {"dataset", *BuildParams.model_fields, *TrainParams.model_fields, *EvaluateParams.model_fields}
    for name in tutorials:
        assert (experiments[name].overrides["augment"], experiments[name].overrides["flip_tta"]) == ([], False)
        assert needed - of_the_machine - {"test_fraction"} <= experiments[name].overrides.keys(), "in full"


def test_what_was_reported_of_the_errors_is_the_accuracy() -> None:
    reported = read_experiments(SOURCE / "experiments.yaml")["softmax-by-hand"].reported
    assert reported
    assert reported.accuracy == pytest.approx(1 - 2918 / 10_000)
    assert reported.train_accuracy == pytest.approx(1 - 16_688 / 60_000, abs=1e-6)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"lr": -1}, r"^experiments\.yaml: mine: lr must be greater than 0, got -1$"),
        ({"lr": "1e-3"}, r"^experiments\.yaml: mine: lr must be a valid number, got '1e-3'$"),
        ({"epoch": 3}, r"^experiments\.yaml: mine: no stage in dvc\.yaml uses the key 'epoch'; did you mean 'epochs'\?$"),
        ({"network": "resnet"}, r"^experiments\.yaml: mine: network must be .* got 'resnet'"),
        ({"dataset": "mnits"}, r"^experiments\.yaml: mine: catalogue\.yaml: .*mnits"),
        (
            {"network": "cnn", "image_size": 8},
            r"^experiments\.yaml: mine: network 'cnn' needs images of 16x16 pixels",
        ),
    ],
)
def test_a_bad_override_is_named(
    overrides: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(SOURCE)
    (tmp_path / "experiments.yaml").write_text(json.dumps({"mine": {"description": "mine", "overrides": overrides}}))
    experiments = read_experiments(tmp_path / "experiments.yaml")
    with pytest.raises(UserError, match=message):
        check_experiments(read_yaml(Path("params.yaml")), experiments, Path("params.yaml"))
    with pytest.raises(UserError, match=r"^params\.yaml: lr must be greater than 0"):
        check_experiments(read_yaml(Path("params.yaml")) | {"lr": 0}, experiments, Path("params.yaml"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", r"needs an experiment at least"),
        ("", r"needs `key: value` lines, got NoneType"),
        ("- quick", r"needs `key: value` lines, got list"),
        ("quick: {description: a}\nquick: {description: b}", r"not readable as YAML: .*duplicate key"),
        ("Quick: {description: a}", r"'Quick': needs a name of small letters"),
        ("7: {description: a}", r"7: needs a name of small letters"),
        ("../x: {description: a}", r"'\.\./x': needs a name"),
        ("mine-seed3: {description: a}", r"'mine-seed3': needs a name"),
        ("mine:", r"mine: the entry: .* got None"),
        ("mine: {}", r"mine: description: Field required"),
        ("mine: {description: 'a\n\n  b'}", r"mine: description: String should match"),
        ("mine: {description: a, override: {}}", r"mine: override: Extra inputs are not permitted"),
        ("mine: {description: a, overrides: [lr]}", r"mine: overrides: Input should be a valid dictionary"),
        ("mine: {description: a, overrides: {seed: 3}}", r"mine: seed: is given by --seeds"),
        (
            "mine: {description: a, reported: {accuracy: 98.9, source: b}}",
            r"mine: reported\.accuracy: .* less than or equal to 1",
        ),
        ("mine: {description: a, reported: {accuracy: .nan, source: b}}", r"mine: reported\.accuracy: .* finite number"),
        ("mine: {description: a, reported: {accuracy: 0.9}}", r"mine: reported\.source: Field required"),
    ],
)
def test_a_bad_list_is_refused_on_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "experiments.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as refused:
        read_experiments(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "x", "4-0", "-1", "0-", "0,,1", "4294967296", "0-1000", "1.5"])
def test_bad_seeds_are_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["run", f"--seeds={text}"])
    assert "must be like 0-4 or 0,3,7" in capsys.readouterr().err


VALUES = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]) | st.sampled_from(" '\"\\,[]{}$=:~"), max_size=12)


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.sampled_from(["lr", "augment", "source", "epochs"]), VALUES | TEXTS | st.lists(VALUES | TEXTS, max_size=3)
    )
)
@example({"source": "it's \\\\' \\x \\"})
@example({"source": "null", "lr": 1e-05, "augment": ["1e-3", "", True, None]})
def test_an_override_arrives_in_params_yaml_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, overrides: dict[str, Any]
) -> None:
    """By DVC's own parser and writer."""
    path = tmp_path_factory.mktemp("params") / "params.yaml"
    path.write_text("lr: 0.1\naugment: [flip]\nsource: # a comment\nepochs: 3\nseed: 0\nother: kept\n")
    before = read_yaml(path)
    options = set_param_options(overrides, 7)
    assert options[::2] == ["-S"] * (len(overrides) + 1)
    apply_overrides(path, options[1::2])
    assert read_yaml(path) == before | overrides | {"seed": 7}


def clocked(*lines: tuple[float, str]) -> float | None:
    clock = TrainingClock()
    for now, text in lines:
        clock.line(f"{text}\n", now)
    return clock.seconds


def test_the_clock_times_the_stage_train_alone() -> None:
    begins, ends = (10.0, "Running stage 'train':"), (73.26, "Updating lock file 'dvc.lock'")
    assert clocked((1, "Running stage 'build':"), (9, ends[1]), begins, (20, "epoch 1/2"), ends, (80, ends[1])) == 63.3
    assert clocked(begins, (40, "Running stage 'evaluate':")) == 30
    assert clocked(begins, (20, "epoch 1/2")) is None
    assert clocked((1, "Stage 'train' is cached - skipping run, checking out outputs"), (2, ends[1])) is None
    assert clocked(begins, (11, "going on after epoch 3 of 4, where this run was broken off"), ends) is None


def run(seed: int, accuracy: float, loss: float, seconds: float | None, machine: str | None = "P, 2 cores") -> dict[str, Any]:
    return {
        "seed": seed,
        "commit": "c" * 40,
        "experiment": "e" * 40,
        "metrics": {"test_accuracy": accuracy, "test_loss": loss},
        "num_parameters": 12345,
        "computed_with": {"torch": "9.9", "threads": 2},
        "seconds": seconds,
        "machine": machine,
    }


@pytest.mark.parametrize(("num_failures", "works"), [(2, True), (3, False)])
def test_the_listing_is_asked_for_again_when_a_worker_removed_a_note_meanwhile(
    num_failures: int, works: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = "ERROR: unexpected error - [Errno 2] No such file or directory: '/x/.dvc/tmp/exps/run/c4/c4.json'"
    answers = [subprocess.CompletedProcess([], 255, "", lost)] * num_failures
    answers.append(subprocess.CompletedProcess([], 0, '[{"rev": "workspace"}]', ""))
    monkeypatch.setattr(dvc_exp, "head_commit", lambda: "c0ffee")
    monkeypatch.setattr(dvc_exp, "finished_experiments", list)
    monkeypatch.setattr(subprocess, "run", lambda *arguments, **options: answers.pop(0))
    if works:
        assert [one.name for one in dvc_exp.listed_experiments()] == ["workspace"]
    else:
        with pytest.raises(UserError, match=r"^dvc exp show: unexpected error - \[Errno 2\] No such file"):
            dvc_exp.listed_experiments()


def test_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("lr: 0.5\nepochs: 3\nnewer: 1\nseed: 0\n")
    listed = {**EXPERIMENTS, "old": {"description": "moved on", "overrides": {"lr": 7}}, "never": {"description": "not yet"}}
    (tmp_path / "experiments.yaml").write_text(json.dumps(listed))
    (tmp_path / "benchmarks").mkdir()
    runs = [run(0, 0.91, 0.3, 60), run(1, 0.92, 0.2, 70), run(2, 0.94, 0.4, None, None)]
    results = {
        "good": {"params": {"lr": 0.1, "epochs": 3, "no_longer": 1}, "runs": runs},
        "old": {"params": {"lr": 6, "epochs": 9}, "runs": [run(0, 0.5, 1, None, None)]},
        "gone": {"params": {}, "runs": [run(0, 0.1, 1, 1)]},
    }
    (tmp_path / "benchmarks/results.json").write_text(json.dumps(results))
    assert main(["table"]) == 0
    page = (tmp_path / "docs/results.md").read_text(encoding="utf-8")
    # By hand: the mean of 91, 92, 94 is 92.33 and their deviations square to 14/3, so that the sample's is the root of 7/3.
    good = "| good | the good one | 97.00 % | 92.33 ± 1.53 % | – | 0.3000 ± 0.1000 | 3 | 65.0 ± 7.1 | 12,345 | 3 |"
    assert f"\n{good}\n| bad | the bad one | – | – | – | – | – | – | – | not run |\n" in page
    assert "\n| old * | moved on | – | 50.00 % | – | 1.0000 | 9 | – | 12,345 | 1 |\n" in page
    assert "\n| never | not yet | – | – | – | – | – | – | – | not run |\n" in page
    assert "\n- reported of good: a book\n" in page
    assert "training images" not in page
    assert "\n- commit ccccccc, torch 9.9, threads 2, timed on P, 2 cores: good-seed0, good-seed1\n" in page
    assert "\n- commit ccccccc, torch 9.9, threads 2, not timed: good-seed2, old-seed0\n" in page
    assert "gone" not in page
    assert "](results.png)" in page
    picture = (tmp_path / "docs/results.png").read_bytes()
    assert main(["table"]) == 0
    assert (tmp_path / "docs/results.png").read_bytes() == picture

    for one, epochs in zip(runs, (67, 66, 67), strict=True):
        one["epochs"] = epochs
    (tmp_path / "benchmarks/results.json").write_text(json.dumps(results))
    assert main(["table"]) == 0
    assert " | 66, 67 | 65.0 ± 7.1 | 12,345 | 3 |\n" in (tmp_path / "docs/results.md").read_text("utf-8"), "as were trained"

    reported = {"train_loss": 2.5, "train_accuracy": 0.7, "source": "a book"}
    (tmp_path / "experiments.yaml").write_text(json.dumps({"good": {**EXPERIMENTS["good"], "reported": reported}}))
    for one, loss in zip(runs, (2.0, 2.5, 3.0), strict=True):
        one["metrics"] |= {"kept_train_loss": loss, "kept_train_accuracy": 0.75}
    (tmp_path / "benchmarks/results.json").write_text(json.dumps(results))
    assert main(["table"]) == 0
    note = "reported loss 2.5000 and accuracy 70.00 %, ours 2.5000 ± 0.5000 and 75.00 ± 0.00 %"
    assert f"- training images of good, with the final weights: {note}\n" in (tmp_path / "docs/results.md").read_text("utf-8")

    for one in runs:
        one["seconds"] = one["machine"] = None
    (tmp_path / "benchmarks/results.json").write_text(json.dumps({"good": results["good"]}))
    assert main(["table"]) == 0
    assert not (tmp_path / "docs/results.png").exists()
    assert "results.png" not in (tmp_path / "docs/results.md").read_text(encoding="utf-8")

    (tmp_path / "benchmarks/results.json").write_text('{"good": {"params": {}, "runs": [{"seed": "0"}]}}')
    with pytest.raises(UserError, match=r"^benchmarks/results\.json: good\.runs\.0\.seed: .*; mend it, or `git restore"):
        main(["table"])


def test_the_picture_has_a_point_an_experiment_and_plain_seconds() -> None:
    runs = {"slow": [SeedRun(**run(0, 0.9, 1, 200)), SeedRun(**run(1, 0.92, 1, 100))], "quick": [SeedRun(**run(0, 0.8, 1, 2))]}
    figure = accuracy_against_seconds(runs)
    (axes,) = figure.axes
    assert [[float(value) for value in line.get_xydata()[0]] for line in axes.lines if line.get_marker() == "o"] == [
        pytest.approx([150, 91]),
        pytest.approx([2, 80]),
    ]
    assert [text.get_text() for text in axes.texts] == ["1", "2"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["1  slow", "2  quick"]
    figure.draw_without_rendering()
    assert {"2", "5", "10", "20", "50", "100"} <= {label.get_text() for label in axes.get_xticklabels()}
    assert not any(label.get_text() for label in axes.get_xticklabels(minor=True))


def ranked(*rights: float, settings: Sequence[str] = "abcdefgh") -> list[RankedRun]:
    """Runs a-seed0, … that are right on these shares of the same 1,000 images, always the first ones."""
    (results, _) = simulated_pair(np.random.default_rng(0), Scenario("alike", 1000, 1))
    candidates = []
    for number, right in enumerate(rights):
        right_N = np.arange(1000) < 1000 * right
        name = f"{settings[number]}-seed{number}"
        candidates.append(Candidate((name, "HEAD"), ("c" * 40,), settings[number], replace(results, right_N=right_N)))
    return rank(candidates)


def test_the_words_fit_the_number_of_runs() -> None:
    def words(*rights: float) -> str:
        return as_text(Comparison([ranked(*rights)], []))

    one = words(0.9)
    assert one.startswith(
        "1 run on 1,000 test images; no other was measured on the same images, so there is nothing to compare"
    )
    assert "\n  experiment      accuracy  95 % interval\n  a-seed0 = HEAD    90.00%  87.98% to 91.71%\n" in one
    assert not re.search(r"best|warning|=.*told|McNemar", one)
    two = words(0.9, 0.91)
    assert two.startswith("2 runs of 2 settings on the same 1,000 test images\n")
    assert (
        "\n= the best, and those not significantly different from it: not the other, by 1 paired test of these runs\n"
        "(McNemar, mid-p); the" in two
    )
    assert "and those not significantly different from it: the other, by 1 paired test" in words(0.9, 0.9)
    assert "those not significantly different from it: 2 of the 2 others, by 3 paired tests" in words(0.9, 0.9, 0.9)


def test_a_point_stands_at_its_cost_or_beside_it_and_is_filled_when_as_good_as_the_best() -> None:
    runs = ranked(0.95, 0.948, 0.9, 0.8, 0.7, settings="aabcd")
    figure = accuracy_against(runs, [2e6, 2e6, 2e6, 7850, 1e5], Cost.PARAMETERS)
    (axes,) = figure.axes
    points = {container.lines[0].get_ydata()[0]: container.lines[0] for container in axes.containers}
    assert sorted(points) == pytest.approx([70, 80, 90, 94.8, 95])
    filled = {percent: line.get_markerfacecolor() != "white" for percent, line in points.items()}
    assert [filled[key] for key in sorted(filled)] == [False, False, False, True, True]
    at = [float(points[key].get_xdata()[0]) for key in sorted(points, reverse=True)]
    assert at[0] < at[1] < at[2], "three of one size, the better setting first"
    assert at[1] == pytest.approx(2e6)
    assert at[2] / at[1] == pytest.approx(at[1] / at[0])
    assert at[2] / at[0] < 1.5
    assert at[3:] == pytest.approx([7850, 1e5])
    figure.draw_without_rendering()
    assert {"10k", "100k", "1M"} <= {label.get_text() for label in axes.get_xticklabels()}
    (legend,) = figure.legends
    assert [label.get_text() for label in legend.get_texts()] == ["1  a (2 runs)", "2  b-seed2", "3  c-seed3", "4  d-seed4"]
    numbers = [text.get_text() for text in axes.texts]
    assert numbers == ["1", "1", "2", "3", "4"]
    _low, high = proportion_confint(950, 1000, method="wilson")
    assert axes.texts[0].xy[1] == pytest.approx(100 * high)


def test_a_setting_goes_by_what_its_runs_have_in_common() -> None:
    assert setting_name(ranked(0.9, 0.8, settings="aa")) == "a (2 runs)"
    assert setting_name(ranked(0.9, 0.8, settings="ab")) == "a-seed0 (2 runs)"
    assert setting_name(ranked(0.9)) == "a-seed0"
    assert setting_name(ranked(0.9, settings=["x" * 60])) == "x" * 27 + "…"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--scatter", "a.svg"], r"must be a file name that ends in \.png, in a folder that exists; got a\.svg"),
        (["--scatter", "nowhere/a.png"], r"in a folder that exists; got nowhere/a\.png"),
        (["--by", "seconds"], "--by needs --scatter"),
        (["--scatter", "a.png", "--by", "weight"], "invalid choice: 'weight'"),
    ],
)
def test_a_bad_command_line_of_compare(options: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["compare", *options])
    assert re.search(message, capsys.readouterr().err)


def test_the_p_values_of_all_pairs_are_corrected_together() -> None:
    """By statsmodels: its exact test less half of what its two tails count twice, then its Holm."""
    right_MN = np.random.default_rng(0).random((5, 200)) < np.array([[0.95], [0.9], [0.9], [0.8], [0.6]])
    pairs = [(row, column) for row in range(5) for column in range(row + 1, 5)]
    raw = [exact_p(right_MN[row], right_MN[column]) for row, column in pairs]
    p_MM = paired_p_values(right_MN)
    assert [p_MM[pair] for pair in pairs] == pytest.approx(multipletests(raw, method="holm")[1])
    assert np.array_equal(p_MM, p_MM.T)
    assert np.array_equal(np.diag(p_MM), np.ones(5))
    assert np.array_equal(paired_p_values(right_MN[:1]), [[1.0]])


def exact_p(right_N: NDArray[np.bool_], other_N: NDArray[np.bool_]) -> float:
    gained, lost = int((right_N & ~other_N).sum()), int((other_N & ~right_N).sum())
    table = [[int((right_N & other_N).sum()), gained], [lost, int((~right_N & ~other_N).sum())]]
    return min(float(mcnemar(table, exact=True).pvalue), 1.0) - float(binom.pmf(min(gained, lost), gained + lost, 0.5))


def test_the_best_of_many_equal_ones_is_seldom_called_better() -> None:
    """Twelve models that differ by chance alone, 200 times: the best may stand out in 5 of 100, and three errors more."""
    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(200):
        right_MN = rng.random((12, 500)) < rng.beta(6, 1, 500)
        best = int(right_MN.sum(axis=1).argmax())
        alarms += bool((paired_p_values(right_MN)[best] < 0.05).any())
    assert alarms / 200 < 0.05 + 3 * (0.05 * 0.95 / 200) ** 0.5


def test_waiting_threads_sleep_unless_the_person_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    assert dvc_exp.environment()["OMP_WAIT_POLICY"] == "passive"
    monkeypatch.setenv("OMP_WAIT_POLICY", "active")
    assert dvc_exp.environment()["OMP_WAIT_POLICY"] == "active"
