"""`python -m tools.export` after a real run of the pipeline: its files, its refusals, and the model in others' hands."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
import torch
import yaml
from filelock import FileLock
from huggingface_hub import ModelCard
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file
from scipy.stats import bootstrap
from sklearn.metrics import f1_score
from statsmodels.stats.proportion import proportion_confint

from classifier.common.errors import UserError
from classifier.model.file import load_model
from record.results import read_results
from record.revisions import WORKSPACE, Provenance, find_revision
from record.verdicts import metric_intervals
from tests.support import warm
from tests.support.node import install, needs_node
from tests.support.pipeline import Repository
from tools.export import __main__ as export
from tools.export.card import Export, model_card
from tools.export.onnx_file import Agreement, Probabilities
from tools.export.origin import read_origin

TARGET = Path("models/export")
NAMES = ["README.md", "model.int8.onnx", "model.onnx"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A committed run on the digits, here said to be hflip_invariant, and its export."""
    repository = Repository(tmp_path_factory.mktemp("export") / "project", flip_tta="auto")
    catalogue = yaml.safe_load(repository.read("catalogue.yaml"))
    catalogue["digits"]["hflip_invariant"] = True
    (repository.root / "catalogue.yaml").write_text(yaml.safe_dump(catalogue), encoding="utf-8")
    repository.dvc("repro")
    repository.git("add", "--all")
    repository.git("commit", "--quiet", "--message", "a run")
    said = run_export(repository.root, "--int8", "--license", "cc-by-4.0")
    sizes = [f"{(repository.root / TARGET / name).stat().st_size:,}" for name in NAMES]
    assert said[0] == f"models/export/model.onnx: {sizes[2]} bytes, uint8 images in, probabilities out"
    assert re.fullmatch(
        r"checked on 355 test images: the class that PyTorch gives, on all; probabilities at most \d\.\de-0[678] apart", said[1]
    )
    assert said[2].startswith(f"models/export/model.int8.onnx: {sizes[1]} bytes; test accuracy ")
    assert said[3] == "models/export/README.md: the model card, which also says how to use it"
    return repository


