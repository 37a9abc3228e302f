"""Event files read back with TensorBoard's own reader and compared with what real DVC and git hold of the runs."""

import io
import json
import shutil
import subprocess
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import numpy as np
import pandas as pd
import pytest
import yaml
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load_file
from tensorboard import program
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from classifier.common.errors import UserError
from classifier.model.description import ModelDescription
from classifier.model.file import save_model
from classifier.networks.names import SMALLEST_IMAGE
from classifier.networks.own import build_network
from record.revisions import Revision
from tests.support.pipeline import Committed, Repository
from tools.check import problems
from tools.tensorboard.__main__ import main
from tools.tensorboard.events import _add_model
from tools.tensorboard.runs import run_name
from tools.tensorboard.server import OPTIONS

HISTORY = "epoch,train_loss,train_accuracy,val_loss,val_accuracy\n1,2.25,0.125,2.5,0.25\n2,1e-05,1,3,0.5\n"
STEPS = "step,train_loss,train_accuracy,val_loss,val_accuracy\n100,2.5,0.25,2.75,0.125\n200,2,0.5,1.5,0.625\n"
WITHOUT = "runs/workspace: without"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The committed run of an mlp, and in the workspace an experiment with a linear network."""
    repository = Committed(tmp_path_factory.mktemp("tensorboard") / "project", tmp_path_factory, epochs=2)
    repository.git("branch", "a/branch")
    repository.dvc("exp", "run", "--name", "linear", "-S", "network=softmax", "-S", "epochs=3", "evaluate")
    return repository


@pytest.fixture
def here(ran: Repository, monkeypatch: pytest.MonkeyPatch) -> Repository:
    monkeypatch.chdir(ran.root)
    return ran


@pytest.fixture
def copied(ran: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy to damage; the working folder."""
    shutil.copytree(ran.root, tmp_path / "copy", ignore=shutil.ignore_patterns("runs"))
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def bare_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with curves and nothing else; the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots/history.csv").write_text(HISTORY)
    return tmp_path


def write(*names: str) -> None:
    assert main([*names, "--no-server"]) == 0


def read(name: str) -> EventAccumulator:
    events = EventAccumulator(f"runs/{name}", size_guidance={"scalars": 0, "images": 0, "histograms": 0, "tensors": 0})
    events.Reload()
    return events


def assert_same(events: EventAccumulator, table: pd.DataFrame, counter: str) -> None:
    """All that `events` has by `counter` is `table`, in single precision."""
    tags = [tag for tag in events.Tags()["scalars"] if tag.startswith(f"by_{counter}/")]
    assert sorted(tags) == sorted(f"by_{counter}/{name}" for name in table.columns.drop(counter))
    for tag in tags:
        points = events.Scalars(tag)
        assert [point.step for point in points] == list(table[counter])
        assert [point.value for point in points] == pytest.approx(list(table[tag.partition("/")[2]]), rel=1e-6)


def assert_histogram(events: EventAccumulator, tag: str, values: NDArray[np.floating], step: int) -> None:
    """Its buckets count `values` as a plain loop over their limits does."""
    (found,) = events.Histograms(tag)
    histogram = found.histogram_value
    assert found.step == step
    assert (histogram.num, histogram.min, histogram.max) == (values.size, float(values.min()), float(values.max()))
    assert histogram.sum == pytest.approx(float(values.sum(dtype=np.float64)), rel=1e-5, abs=1e-5)
    counted = np.cumsum(histogram.bucket)
    assert counted[-1] == values.size
    for limit, up_to_here in zip(histogram.bucket_limit[:-1], counted, strict=False):
        assert (values < limit).sum() <= up_to_here <= (values <= limit).sum()


@contextmanager
def served() -> Iterator[Callable[..., Any]]:
    """A function that asks a server over runs/, with our options, as its page does."""
    board = program.TensorBoard()
    once = ["--reload_interval=0", "--reload_task=blocking"]  # no thread that goes on after the test
    board.configure(argv=["", "--logdir=runs", "--port=0", "--load_fast=false", *OPTIONS, *once])
    address = board.launch()

    def ask(path: str, body: dict[str, Any] | None = None) -> Any:
        content = None if body is None else json.dumps(body).encode()
        with urlopen(Request(f"{address}data/plugin/{path}", content, {"Content-Type": "application/json"})) as response:
            return json.load(response)

    yield ask


