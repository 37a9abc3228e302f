"""The pipeline end to end on real DVC: what a change reruns, and what a person sees."""

import csv
import gzip
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image
from safetensors.numpy import load_file

from classifier.common.params import read_yaml
from record.revisions import find_revision
from tests.support.idx_files import add_idx_dataset, toy_arrays
from tests.support.pipeline import LIGHT, SOURCE, Repository, stages_run
from tools.fresh import stale_lines

ALL = ["download", "convert", "build", "weights", "train", "evaluate", "plot"]
TRAIN_ON = ["train", "evaluate", "plot"]
MIRROR = os.environ.get("DATASET_MIRROR", "")
TABLE = "plots/predictions.csv"
CHARTS = ["Training loss", "Validation loss", "Training accuracy", "Validation accuracy"]
PICTURES = ["classes", "confusion", "curves", "mistakes", "samples"]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Repository]:
    folder = tmp_path_factory.mktemp("a folder with spaces")
    repository = Repository(folder / "the project")
    add_idx_dataset(repository, folder / "mirror", "toy", toy_arrays(), ["top", "middle", "bottom"])
    repository.git("commit", "--quiet", "--all", "--message", "toy data set")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATASET_MIRROR", str(folder / "mirror"))
        yield repository


@pytest.fixture(scope="module")
def first_run(repository: Repository) -> list[str]:
    """The stages that the first `dvc repro` ran; its results are committed."""
    ran = stages_run(repository.cold_dvc("repro"))
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message", "first run")
    return ran


def charts(printed: str) -> dict[str, Any]:
    """The Vega charts by name, of what `dvc plots … --json` printed, warnings beside it."""
    (line,) = (line for line in printed.splitlines() if line.startswith("{"))
    drawn = ((name, *found) for name, found in json.loads(line)["data"].items() if found)  # of a column without values: none
    plots = {name: plot["content"] for name, plot, *_ in drawn if plot["type"] == "vega"}
    return {name: json.loads(content) if isinstance(content, str) else content for name, content in plots.items()}