def run_export(root: Path, *arguments: str, **environment: str) -> list[str]:
    """Lines that it prints."""
    done = subprocess.run(
        [warm.python(), "-m", "tools.export", *arguments],
        cwd=root,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout.splitlines()


@pytest.fixture
def project(exported: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy to damage; whatever a test does in it must leave the earlier export alone."""
    root = tmp_path / "a copy"
    shutil.copytree(exported.root, root, symlinks=True, ignore=shutil.ignore_patterns("cache", "raw", "csv"))
    monkeypatch.chdir(root)
    yield root
    for name in NAMES:
        assert (root / TARGET / name).read_bytes() == (exported.root / TARGET / name).read_bytes()
    assert [path.name for path in (root / "models").iterdir() if path.name.startswith(".export")] == []


def card(repository: Repository) -> str:
    return repository.read(f"{TARGET}/README.md")


def test_the_workspace_stays_as_it_was(exported: Repository) -> None:
    assert sorted(os.listdir(exported.root / TARGET)) == NAMES
    assert exported.git("status", "--porcelain") == ""
    assert "up to date" in exported.dvc("status")


def test_the_file_gives_what_evaluate_measured(exported: Repository) -> None:
    """`mlp` is trained and measured in float32, with the mirror images, so that hardly a digit may differ."""
    images_NCHW = np.load(exported.root / "data/dataset/test/images.npy")
    probabilities_NK = answers(exported.root / TARGET / "model.onnx", images_NCHW)
    recorded = pd.read_csv(exported.root / "plots/predictions.csv", dtype={"predicted": str})
    assert [str(label) for label in probabilities_NK.argmax(axis=1)] == recorded["predicted"].to_list()
    np.testing.assert_allclose(probabilities_NK.max(axis=1), recorded["confidence"], atol=1.1e-5)


def answers(path: Path, images_NCHW: NDArray[np.uint8]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (probabilities_NK,) = session.run(None, {"images": images_NCHW})
    return np.asarray(probabilities_NK)


def test_the_int8_file_is_a_quarter_as_large_and_answers_nearly_the_same(exported: Repository) -> None:
    images_NCHW = np.load(exported.root / "data/dataset/test/images.npy")
    actual_N = np.load(exported.root / "data/dataset/test/labels.npy")
    float32, int8 = (answers(exported.root / TARGET / name, images_NCHW) for name in ("model.onnx", "model.int8.onnx"))
    np.testing.assert_allclose(int8.sum(axis=1), 1, rtol=1e-5)
    assert np.abs(int8 - float32).max() > 1e-4, "nothing was quantised"
    sizes = [(exported.root / TARGET / name).stat().st_size for name in ("model.onnx", "model.int8.onnx")]
    assert sizes[1] < 0.35 * sizes[0]
    same, right = float((int8.argmax(1) == float32.argmax(1)).mean()), float((int8.argmax(1) == actual_N).mean())
    assert same > 0.97
    assert (
        f"`model.int8.onnx` gives {same:.2%} of the test images the same class as `model.onnx`; "
        f"its test accuracy is {right:.2%}. Verdict of the paired test: no evidence of a difference (95 % "
    ) in card(exported)


def test_an_int8_file_that_is_worse_is_not_kept(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def keep_one_class(path: Path, source: Path, _: object) -> None:
        model = onnx.load(source)
        bias = next(one for one in model.graph.initializer if one.dims == [10])
        bias.CopyFrom(onnx.numpy_helper.from_array(np.eye(10, dtype=np.float32)[3] * 1e4, bias.name))
        onnx.save(model, path)

    monkeypatch.setattr(export, "write_int8", keep_one_class)
    told = (
        r"^models/export: nothing written, for the int8 file is significantly worse: test accuracy \d\d\.\d+% in float32, 1\d\."
    )
    with pytest.raises(UserError, match=told):
        export.main(["--int8"])


def test_metadata_of_the_file(exported: Repository) -> None:
    for name in ("model.onnx", "model.int8.onnx"):
        model = onnx.load(exported.root / TARGET / name)
        assert [(one.domain, one.version) for one in model.opset_import] == [("", 18)]
        found = {one.key: one.value for one in model.metadata_props}
        assert json.loads(found["classes"]) == [str(digit) for digit in range(10)]
        assert found["commit"] == exported.git("rev-parse", "HEAD").strip()
        assert (found["dataset"], found["network"], json.loads(found["input_shape"])) == ("digits", "mlp", [1, 8, 8])
        assert json.loads(found["versions"])["torch"] == version("torch")


@pytest.mark.slow
def test_the_same_inputs_give_the_same_bytes_elsewhere(exported: Repository, tmp_path: Path) -> None:
    elsewhere = tmp_path / "else where"
    shutil.copytree(exported.root, elsewhere, symlinks=True, ignore=shutil.ignore_patterns("cache"))
    shutil.rmtree(elsewhere / TARGET)
    run_export(elsewhere, "--int8", "--license", "cc-by-4.0", PYTHONHASHSEED="1", TZ="Asia/Tokyo", LC_ALL="C")
    for name in NAMES:
        assert (elsewhere / TARGET / name).read_bytes() == (exported.root / TARGET / name).read_bytes()


class TestCard:
    def test_a_model_hub_reads_it(self, exported: Repository) -> None:
        data = ModelCard.load(exported.root / TARGET / "README.md").data
        assert (data.license, data.library_name, data.pipeline_tag) == ("cc-by-4.0", "onnx", "image-classification")
        assert (data.datasets, data.metrics) == (["digits"], ["accuracy", "f1"])
        metrics = json.loads(exported.read("metrics/test.json"))
        accuracy, f1 = data.eval_results
        assert (accuracy.metric_type, accuracy.metric_value) == ("accuracy", pytest.approx(metrics["test_accuracy"]))
        assert (f1.metric_type, f1.metric_value) == ("f1", pytest.approx(metrics["test_macro_f1"], abs=1e-6))
        low, high = metrics["test_accuracy_low"], metrics["test_accuracy_high"]
        assert accuracy.metric_name == f"test accuracy (95 % interval {low:.2%} to {high:.2%})"
        assert "licence `cc-by-4.0`)" in card(exported)  # of the digits, by the catalogue

    def test_figures_are_those_of_the_run(self, exported: Repository) -> None:
        text, metrics = card(exported), json.loads(exported.read("metrics/test.json"))
        low, high = metrics["test_accuracy_low"], metrics["test_accuracy_high"]
        assert f"| test accuracy | {metrics['test_accuracy']:.2%} | {low:.2%} to {high:.2%} |" in text
        assert f"| test loss | {metrics['test_loss']:.4f} | " in text
        assert f"| macro-F1 | {metrics['test_macro_f1']:.4f} | " in text
        assert "Measured once, on the 355 test images, in float32" in text
        assert "the same class to each of the 355 test images as PyTorch does in float32" in text
        assert "gives 0 of these images another class than the pipeline recorded" in text
        assert f"its test accuracy is {metrics['test_accuracy']:.2%} ({low:.2%} to {high:.2%})" in text

    def test_classes_are_counted(self, exported: Repository) -> None:
        predictions = pd.read_csv(exported.root / "plots/predictions.csv", dtype={"actual": str, "predicted": str})
        train = pd.read_csv(exported.root / "plots/data.csv", dtype={"class": str}).set_index("class")["train"]
        of_3 = predictions[predictions["actual"] == "3"]
        right = int((of_3["predicted"] == "3").sum())
        low, high = proportion_confint(right, len(of_3), method="wilson")
        said = predictions[predictions["predicted"] == "3"]
        row = (
            f"| 3 | {train['3']} | {len(of_3)} | {right / len(of_3):.1%} | {low:.1%} to {high:.1%} | {right / len(said):.1%} |"
        )
        assert row in card(exported)

    def test_provenance(self, exported: Repository) -> None:
        text, lock = card(exported), yaml.safe_load(exported.read("dvc.lock"))["stages"]
        recorded = {entry["path"]: entry["md5"] for stage in lock.values() for entry in stage["outs"] + stage.get("deps", [])}
        for path in ("data/raw", "data/dataset", "data/dataset/test", "models/model.safetensors", "models/model.json"):
            assert f"| `{path}` | `{recorded[path]}` |" in text
        assert f"| commit | `{exported.git('rev-parse', 'HEAD').strip()}`, nothing changed since |" in text
        assert "| trained with | torch 2.14.1, device cpu, precision float32" in text
        assert f"onnxruntime {version('onnxruntime')} |" in text
        assert "`lr: 0.001`" in text
        assert "`augment: []`" in text
        assert "Changed since" not in text

    def test_what_auto_means(self, exported: Repository) -> None:
        text = card(exported)
        assert "averaging with the mirror image and softmax are inside." in text
        assert "If you quantise it yourself, leave the softmax out" in text
        assert '`flip_tta: "auto"`' in text
        assert '`flip_tta: "auto"` means `true` here: the mirror image of an image shows the same class.' in text
        assert '`augment: "auto"`' not in text

    def test_nothing_of_this_machine(self, exported: Repository) -> None:
        text = card(exported)
        assert str(exported.root) not in text
        assert not re.search(r"20\d\d-\d\d|\d\d:\d\d", text)

    def test_what_differs_from_the_commit_is_named(
        self, exported: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = tmp_path / "changed"
        shutil.copytree(exported.root, root, symlinks=True, ignore=shutil.ignore_patterns("cache"))
        params = root / "params.yaml"
        params.write_text(params.read_text(encoding="utf-8").replace("lr: 0.001", "lr: 0.002"), encoding="utf-8")
        (root / "benchmarks").mkdir()
        seeds = {"setting": {"dataset": "digits"}, "test_accuracy": [0.9, 0.92, 0.94]}
        seeds |= {"test_loss": [0.1, 0.2, 0.3], "test_macro_f1": [0.9, 0.92, 0.94]}
        (root / "benchmarks/seeds.json").write_text(json.dumps({"experiments": {"default": seeds}}), encoding="utf-8")
        monkeypatch.chdir(root)
        assert export.main([]) == 0
        text = (root / TARGET / "README.md").read_text(encoding="utf-8")
        assert ", with changes that are not committed: `benchmarks/`, `params.yaml` |" in text
        assert "Changed since stage train ran, so not what this model was made with: `lr`." in text
        assert "`lr: 0.001`" in text
        assert "the accuracies of two runs lie up to 12.17 points apart" in text  # as in test_review_report.py


def test_a_card_for_own_images_without_validation(exported: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(exported.root)
    origin = read_origin()
    found = {"images": {"train": 1200, "test": 355}, "leaked": {"test_in_train": 3}}
    own = replace(
        origin,
        description=origin.description.model_copy(update={"dataset": "folder"}),  # its name is that of dvc.lock
        data=origin.data.model_copy(update=found),
    )
    many = [f"file {number}" for number in range(25)]
    agreement = Agreement(origin.results.predicted_N, num_ties=2, largest_difference=1.25e-6)
    provenance = Provenance("0" * 40, None, many, "", {"onnx": "1"})
    text = model_card(Export(own, provenance, agreement, b"content", None, 18, None))
    assert "license" not in text.partition("\n---\n")[0]
    assert "model.int8" not in text
    assert "A person's own images (digits). Images: 1,200 to train on, 355 to test on." in text
    assert r"The data check found: 3 of 355 test images are also in train, pixel for pixel." in text
    assert "the same class to 353 of the 355 test images (the other 2 are ties between two classes) as PyTorch does" in text
    assert "`file 19` and 5 more |" in text
    assert "`ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73`" in text  # printf content | sha256sum


def test_the_kept_epoch_is_one_of_those_that_were_trained(exported: Repository) -> None:
    """`min_steps` may ask for more of them than `epochs` does."""
    (kept, of), *_ = re.findall(r"The weights are those after epoch (\d+) of (\d+)", card(exported))
    assert int(of) == len(exported.read("plots/history.csv").splitlines()) - 1
    assert 1 <= int(kept) <= int(of)


def test_intervals_by_the_bootstrap_of_scipy(exported: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(exported.root)
    results = read_results(find_revision(WORKSPACE))
    intervals = metric_intervals(results)

    def macro_f1(actual: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
        return float(f1_score(actual, predicted, average="macro"))

    pairs = (results.actual_N, results.predicted_N)
    options = {"paired": True, "vectorized": False, "n_resamples": 400, "method": "percentile", "rng": 0}
    bounds = bootstrap(pairs, macro_f1, **options).confidence_interval
    found = intervals["test_macro_f1"]
    assert found.estimate == pytest.approx(macro_f1(*pairs))
    assert found.high - found.low == pytest.approx(bounds.high - bounds.low, rel=0.2)
    assert found.low < found.estimate < found.high
    loss = intervals["test_loss"]
    assert loss.estimate == pytest.approx(results.loss_N.mean())
    standard_error = results.loss_N.std() / np.sqrt(len(results.loss_N))
    assert (loss.high - loss.low) / (2 * standard_error) == pytest.approx(1.96, rel=0.2)


def python_blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


@pytest.fixture
def handed_on(exported: Repository, tmp_path: Path) -> Path:
    """A folder with the model, the program on its card, and the first test images as pictures; nothing else."""
    folder = tmp_path / "handed on"
    folder.mkdir()
    shutil.copy(exported.root / TARGET / "model.onnx", folder)
    (source,) = python_blocks(card(exported))
    (folder / "classify.py").write_text(source, encoding="utf-8")
    for number, image_CHW in enumerate(np.load(exported.root / "data/dataset/test/images.npy")[:9]):
        Image.fromarray(image_CHW[0]).save(folder / f"{number}.png")
    return folder


def refuse_other_answers(printed: str, exported: Repository) -> None:
    recorded = pd.read_csv(exported.root / "plots/predictions.csv", dtype={"predicted": str})[:9]
    answers = [re.fullmatch(r"(\d)\.png  (\d) ([\d.]+)%(  \d [\d.]+%){2}", line) for line in printed.splitlines()]
    assert [(answer[1], answer[2]) for answer in answers if answer] == [
        (str(number), predicted) for number, predicted in enumerate(recorded["predicted"])
    ]
    shown = [float(answer[3]) / 100 for answer in answers if answer]
    np.testing.assert_allclose(shown, recorded["confidence"], atol=0.00052)


ONLY = """
import runpy, sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "classifier", "tools", "stages", "onnx", "pandas", "scipy", "sklearn"}:
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
runpy.run_path("classify.py", run_name="__main__")
"""


def test_the_program_on_the_card_needs_no_part_of_this_project(exported: Repository, handed_on: Path) -> None:
    pictures = [f"{number}.png" for number in range(9)]
    done = subprocess.run(
        [sys.executable, "-I", "-c", ONLY, *pictures], cwd=handed_on, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    refuse_other_answers(done.stdout, exported)


@pytest.mark.slow
def test_a_new_environment_with_onnxruntime_and_pillow_alone(exported: Repository, handed_on: Path) -> None:
    (wanted,) = re.findall(r"```bash\npip install (.*)\n```", card(exported))
    subprocess.run([sys.executable, "-m", "venv", handed_on / "venv"], check=True)
    python = handed_on / "venv/bin/python"
    pip = [python, "-m", "pip", "install", "--disable-pip-version-check", *wanted.split()]
    installed = subprocess.run(pip, capture_output=True, text=True, check=False)
    if "(from versions: none)" in installed.stderr:
        pytest.skip("no package index can be reached from here")
    assert installed.returncode == 0, installed.stderr
    pictures = [f"{number}.png" for number in range(9)]
    done = subprocess.run([python, "-I", "classify.py", *pictures], cwd=handed_on, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    refuse_other_answers(done.stdout, exported)


OPENCV = """
import sys, cv2, numpy
network = cv2.dnn.readNetFromONNX(sys.argv[1])
network.setInput(numpy.load("images.npy"))
numpy.save("found.npy", network.forward())
"""
ONNX2TORCH = """
import sys, numpy, onnx2torch, torch
network = onnx2torch.convert(sys.argv[1]).eval()
numpy.save("found.npy", network(torch.from_numpy(numpy.load("images.npy"))).detach().numpy())
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "source"), [("opencv-python-headless==5.0.0.93", OPENCV), ("onnx2torch==1.5.15", ONNX2TORCH)]
)
def test_programs_that_know_nothing_of_onnxruntime_give_the_same(
    package: str, source: str, exported: Repository, tmp_path: Path
) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", "packages", package]
    installed = subprocess.run(pip, cwd=tmp_path, capture_output=True, text=True, check=False)
    if "(from versions: none)" in installed.stderr:
        pytest.skip("no package index can be reached from here")
    assert installed.returncode == 0, installed.stderr
    images_NCHW = np.load(exported.root / "data/dataset/test/images.npy")[:9]
    np.save(tmp_path / "images.npy", images_NCHW)
    path = exported.root / TARGET / "model.onnx"
    environment = os.environ | {"PYTHONPATH": "packages"}
    done = subprocess.run(
        [sys.executable, "-c", source, path], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "found.npy"), answers(path, images_NCHW), atol=1e-5)