class TestWhatIsShown:
    def test_curves_of_commit_experiment_and_workspace_side_by_side(self, here: Repository) -> None:
        write("HEAD", "linear", "a/branch")
        history = pd.read_csv(io.StringIO(here.git("show", "HEAD:plots/history.csv")))
        assert list(history["epoch"]) == [1, 2]
        assert_same(read("HEAD"), history, "epoch")
        assert_same(read(f"a-branch-{here.git('rev-parse', 'HEAD')[:7]}"), history, "epoch")
        now = pd.read_csv(here.root / "plots/history.csv")
        assert list(now["epoch"]) == [1, 2, 3]
        assert_same(read("linear"), now, "epoch")
        assert_same(read("workspace"), now, "epoch")

    def test_params_and_test_metrics_of_each_run_stand_side_by_side(self, here: Repository) -> None:
        """In the tab HParams, by what a real server answers to its page; and nothing has a time that nobody measured."""
        write("main")
        with served() as ask:
            infos = ask("hparams/experiment", {"experimentName": ""})
            columns = {info["name"] for info in infos["hparamInfos"]}
            assert {"lr", "network", "seed", "augment"} <= columns
            names = ["test/accuracy", "test/loss", "test/macro_f1", "test/baseline_accuracy"]
            assert set(names) <= {info["name"]["tag"] for info in infos["metricInfos"]}
            wanted = {
                "allowedStatuses": ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_RUNNING"],
                "startIndex": 0,
                "sliceSize": 9,
            }
            wanted["colParams"] = [{"metric": {"group": "", "tag": name}} for name in names]
            groups = ask("hparams/session_groups", wanted)["sessionGroups"]
        found = {group["sessions"][0]["name"]: group for group in groups}
        assert {"main", "workspace"} <= set(found)
        metrics = json.loads(here.read("metrics/test.json"))
        measured = {value["name"]["tag"]: value["value"] for value in found["workspace"]["metricValues"]}
        for name in names:
            assert measured[name] == pytest.approx(metrics[name.replace("/", "_")], rel=1e-6)
        params = yaml.safe_load(here.read("dvc.lock"))["stages"]["train"]["params"]["params.yaml"]
        assert found["workspace"]["hparams"]["lr"] == pytest.approx(params["lr"])
        assert found["workspace"]["hparams"]["augment"] == json.dumps(params["augment"])
        events = read("workspace")
        (table,) = events.Tensors("params/text_summary")
        assert f"| lr | `{params['lr']}` |" in table.tensor_proto.string_val[0].decode()
        (picture,) = events.Images("test/confusion")
        with Image.open(here.root / "plots/confusion.png") as drawn:
            assert (picture.width, picture.height) == drawn.size
        assert len({point.wall_time for point in events.Scalars("by_epoch/train_loss")}) == 1

    def test_weights_graph_and_confidences_are_those_of_each_run(self, here: Repository) -> None:
        write("HEAD", "linear")
        tensors = load_file(here.root / "models/model.safetensors")
        kept = json.loads(here.read("metrics/train.json"))["train_best_epoch"]
        predictions = pd.read_csv(here.root / "plots/predictions.csv", dtype={"actual": str, "predicted": str})
        right = predictions["actual"] == predictions["predicted"]
        for name in ("linear", "workspace"):
            events = read(name)
            tags = {f"weights/{key}" for key in tensors} | {f"confidence/{part}" for part in ("all", "right", "wrong")}
            assert set(events.Tags()["histograms"]) == tags
            for key, values in tensors.items():
                assert_histogram(events, f"weights/{key}", values, kept)
            for part, chosen in (("all", right | ~right), ("right", right), ("wrong", ~right)):
                assert_histogram(events, f"confidence/{part}", predictions.loc[chosen, "confidence"].to_numpy(), kept)
            assert len(layers(events, "Linear")) == 1
        first = read("HEAD")
        assert len(layers(first, "Linear")) == 3
        weights = {tag for tag in first.Tags()["histograms"] if tag.endswith("weight")}
        assert weights == {f"weights/{position}.weight" for position in (1, 3, 5)}

    def test_samples_are_the_first_images_of_each_class(self, here: Repository) -> None:
        write()
        events = read("workspace")
        images, labels = (np.load(here.root / f"data/dataset/train/{name}.npy") for name in ("images", "labels"))
        assert len([tag for tag in events.Tags()["images"] if tag.startswith("samples/")]) == 10
        for label in range(10):
            (found,) = events.Images(f"samples/{label}_{label}")
            row_HWC = np.asarray(Image.open(io.BytesIO(found.encoded_image_string)))
            for channel in range(3):
                assert np.array_equal(row_HWC[..., channel], np.hstack(images[labels == label][:10, 0]))

    def test_every_network_has_a_graph(self, tmp_path: Path) -> None:
        """Those that a test cannot train in no time, in the precision that they are trained in."""
        import torch
        from torch.utils.tensorboard import SummaryWriter

        from classifier.model.image_classifier import ImageClassifier

        for name, smallest in SMALLEST_IMAGE.items():
            shape_CHW = (1, smallest, smallest)
            for precision in ("float32", "bfloat16"):
                model = ImageClassifier(build_network(name, shape_CHW, 2, seed=0), [0.3], [0.3], precision).eval()
                with SummaryWriter(str(tmp_path / name / precision)) as writer, pytest.warns(FutureWarning):
                    writer.add_graph(model, torch.zeros(1, *shape_CHW, dtype=torch.uint8))

    def test_the_graph_of_a_network_of_torchvision_warns_of_nothing(self, tmp_path: Path) -> None:
        """It branches by the size of the image, which torch's tracer remarks on."""
        from torch.utils.tensorboard import SummaryWriter

        network, shape_CHW = "mobilenet_v3_small", (1, 16, 16)
        described = ModelDescription(
            dataset="digits",
            classes=["0", "1"],
            shape_CHW=shape_CHW,
            hflip_invariant=False,
            mean=[0.3],
            std=[0.3],
            network=network,
            optimizer="adam",
            precision="float32",
            num_parameters=0,
            kept_epoch=1,
            computed_with={},
        )
        save_model(tmp_path / "models", build_network(network, shape_CHW, 2, seed=0).state_dict(), described)
        with SummaryWriter(str(tmp_path / "run")) as writer, warnings.catch_warnings():
            warnings.simplefilter("error")
            _add_model(writer, tmp_path)
        (events,) = (tmp_path / "run").iterdir()
        assert b"AdaptiveAvgPool2d" in events.read_bytes()

    def test_nothing_notices(self, here: Repository) -> None:
        before = here.git("status", "--porcelain")
        write("HEAD")
        assert here.git("status", "--porcelain") == before
        assert "up to date" in here.dvc("status", "--with-deps", "evaluate")
        assert here.dvc("check-ignore", "runs").strip() == "runs"
        assert problems() == []
        assert list(here.root.glob(".dvc/tmp/tensorboard-*")) == []

    def test_a_run_is_replaced_whole(self, here: Repository) -> None:
        write()
        (first,) = Path("runs/workspace").iterdir()
        write()
        (second,) = Path("runs/workspace").iterdir()
        assert first.name != second.name, "or a server would not look again"