def append_to(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def directly_changed(repository: Repository) -> dict[str, list[object]]:
    """By stage, in the order of ALL, what `dvc status` finds changed of what it declares."""
    status: dict[str, list[object]] = json.loads(repository.dvc("status", "--json"))
    return {stage: status[stage] for stage in ALL if stage in status}


@pytest.mark.usefixtures("first_run")
class TestOnDigits:
    """On one repository; each test leaves it as it found it."""

    def test_one_command_runs_all_stages(self, repository: Repository, first_run: list[str]) -> None:
        assert first_run == ALL
        train, test = (json.loads(repository.read(f"metrics/{name}.json")) for name in ("train", "test"))
        assert train.keys() == {
            *(f"{split}_{measure}" for split in ("train", "val") for measure in ("loss", "accuracy")),
            "train_epoch",
            "train_best_epoch",
        }
        assert test["test_accuracy"] > 0.85
        assert test["test_accuracy_low"] < test["test_accuracy"] < test["test_accuracy_high"]

    def test_the_tables_tell_the_same_story_as_the_metrics(self, repository: Repository) -> None:
        test = json.loads(repository.read("metrics/test.json"))
        predictions = pd.read_csv(repository.root / "plots/predictions.csv")
        assert (predictions["actual"] == predictions["predicted"]).mean() == pytest.approx(test["test_accuracy"], abs=1e-6)
        assert predictions["loss"].mean() == pytest.approx(test["test_loss"], abs=1e-5)
        classes = pd.read_csv(repository.root / "plots/classes.csv")
        assert classes["support"].sum() == len(predictions) == len(np.load(repository.root / "data/dataset/test/labels.npy"))
        history = pd.read_csv(repository.root / "plots/history.csv")
        train = json.loads(repository.read("metrics/train.json"))
        assert history["val_accuracy"].max() == pytest.approx(train["val_accuracy"], abs=1e-5)
        assert list(history["epoch"]) == [1, 2, 3]

    def test_the_pictures_are_pictures_and_small(self, repository: Repository) -> None:
        files = [repository.root / f"plots/{name}.png" for name in PICTURES]
        for file in files:
            with Image.open(file) as picture:
                picture.verify()
        assert sum(file.stat().st_size for file in files) < 600_000

    def test_the_committed_results_hold_no_path_and_no_host(self, repository: Repository) -> None:
        made = ["dvc.lock", "models/model.json", "data/raw/raw.json", "data/csv/schema.json", "data/dataset/dataset.json"]
        for name in [*made, "metrics/train.json", "metrics/test.json"]:
            assert str(repository.root) not in repository.read(name)
            assert os.uname().nodename not in repository.read(name)

    def test_nothing_reruns_and_git_is_clean(self, repository: Repository) -> None:
        assert stages_run(repository.dvc("repro")) == []
        assert "up to date" in repository.dvc("status")
        assert repository.git("status", "--porcelain") == ""

    @pytest.mark.slow
    def test_a_forced_rerun_gives_the_same_bytes(self, repository: Repository) -> None:
        lock = repository.read("dvc.lock")
        assert stages_run(repository.dvc("repro", "--force", "--no-run-cache")) == ALL
        assert repository.read("dvc.lock") == lock
        assert repository.git("status", "--porcelain") == ""

    @pytest.mark.parametrize(
        ("change", "back", "reruns"),
        [
            pytest.param({"lr": 0.002}, {"lr": 0.001}, TRAIN_ON, marks=pytest.mark.slow),
            pytest.param({"val_fraction": 0.2}, {"val_fraction": 0.1}, ["build", *TRAIN_ON], marks=pytest.mark.slow),
            pytest.param({"image_size": 9}, {"image_size": 8}, ["convert", "build", *TRAIN_ON], marks=pytest.mark.slow),
            ({"dataset": "toy"}, {"dataset": "digits"}, ["download", "convert", "build", *TRAIN_ON]),
        ],
    )
    def test_a_change_reruns_what_it_touches_and_going_back_reruns_nothing(
        self, repository: Repository, change: dict[str, object], back: dict[str, object], reruns: list[str]
    ) -> None:
        repository.set_params(**change)
        assert stages_run(repository.dvc("repro")) == reruns
        repository.set_params(**back)
        assert stages_run(repository.dvc("repro")) == []
        assert repository.git("status", "--porcelain") == ""

    def test_an_edit_in_a_room_concerns_the_stages_that_list_it(
        self, repository: Repository, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """For DVC, and for `tools.fresh`, which reads what git holds. tests/classifier/common/test_graph.py has every room."""
        monkeypatch.chdir(repository.root)
        assert stale_lines(find_revision("HEAD")) == stale_lines(find_revision("workspace")) == []
        try:
            append_to(repository.root / "classifier/figures/style.py", "# an edit\n")
            assert directly_changed(repository) == {"plot": [{"changed deps": {"classifier/figures": "modified"}}]}
            assert stages_run(repository.dvc("repro")) == ["plot"]
            assert stale_lines(find_revision("workspace")) == []
            for file in ("common/files.py", "networks/own.py", "training/loop.py"):
                append_to(repository.root / "classifier" / file, "# an edit\n")
            rooms = {"weights": ["networks"], "train": ["networks", "training"], "evaluate": ["networks"]}
            folders = {stage: [f"classifier/{room}" for room in ("common", *rooms.get(stage, ()))] for stage in ALL}
            assert directly_changed(repository) == {
                stage: [{"changed deps": dict.fromkeys(changed, "modified")}] for stage, changed in folders.items()
            }
            stale = [line.partition(";")[0] for line in stale_lines(find_revision("workspace"))]
            assert stale == [f"dvc.lock is stale: stage {stage}, {', '.join(changed)}" for stage, changed in folders.items()]
        finally:
            repository.git("checkout", "--quiet", ".")
        assert stages_run(repository.dvc("repro")) == []

    def test_what_is_no_module_beside_the_code_reruns_nothing(self, repository: Repository) -> None:
        folders = [repository.root / name for name in ("classifier", "classifier/training", "classifier/common", "stages")]
        names = ("notes.txt", ".DS_Store", "loop.py~", ".loop.py.swp", "__pycache__/loop.cpython-311.pyc")
        junk = [folder / name for folder in folders for name in names]
        for path in junk:
            path.parent.mkdir(exist_ok=True)
            path.touch()
        try:
            assert directly_changed(repository) == {}
        finally:
            for path in junk:
                path.unlink()

    def check_what_programs_read(self, repository: Repository) -> None:
        """What VS Code's DVC extension asks for: columns and charts of the workspace, the commit and its experiment."""
        workspace, commit = json.loads(repository.dvc("exp", "show", "--json"))
        (experiment,) = (one["revs"][0] for one in commit["experiments"] if one["name"] == "other")
        for revision in (workspace, commit, experiment):
            metrics = revision["data"]["metrics"]
            assert list(metrics) == ["metrics/test.json", "metrics/train.json", "metrics/data.json"]
            assert list(metrics["metrics/test.json"]["data"])[:2] == ["test_accuracy", "test_loss"]
            assert list(metrics["metrics/train.json"]["data"])[:2] == ["val_accuracy", "val_loss"]
            assert {type(value) for file in metrics.values() for value in file["data"].values()} <= {int, float}
            assert list(revision["data"]["params"]) == ["params.yaml"]
        answer = json.loads(repository.dvc("plots", "diff", "HEAD", "other", "--out", "page", "--split", "--json"))
        assert "errors" not in answer
        plots = {name: shown for name, shown in answer["data"].items() if shown}  # those by step are empty without eval_every
        for name, shown in plots.items():
            assert {revision for one in shown for revision in one["revisions"]} == {"HEAD", "other"}, name
        charts = {name for name, shown in plots.items() if shown[0]["type"] == "vega"}
        tables = {"plots/history.csv", "plots/classes.csv", "plots/predictions.csv", "plots/data.csv"}
        assert charts == {"validation loss", "validation accuracy", "training accuracy", "f1", *tables}
        pictures = {f"plots/{name}.png" for name in ("samples", "curves", "confusion", "mistakes", "classes")}
        assert plots.keys() - charts == pictures

    def test_an_experiment_is_compared_with_what_is_committed_and_applied(self, repository: Repository) -> None:
        """By the commands of README.md."""
        readme = (SOURCE / "README.md").read_text(encoding="utf-8")
        lines = readme.partition("\nsource .venv/bin/activate\n")[2].partition("```")[0].splitlines()
        run, show, metrics_diff, plots_diff, review = (line.partition("#")[0].split() for line in lines)
        assert review == ["make", "review"], "which is `python -m tools.review`"
        output = repository.dvc(*run[1:], "--name", "other")
        assert stages_run(output) == TRAIN_ON
        rows = list(csv.DictReader(io.StringIO(repository.dvc(*show[1:], "--csv"))))
        by_name = {row["Experiment"]: row for row in rows}
        assert float(by_name["other"]["lr"]) == 0.003
        committed = json.loads(repository.git("show", "HEAD:metrics/test.json"))["test_accuracy"]
        found = json.loads(repository.read("metrics/test.json"))["test_accuracy"]
        difference = json.loads(repository.dvc(*metrics_diff[1:], "--json"))["metrics/test.json"]["test_accuracy"]
        assert (difference["old"], difference["new"]) == (committed, found)
        assert json.loads(repository.dvc("params", "diff", "--json"))["params.yaml"]["lr"] == {
            "old": 0.001,
            "new": 0.003,
            "diff": 0.002,
        }
        assert "index.html" in repository.dvc(*plots_diff[1:], "--out", "page")
        self.check_what_programs_read(repository)
        said = repository.python("tools.review", "HEAD")
        assert f"| test accuracy | {committed:.4f} | {found:.4f} |" in said
        repository.git("checkout", "--quiet", ".")
        repository.dvc("checkout")
        repository.dvc("exp", "apply", "other")
        assert json.loads(repository.read("metrics/test.json"))["test_accuracy"] == found
        repository.dvc("exp", "remove", "other")
        repository.git("checkout", "--quiet", ".")
        repository.dvc("checkout")

    def test_the_page_of_plots_has_each_plot_once(self, repository: Repository) -> None:
        repository.dvc("plots", "show", "--out", "page")
        page = repository.read("page/index.html")
        for title in (*CHARTS, "Confusion matrix, shares of the actual class", "F1 of each class"):
            assert page.count(f'"text": "{title}"') + page.count(f'"title": "{title}"') == 1, title
        assert all(f"{name}.png" in page for name in PICTURES)
        assert "by step" not in page  # of eval_every, which is null

    def test_the_confusion_matrix_of_dvc_has_the_rows_and_shares_of_the_picture_and_is_drawn_once(
        self, repository: Repository
    ) -> None:
        """DVC's template divides by the sums of y: findings/dvc-confusion-normalized.sh."""
        plots = charts(repository.dvc("plots", "show", "--json"))
        assert [name for name, plot in plots.items() if "confusion" in name or "predicted" in json.dumps(plot)] == [TABLE]
        matrix = plots[TABLE]["spec"]
        assert [matrix["encoding"][axis]["field"] for axis in ("x", "y")] == ["predicted", "actual"]
        (groups,) = (step["groupby"] for step in matrix["transform"] if "joinaggregate" in step)
        assert groups == ["actual"]
        assert len(plots[TABLE]["data"]["values"]) == len(pd.read_csv(repository.root / TABLE))

    def test_the_tables_of_dvc_begin_with_the_test_accuracy(self, repository: Repository) -> None:
        head, *_ = csv.reader(io.StringIO(repository.dvc("exp", "show", "--csv")))
        metrics = head[head.index("parent") + 1 : head.index("dataset")]
        assert metrics[:2] == ["test_accuracy", "test_loss"]
        assert metrics[-12:] == [
            *("val_accuracy", "val_loss", "train_accuracy", "train_loss", "train_epoch", "train_best_epoch"),
            *("train_images", "val_images", "test_images", "two_split_images", "two_label_images", "unreadable_images"),
        ]
        columns = repository.dvc("metrics", "show").splitlines()[0].split()
        assert columns[:2] == ["Path", "test_accuracy"]

    @pytest.mark.parametrize(
        ("change", "stage", "message"),
        [
            ("momentum=0.5", "repro", "error: params.yaml: momentum has no effect with optimizer 'adam'"),
            ("lr=-1", "train", "error: params.yaml: lr must be greater than 0, got -1"),
            ("dataset=fashion_mnits", "download", "fashion_mnist"),
            ("device=cuda", "train", "error: device 'cuda' is not on this machine"),
            ("epoch=5", "train", "error: params.yaml: no stage in dvc.yaml uses the key 'epoch'; did you mean 'epochs'?"),
        ],
    )
    def test_a_bad_value_is_one_clear_line(self, repository: Repository, change: str, stage: str, message: str) -> None:
        """Of `dvc repro`, and of the stage by itself, which says the same in less time."""
        if change == "device=cuda" and torch.cuda.is_available():
            pytest.skip("this machine has a CUDA device")
        params = read_yaml(repository.root / "params.yaml") | yaml.safe_load(change.replace("=", ": "))
        (repository.root / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        try:
            if stage == "repro":
                output = repository.dvc("repro", status=255)
                repository.dvc("checkout")
            else:
                output = repository.python(f"stages.{stage}", status=1)
                assert output.count("\n") == 1
        finally:
            repository.git("checkout", "--quiet", "params.yaml")
        assert message in output
        assert "Traceback" not in output

    def test_a_misspelt_experiment_key_is_refused(self, repository: Repository) -> None:
        output = repository.dvc("exp", "run", "--set-param", "learning_rate=0.1", status=255)
        assert "learning_rate" in output

    @pytest.mark.slow
    def test_no_validation(self, repository: Repository) -> None:
        repository.set_params(val_fraction=0, epochs=1)
        repository.dvc("repro")
        assert json.loads(repository.read("metrics/train.json")).keys() == {
            "train_accuracy",
            "train_loss",
            "train_epoch",
            "train_best_epoch",
        }
        plots = charts(repository.dvc("plots", "diff", "HEAD", "--json"))
        for name in ("plots/history.csv", "training accuracy"):
            assert {row["rev"] for row in plots[name]["data"]["values"]} == {"HEAD", "workspace"}
        repository.dvc("plots", "show", "--out", "page")
        repository.git("checkout", "--quiet", ".")
        repository.dvc("checkout")


@pytest.mark.skipif(not MIRROR, reason="needs a mirror with the official Fashion-MNIST files")
@pytest.mark.slow
def test_a_slice_of_the_real_fashion_mnist(tmp_path: Path) -> None:
    """Real images through all stages, and out of the arrays as they went in."""
    folder = Path(MIRROR) / "fashion_mnist"
    arrays = {}
    for split, prefix, size in (("train", "train", 3000), ("test", "t10k", 600)):
        images = gzip.decompress((folder / f"{prefix}-images-idx3-ubyte.gz").read_bytes())[16:]
        labels = gzip.decompress((folder / f"{prefix}-labels-idx1-ubyte.gz").read_bytes())[8:]
        arrays[f"{split}_images"] = np.frombuffer(images, np.uint8).reshape(-1, 28, 28)[:size]
        arrays[f"{split}_labels"] = np.frombuffer(labels, np.uint8)[:size]
    repository = Repository(tmp_path / "project", dataset="slice", image_size=28, network="cnn", epochs=4, val_fraction=0.1)
    add_idx_dataset(repository, tmp_path / "mirror", "slice", arrays, [f"class {label}" for label in range(10)])
    repository.dvc("repro", DATASET_MIRROR=str(tmp_path / "mirror"))
    np.testing.assert_array_equal(np.load(repository.root / "data/dataset/test/images.npy")[:, 0], arrays["test_images"])
    np.testing.assert_array_equal(np.load(repository.root / "data/dataset/test/labels.npy"), arrays["test_labels"])
    assert json.loads(repository.read("metrics/test.json"))["test_accuracy"] > 0.7
    assert load_file(repository.root / "models/model.safetensors")["0.weight"].shape == (32, 1, 5, 5)


@pytest.mark.nightly
@pytest.mark.skipif(not MIRROR, reason="needs a mirror with the official Fashion-MNIST files")
def test_the_default_run_gives_the_same_bytes_twice(tmp_path: Path) -> None:
    """The params as they are shipped, on the real data, from the download on."""
    shipped = {name: value for name, value in read_yaml(SOURCE / "params.yaml").items() if name in LIGHT}
    repository = Repository(tmp_path / "project", **shipped)
    assert stages_run(repository.dvc("repro", DATASET_MIRROR=MIRROR)) == ALL
    lock = repository.read("dvc.lock")
    made = {name: (repository.root / name).read_bytes() for name in ("metrics/test.json", "models/model.safetensors")}
    assert json.loads(made["metrics/test.json"])["test_accuracy"] >= 0.91
    committed = yaml.safe_load((SOURCE / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    assert all(yaml.safe_load(lock)["stages"][stage]["outs"] == committed[stage]["outs"] for stage in ALL[:3])
    assert stages_run(repository.dvc("repro", "--force", "--no-run-cache", DATASET_MIRROR=MIRROR)) == ALL
    assert repository.read("dvc.lock") == lock
    assert made == {name: (repository.root / name).read_bytes() for name in made}