WEB = """
import * as ort from "onnxruntime-web/wasm";
import fs from "fs";
ort.env.wasm.numThreads = 1;
const [pixels, ...dims] = JSON.parse(fs.readFileSync("images.json"));
for (const path of process.argv.slice(2)) {
  const session = await ort.InferenceSession.create(fs.readFileSync(path));
  const found = await session.run({ images: new ort.Tensor("uint8", Uint8Array.from(pixels), dims) });
  console.log(JSON.stringify(Array.from(found.probabilities.data)));
}
"""


@pytest.mark.slow
@needs_node
def test_a_browser_s_runtime_gives_the_same(exported: Repository, tmp_path: Path) -> None:
    install(tmp_path, "onnxruntime-web@1.30.0")
    (tmp_path / "run.mjs").write_text(WEB, encoding="utf-8")
    images_NCHW = np.load(exported.root / "data/dataset/test/images.npy")[:9]
    (tmp_path / "images.json").write_text(json.dumps([images_NCHW.flatten().tolist(), *images_NCHW.shape]), encoding="utf-8")
    paths = [exported.root / TARGET / name for name in ("model.onnx", "model.int8.onnx")]
    done = subprocess.run(["node", "run.mjs", *paths], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    float32, int8 = (np.reshape(json.loads(line), (9, 10)) for line in done.stdout.splitlines())
    np.testing.assert_allclose(float32, answers(paths[0], images_NCHW), atol=1e-5)
    np.testing.assert_allclose(int8, answers(paths[1], images_NCHW), atol=0.02)


def cut(name: str) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        (root / name).write_bytes((root / name).read_bytes()[:500])

    return damage


def lose(name: str) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        shutil.rmtree(root / name) if (root / name).is_dir() else (root / name).unlink()

    return damage


def turn_a_bit(name: str) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        content = bytearray((root / name).read_bytes())
        content[-1] ^= 1
        (root / name).write_bytes(content)

    return damage


def edit_lock(change: Callable[[dict[str, dict[str, object]]], None]) -> Callable[[Path], None]:
    def damage(root: Path) -> None:
        lock = yaml.safe_load((root / "dvc.lock").read_text(encoding="utf-8"))
        change(lock["stages"])
        (root / "dvc.lock").write_text(yaml.safe_dump(lock), encoding="utf-8")

    return damage


def trained_anew(stages: dict[str, dict[str, object]]) -> None:
    outs = stages["train"]["outs"]
    assert isinstance(outs, list)
    next(out for out in outs if out["path"] == "models/model.safetensors")["md5"] = "0" * 32


def without_tta(stages: dict[str, dict[str, object]]) -> None:
    params = stages["evaluate"]["params"]
    assert isinstance(params, dict)
    del params["params.yaml"]["flip_tta"]


STRANGE = r"is not what the results of dvc\.lock were measured on; `dvc checkout` or `dvc pull` brings that"
REFUSALS: dict[str, tuple[Callable[[Path], None], str]] = {
    "no model": (lose("models/model.safetensors"), r"^models/model\.safetensors: no model here yet; `dvc repro` trains one"),
    "no description": (lose("models/model.json"), r"^models/model\.json: no model here yet; `dvc repro` trains one"),
    "half a model": (cut("models/model.safetensors"), r"^models/model\.safetensors: not a whole safetensors file"),
    "half a description": (cut("models/model.json"), r"^models/model\.json: "),
    "another model": (turn_a_bit("models/model.safetensors"), rf"^models/model\.safetensors: {STRANGE}"),
    "no test images": (
        lose("data/dataset/test"),
        r"^data/dataset/test: the test images are not here; `dvc pull data/dataset/t",
    ),
    "other test images": (turn_a_bit("data/dataset/test/images.npy"), rf"^data/dataset/test: {STRANGE}"),
    "no lock": (lose("dvc.lock"), r"^workspace: has no dvc\.lock; run `dvc repro`"),
    "half a lock": (cut("dvc.lock"), r"^workspace:dvc\.lock: "),
    "trained, not measured": (
        edit_lock(trained_anew),
        r"^dvc\.lock: the results are those of another models/model\.safetensors",
    ),
    "no param": (edit_lock(without_tta), r"^dvc\.lock: needs the param flip_tta of stage evaluate, and has none"),
    "other metrics": (turn_a_bit("metrics/train.json"), r"^workspace:metrics/train\.json: "),
    "other predictions": (cut("plots/predictions.csv"), r"^workspace:plots/predictions\.csv: "),
    "no data report": (
        lose("metrics/data.json"),
        r"^metrics/data\.json: no such file; `git checkout HEAD -- metrics/data\.json`",
    ),
    "other data report": (turn_a_bit("metrics/data.json"), r"^metrics/data\.json: is not the file that dvc\.lock records"),
    "no DVC": (lose(".dvc"), r"^\.dvc: no such folder; run this in the folder that has dvc\.yaml"),
    "no git": (lose(".git"), r"^git: not a git repository"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_does_not_fit_is_refused(name: str, project: Path) -> None:
    damage, told = REFUSALS[name]
    damage(project)
    with pytest.raises(UserError, match=told) as caught:
        export.main([])
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("project")
def test_auto_adds_no_mirror_images_where_the_model_s_images_are_not_mirrored() -> None:
    origin = read_origin()
    assert origin.flip_tta is True
    assert replace(origin, description=origin.description.model_copy(update={"hflip_invariant": False})).flip_tta is False


def test_a_person_s_own_file_is_not_deleted(project: Path) -> None:
    (project / TARGET / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(
        UserError, match=r"^models/export: an export replaces the whole folder, and it holds 'notes\.txt'; move"
    ):
        export.main([])


def test_one_export_at_a_time(project: Path) -> None:
    with (
        FileLock(project / ".dvc/tmp/export.lock"),
        pytest.raises(UserError, match=r"^models/export: another export is at work here"),
    ):
        export.main([])


def test_a_file_that_computes_something_else_is_not_kept(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forget_the_mirror(path: Path, network: Probabilities, *others: Any) -> None:
        other, _ = load_model(Path("models"))
        write_onnx(path, Probabilities(other, flip_tta=False), *others)

    write_onnx = export.write_onnx
    monkeypatch.setattr(export, "write_onnx", forget_the_mirror)
    with pytest.raises(UserError, match=r"^models/export: nothing written, for the exported file differs: test image \d+ is"):
        export.main([])


def test_a_model_that_changes_meanwhile_is_not_described(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def change_late(*_: object, **options: object) -> Provenance:
        turn_a_bit("models/model.safetensors")(project)
        return Provenance("0" * 40, None, [], "")

    monkeypatch.setattr(export, "read_provenance", change_late)
    with pytest.raises(UserError, match=rf"^models/model\.safetensors: {STRANGE}"):
        export.main([])


def test_missing_packages_are_named(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "pins.txt").write_text("torch==2.14.1\nno-such-onnx==1.0  # made up\n", encoding="utf-8")
    monkeypatch.setattr(export, "REQUIREMENTS", project / "pins.txt")
    with pytest.raises(
        UserError, match=r"^no-such-onnx: not installed; `make export` installs what an export needs, by hand `pip"
    ):
        export.main([])


def test_other_versions_are_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "pins.txt").write_text("onnxruntime==0.1\n", encoding="utf-8")
    monkeypatch.setattr(export, "REQUIREMENTS", Path("pins.txt"))
    wanted = f"versions differ from pins.txt, so bytes may too: onnxruntime {version('onnxruntime')} (pinned 0.1)"
    assert export.check_packages() == wanted


def test_the_command_fails_on_one_line(project: Path) -> None:
    (project / "models/model.json").unlink()
    command = [warm.python(), "-m", "tools.export"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    told = "error: models/model.json: no model here yet; `dvc repro` trains one, `dvc pull` fetches the one of dvc.lock\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", told)


def test_dvc_gets_the_model_by_its_name_elsewhere(exported: Repository, tmp_path: Path) -> None:
    """As README.md says: a tag, a push, and two commands in a folder that knows nothing of this project."""
    root = tmp_path / "owner"
    shutil.copytree(exported.root, root, symlinks=True)
    owner = Repository.__new__(Repository)
    owner.root = root
    owner.dvc("remote", "add", "--default", "store", str(tmp_path / "store"))
    owner.git("commit", "--quiet", "--all", "--message", "remote")
    owner.git("tag", "--annotate", "image-classifier@v1.0.0", "--message", "first")
    owner.dvc("push")
    owner.git("clone", "--quiet", "--bare", ".", str(tmp_path / "published.git"))
    shutil.rmtree(root / ".dvc/cache")
    visitor = Repository.__new__(Repository)
    visitor.root = tmp_path / "elsewhere"
    visitor.root.mkdir()
    published = str(tmp_path / "published.git")
    visitor.dvc("artifacts", "get", published, "image-classifier")
    visitor.dvc("get", "--rev", "image-classifier@v1.0.0", published, "models/model.json")
    model, _ = load_model(visitor.root)
    assert not model.training
    wanted = load_file(exported.root / "models/model.safetensors")
    found = model.network.state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)