def layers(events: EventAccumulator, kind: str) -> set[str]:
    """The layers of a kind that the graph's operations belong to."""
    parts = (part for node in events.Graph().node for part in node.name.split("/"))
    return {part for part in parts if part.startswith(f"{kind}[")}


class TestWhatIsNotThere:
    def test_an_experiment_whose_model_left_the_cache(self, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
        shutil.rmtree(copied / ".dvc/cache")
        write("linear")
        said = capsys.readouterr().out.splitlines()
        mend = "is not in DVC's cache; `dvc exp apply linear`, then `dvc repro` makes it"
        assert said[:3] == [
            "runs/linear: 3 epochs",
            f"runs/linear: without sample images: data/dataset/dataset.json {mend}",
            f"runs/linear: without graph, weights: models/model.json {mend}",
        ]
        assert said[3:] == ["runs/workspace: 3 epochs"]
        tags = read("linear").Tags()
        assert (tags["images"], tags["graph"]) == (["test/confusion"], False)
        assert set(tags["histograms"]) == {"confidence/all", "confidence/right", "confidence/wrong"}, "these are in git"

    def test_a_damaged_model_in_the_cache(self, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
        stages = yaml.safe_load((copied / "dvc.lock").read_text())["stages"]
        md5 = next(out["md5"] for out in stages["train"]["outs"] if out["path"] == "models/model.safetensors")
        cached = copied / f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}"
        cached.chmod(0o644)
        cached.write_bytes(cached.read_bytes()[:-1])
        write("linear")
        (said,) = capsys.readouterr().out.splitlines()[1:2]
        assert said.startswith(
            "runs/linear: without graph, weights: models/model.safetensors is not the file that dvc.lock rec"
        )

    def test_a_clone_without_data(self, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
        shutil.rmtree(copied / "data")
        shutil.rmtree(copied / "models")
        write()
        mend = "is not here; `dvc pull` or `dvc repro` brings it"
        assert capsys.readouterr().out.splitlines()[1:] == [
            f"{WITHOUT} sample images: data/dataset/dataset.json {mend}",
            f"{WITHOUT} graph, weights: models/model.json {mend}",
        ]

    def test_while_train_is_at_work_nothing_of_the_run_before_is_shown(
        self, copied: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """As `dvc repro` has it after the first epoch: history and metrics are new, predictions and dvc.lock are not."""
        (copied / "plots/history.csv").write_text(HISTORY)
        write()
        unfinished = "dvc.lock does not record this plots/history.csv, so its run has not ended"
        said = [f"{WITHOUT} graph, weights: {unfinished}", f"{WITHOUT} confidences: {unfinished}"]
        assert capsys.readouterr().out.splitlines()[1:] == said
        assert_same(read("workspace"), pd.read_csv(io.StringIO(HISTORY)), "epoch")
        assert read("workspace").Tags()["histograms"] == []

    def test_between_train_and_evaluate_there_are_weights_only(self, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """DVC has recorded the new model, and the predictions are those of the old one."""
        lock = (copied / "dvc.lock").read_text()
        old = subprocess.run(["git", "show", "HEAD:dvc.lock"], capture_output=True, text=True, check=True).stdout
        (copied / "dvc.lock").write_text(lock[: lock.index("  evaluate:")] + old[old.index("  evaluate:") :])
        subprocess.run(["git", "checkout", "HEAD", "--", "plots/predictions.csv"], check=True)
        write()
        (said,) = capsys.readouterr().out.splitlines()[1:]
        assert said.startswith(f"{WITHOUT} confidences: dvc.lock does not record this plots/predictions.csv for the model of")
        assert set(read("workspace").Tags()["histograms"]) == {"weights/1.weight", "weights/1.bias"}

    def test_an_edited_model_is_not_shown(self, copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (copied / "models/model.json").unlink()
        (copied / "models/model.json").write_text("{}")
        write()
        (said,) = capsys.readouterr().out.splitlines()[1:]
        assert said.startswith(f"{WITHOUT} graph, weights: models/model.json is not the file that dvc.lock records; `dvc")

    def test_a_folder_that_has_only_curves(self, bare_run: Path) -> None:
        write()
        assert_same(read("workspace"), pd.read_csv(io.StringIO(HISTORY)), "epoch")


class TestSteps:
    def test_every_point_is_served(self, bare_run: Path) -> None:
        rows = [f"{step},{1 / step},0.5" for step in range(1, 1509)]
        (bare_run / "plots/steps.csv").write_text("\n".join(["step,train_loss,train_accuracy", *rows]) + "\n")
        write()
        with served() as ask:
            points = ask("scalars/scalars?run=workspace&tag=by_step%2Ftrain_loss")
        assert [step for _, step, _ in points] == list(range(1, 1509))

    def test_curves_by_step_stand_beside_those_by_epoch(self, bare_run: Path) -> None:
        (bare_run / "plots/steps.csv").write_text(STEPS)
        write()
        assert_same(read("workspace"), pd.read_csv(io.StringIO(STEPS)), "step")
        assert_same(read("workspace"), pd.read_csv(io.StringIO(HISTORY)), "epoch")

    @pytest.mark.parametrize("text", ["", STEPS.partition("\n")[0], STEPS.partition("\n")[0] + "\n"])
    def test_without_figures_by_step_there_are_none(self, bare_run: Path, text: str) -> None:
        (bare_run / "plots/steps.csv").write_text(text)
        write()
        assert all(tag.startswith("by_epoch/") for tag in read("workspace").Tags()["scalars"])


class TestErrors:
    def test_no_run_yet(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UserError, match=r"^workspace: has no plots/history.csv, so no run yet; `dvc repro` makes one$"):
            write()
        assert not (tmp_path / "runs").exists()

    def test_an_unknown_experiment(self, here: Repository) -> None:
        with pytest.raises(UserError, match=r"^fast: git knows no such revision and DVC no such experiment; see "):
            write("linear", "fast")

    def test_a_commit_without_a_run(self, here: Repository) -> None:
        with pytest.raises(UserError, match=r"^HEAD~1: has no plots/history.csv, so no run yet"):
            write("HEAD~1")

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("", "plots/history.csv: not readable as CSV"),
            (HISTORY[:60], r"plots/history.csv: row 1: needs 5 cells, found \d"),
            (HISTORY.replace("2.25", "nan"), "plots/history.csv: row 1, column 'train_loss': needs a number, found 'nan'"),
            (HISTORY.replace("\n2,", "\n1,"), "plots/history.csv: needs whole numbers from 1 on in the column 'epoch', each"),
            (HISTORY.replace("\n1,", "\n0,"), "plots/history.csv: needs whole numbers from 1 on in the column 'epoch', each"),
            (HISTORY.replace("\n2,", "\n2.5,"), "plots/history.csv: needs whole numbers from 1 on in the column 'epoch', each"),
            (HISTORY.replace("\n2,", f"\n{2**63},"), "plots/history.csv: needs whole numbers from 1 on in the column"),
            ("\0" * 100, "plots/history.csv: "),
        ],
    )
    def test_an_unreadable_history(self, bare_run: Path, text: str, problem: str) -> None:
        (bare_run / "plots/history.csv").write_text(text)
        with pytest.raises(UserError, match=f"^{problem}"):
            write()
        assert list((bare_run / "runs").iterdir()) == []

    def test_unreadable_curves_by_step(self, bare_run: Path) -> None:
        (bare_run / "plots/steps.csv").write_text("step\n1\n")
        with pytest.raises(UserError, match=r"^plots/steps.csv: needs the column 'train_loss', found 1 rows of step$"):
            write()

    def test_what_is_wrong_with_an_experiment_names_it(self, copied: Path) -> None:
        """And not the temporary folder that it is read from."""
        (copied / "plots/history.csv").write_text("epoch\n1\n")
        subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x", "commit", "-qam", "damaged"], check=True)
        with pytest.raises(UserError, match=r"^HEAD:plots/history.csv: needs the column 'train_loss', found 1 rows of epoch$"):
            write("HEAD")

    def test_what_is_not_ours_in_runs_stays(self, bare_run: Path) -> None:
        (bare_run / "runs/workspace").mkdir(parents=True)
        (bare_run / "runs/workspace/notes.txt").write_text("mine")
        with pytest.raises(UserError, match=r"^runs/workspace: holds other things than a run of this tool; move it away$"):
            write()
        assert (bare_run / "runs/workspace/notes.txt").read_text() == "mine"

    def test_without_tensorboard(self, bare_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tools.tensorboard.__main__.find_spec", lambda name: None)
        with pytest.raises(UserError, match=r"^tensorboard: not installed; `make tensorboard` installs it from requirements-"):
            write()


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("linear-seed0", "linear-seed0"),
        ("v1.0", "v1.0"),
        ("a/branch", "a-branch-0123456"),
        ("HEAD^", "HEAD--0123456"),
        ("../../etc", "etc-0123456"),
        (":/..", "0123456"),
        (".git", "git-0123456"),
        ("分支", "分支"),
    ],
)
def test_a_revision_names_one_plain_folder(name: str, folder: str) -> None:
    assert run_name(Revision(name, "0123456789abcdef0123456789abcdef01234567")) == folder
