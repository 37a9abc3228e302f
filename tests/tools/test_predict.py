"""A person's pictures and what the model says of them: against probabilities worked out by hand, and against `evaluate`."""

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from ruamel.yaml import YAML
from tqdm import tqdm

from classifier.common.errors import UserError
from classifier.common.params import read_yaml, validate
from classifier.decoding.params import ConvertParams
from classifier.images.schema import DatasetInfo
from classifier.scores.params import EvaluateParams
from classifier.sources.params import DownloadParams
from classifier.splits.params import BuildParams
from classifier.training.params import TrainParams
from stages import build, convert, download, evaluate, train
from tests.support import warm
from tests.support.pipeline import LIGHT, SOURCE
from tests.support.predict_case import CLASSES, write_model, write_params
from tools.predict import predictor
from tools.predict.__main__ import main
from tools.predict.output import as_text
from tools.predict.paths import find_pictures
from tools.predict.pictures import training_ground


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project whose model says of a black 2×2 image, which it sees as four times (0 - 0.25) / 0.25 = -1, that class k has the
    logit ln(k + 1), so the probabilities 1, 2, 3 and 4 tenths; and of a white one, seen as 3, that they are as (k + 1)^-3."""
    write_params(tmp_path / "project")
    write_model(tmp_path / "project", -torch.log(torch.arange(1.0, 5.0)).reshape(4, 1).repeat(1, 4) / 4)
    return tmp_path / "project"


ON_BLACK = "four 40.0 %, three 30.0 %, two 20.0 %"
ON_WHITE = "猫 84.9 %, two 10.6 %, three 3.1 %"


def picture(path: Path, *colours: Any, size: tuple[int, int] = (2, 2), mode: str = "L", **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, *colours).save(path, **options)
    return path


def predict(root: Path, *arguments: object, status: int = 0) -> None:
    assert main([str(argument) for argument in arguments], root) == status


def predict_json(root: Path, capsys: pytest.CaptureFixture[str], *arguments: object, status: int = 0) -> dict[str, Any]:
    capsys.readouterr()
    predict(root, *arguments, "--json", status=status)
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def process(root: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """As a person runs it, in the folder `root`."""
    command = [warm.python(), "-m", "tools.predict", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, encoding="utf-8", check=False)


def test_the_bar_counts_answers_and_not_what_waits_for_them(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []

    class Bar(tqdm):  # type: ignore[type-arg]
        def update(self, n: float | None = 1) -> bool | None:
            counted.append(len(taken))
            return super().update(n)

    monkeypatch.setattr(predictor, "tqdm", Bar)
    taken: list[object] = []
    for answer in predictor.Predictor.of_project(root, "no").answers([picture(root / "black.png", 0)] * 100):
        taken.append(answer)
    assert counted == list(range(100))


def test_probabilities_by_hand(root: Path) -> None:
    picture(root / "black.png", 0)
    done = process(root, "black.png", "--grid", "grid.png")
    assert (done.returncode, done.stderr) == (0, "")
    assert process(root, picture(root / "white.png", 255), "--invert", "no").stdout.splitlines()[1].endswith(f": {ON_WHITE}")
    assert done.stdout == (
        "softmax, trained on toy: 2×2 pixels in grey\n"
        f"black.png: {ON_BLACK}\n"
        "    not inverted (dark border, 0.00; dark training images, 0.25)\n"
    )
    assert Image.open(root / "grid.png").size[0] > 200


def test_json_holds_the_same(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    black = picture(root / "black.png", 0)
    found = predict_json(root, capsys, black)
    (answer,) = found["pictures"]
    assert [one["class"] for one in answer["top"]] == ["four", "three", "two"]
    assert [one["probability"] for one in answer["top"]] == pytest.approx([0.4, 0.3, 0.2])
    assert (answer["class"], answer["inverted"], answer["path"]) == ("four", False, str(black))
    assert answer["probability"] == pytest.approx(0.4)
    assert found["model"] == {
        "network": "softmax",
        "dataset": "toy",
        "classes": CLASSES,
        "shape_CHW": [1, 2, 2],
        "resize": "crop",
        "flip_tta": False,
    }
    assert found["unreadable"] == []


@pytest.mark.parametrize(
    ("arguments", "top", "step"),
    [
        ([], ON_BLACK, "inverted (light border, 1.00; dark training images, 0.25)"),
        (["--invert", "yes"], ON_BLACK, "inverted (--invert yes)"),
        (["--invert", "no"], ON_WHITE, "not inverted (--invert no)"),
    ],
)
def test_a_white_ground_is_inverted_unless_forbidden(
    root: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], top: str, step: str
) -> None:
    predict(root, picture(root / "white.png", 255), *arguments)
    assert capsys.readouterr().out.endswith(f"white.png: {top}\n    {step}\n")


def test_a_model_of_a_white_ground_inverts_what_lies_on_black(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = torch.log(torch.arange(1.0, 5.0)).reshape(4, 1).repeat(1, 4) / 4  # white, seen as (1 - 0.75) / 0.25 = 1
    write_model(root, weights, mean=[0.75])
    for name, grey, step in (
        ("black", 0, "inverted (dark border, 0.00; light training images, 0.75)"),
        ("white", 255, "not inverted (light border, 1.00; light training images, 0.75)"),
    ):
        predict(root, picture(root / f"{name}.png", grey))
        assert capsys.readouterr().out.endswith(f"{name}.png: {ON_BLACK}\n    {step}\n")


@pytest.mark.parametrize(
    ("mean", "std", "step"),
    [
        (0.4, 0.25, "not inverted, as the training images are neither dark nor light (mean 0.40)"),
        (0.5, 0.5, "not inverted, as the training images are neither dark nor light (mean 0.50)"),
        (0.0, 1.0, "not inverted, as models/model.json does not tell the mean of the training images"),
        (0.0, 1 / 255, "not inverted, as models/model.json does not tell the mean of the training images"),
        (0.1, 0.9, "not inverted, as models/model.json does not tell the mean of the training images"),
    ],
)
def test_without_evidence_nothing_is_inverted(
    root: Path, capsys: pytest.CaptureFixture[str], mean: float, std: float, step: str
) -> None:
    write_model(root, torch.ones(4, 4), mean=[mean], std=[std])
    found = predict_json(root, capsys, picture(root / "white.png", 255))
    assert (found["pictures"][0]["inverted"], found["pictures"][0]["steps"]) == (False, [step])


def test_the_data_set_tells_its_mean_where_the_model_has_another(root: Path) -> None:
    description = write_model(root, torch.ones(4, 4), mean=[0.5], std=[0.5])
    path = root / "data/dataset/dataset.json"
    path.parent.mkdir(parents=True)
    rows = {"train": 1, "val": 0, "test": 1}
    values = {
        **description.model_dump(include={"dataset", "classes", "shape_CHW", "hflip_invariant"}),
        "rows": rows,
        "mean": [0.13],
        "std": [0.3],
    }
    for changes, mean in (({}, 0.13), ({"dataset": "other"}, 0.5), ({"classes": ["a", "b"]}, 0.5)):
        path.write_text(DatasetInfo(**(values | changes)).model_dump_json())
        assert training_ground(root, description).mean == mean
    path.write_text("{")
    assert training_ground(root, description).mean == 0.5


def test_the_border_is_that_of_the_whole_picture(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A black thing on white paper, 4 of 6 pixels wide and high, of whose middle hardly any paper is left.

    An outermost pixel takes 6/7 of its own and 1/7 of its neighbour, an inner one 3/4 and twice 1/8: 17.776 of the 20.
    """
    write_model(root, torch.ones(4, 36), (1, 6, 6))
    pixels = np.full((60, 120), 255, dtype=np.uint8)
    pixels[:, 20:100] = 0
    pixels[[*range(10), *range(50, 60)]] = 255
    Image.fromarray(pixels).save(root / "thing.png")
    found = predict_json(root, capsys, root / "thing.png")
    assert found["pictures"][0]["steps"][0] == "inverted (light border, 0.89; dark training images, 0.25)"


def test_colours_are_not_inverted(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_model(root, torch.ones(4, 12), (3, 2, 2))
    white = picture(root / "white.png", (255, 255, 255), mode="RGB")
    grey = picture(root / "grey.png", 255)
    found = predict_json(root, capsys, white, grey)
    assert [one["steps"] for one in found["pictures"]] == [[], ["grey in three channels"]]
    predict(root, white)
    assert capsys.readouterr().out.endswith("    taken as it is\n")


def test_a_colour_reaches_its_channel(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Class k < 3 counts channel k alone."""
    write_model(root, torch.eye(4)[:, :3].repeat_interleave(4, dim=1), (3, 2, 2))
    names = [("red", (255, 0, 0), "猫"), ("green", (0, 255, 0), "two"), ("blue", (0, 0, 255), "three")]
    pictures = [picture(root / f"{name}.png", colour, mode="RGB") for name, colour, _ in names]
    found = predict_json(root, capsys, *pictures)
    assert [one["class"] for one in found["pictures"]] == [expected for _, _, expected in names]


def test_a_grey_model_sees_the_luma_of_colours(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pure green has the luma 150 of 255 (ITU-R BT.601), so each of the four pixels is (150/255 - 0.25) / 0.25."""
    green = picture(root / "green.png", (0, 255, 0), mode="RGB")
    (answer,) = predict_json(root, capsys, green, "--invert", "no")["pictures"]
    odds = np.arange(1, 5) ** -((150 / 255 - 0.25) / 0.25)
    assert answer["steps"] == ["colours to grey", "not inverted (--invert no)"]
    assert [one["probability"] for one in answer["top"]] == pytest.approx((odds / odds.sum())[:3].tolist(), rel=1e-5)


def exif_turned(path: Path) -> Path:
    exif = Image.Exif()
    exif[0x112] = 6
    return picture(path, 0, exif=exif)


def with_frames(path: Path) -> Path:
    frame = Image.new("RGB", (2, 2), "white")
    Image.new("RGB", (2, 2)).save(path, save_all=True, append_images=[frame], lossless=True)
    return path


KEPT = "not inverted (dark border, 0.00; dark training images, 0.25)"
TURNED = "inverted (light border, 1.00; dark training images, 0.25)"
KINDS: dict[str, tuple[Any, list[str]]] = {
    "turned.jpg": (exif_turned, ["turned upright", KEPT]),
    "deep.png": (lambda path: picture(path, 255, mode="I;16"), ["of 16 bits the upper 8", KEPT]),
    "clear.png": (lambda path: picture(path, (0, 0), mode="LA"), ["transparent parts on white", TURNED]),
    "palette.png": (lambda path: picture(path, 0, mode="P"), ["colours to grey", KEPT]),
    "bits.bmp": (lambda path: picture(path, 1, mode="1"), [TURNED]),
    "moving.webp": (with_frames, ["the first frame alone", "colours to grey", KEPT]),
    "square.png": (lambda path: picture(path, 0, size=(9, 9)), [KEPT, "9×9 pixels to 2×2"]),
    "wide.png": (
        lambda path: picture(path, 0, size=(9, 4)),
        [KEPT, "9×4 pixels to 2×2, its middle taken (resize: crop)"],
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_pictures_of_every_kind_and_what_was_done_to_them(root: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    make, steps = KINDS[name]
    (answer,) = predict_json(root, capsys, make(root / name))["pictures"]
    assert answer["steps"] == steps
    assert answer["probability"] == pytest.approx(0.4)


def test_a_later_frame_that_is_cut_off_does_no_harm(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames = [Image.fromarray(np.full((12, 10), grey, np.uint8)) for grey in (0, 90, 200)]
    frames[0].save(root / "moving.gif", save_all=True, append_images=frames[1:])
    content = (root / "moving.gif").read_bytes()
    second = content.index(b"\x2c", content.index(b"\x2c") + 1)
    (root / "moving.gif").write_bytes(content[: second + 4])
    (answer,) = predict_json(root, capsys, root / "moving.gif")["pictures"]
    assert answer["steps"][0] == "the first frame alone"


def test_damage_is_told_and_never_anything_else(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(1)
    turned = exif_turned(root / "turned.png").read_bytes()
    exif = Image.open(root / "turned.png").getexif()
    kinds = {".jpg": {"exif": exif}, ".webp": {"exif": exif}, ".bmp": {}}
    good = [turned, *(picture(root / f"good{kind}", 0, size=(9, 9), **options).read_bytes() for kind, options in kinds.items())]
    for number in range(400):
        content = bytearray(good[number % 4])
        for _ in range(rng.integers(1, 5)):
            content[rng.integers(min(len(content), 200))] = rng.integers(256)
        (root / "in").mkdir(exist_ok=True)
        (root / f"in/{number:03}.png").write_bytes(content)
    found = predict_json(root, capsys, root / "in", status=3)
    assert len(found["pictures"]) + len(found["unreadable"]) == 400
    assert min(len(found["pictures"]), len(found["unreadable"])) > 50
    assert all(one["reason"].isprintable() for one in found["unreadable"])


def lock(root: Path, **stages: dict[str, Any]) -> None:
    written = {name: {"cmd": "x", "params": {"params.yaml": params}} for name, params in stages.items()}
    YAML().dump({"schema": "2.0", "stages": written}, root / "dvc.lock")


def test_it_computes_as_the_last_run_did_whatever_params_yaml_says_now(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Left pixels count for the first class, right ones for the second; together with the mirror image both are equal."""
    weights = torch.tensor([[1.0, 0, 1, 0], [0, 1, 0, 1], [-9, -9, -9, -9], [-9, -9, -9, -9]])
    write_model(root, weights, mean=[0.4])
    Image.fromarray(np.array([[200, 100]] * 2, dtype=np.uint8)).save(root / "left.png")
    picture(root / "wide.png", 0, size=(4, 2))
    own, other = 2 * (200 / 255 - 0.4) / 0.25, 2 * (100 / 255 - 0.4) / 0.25
    alone = 1 / (1 + math.exp(other - own))
    for recorded, probability, resize in (
        ({}, alone, "its middle taken (resize: crop)"),
        ({"evaluate": {"flip_tta": True}}, 0.5, "its middle taken (resize: crop)"),
        ({"convert": {"resize": "pad"}, "evaluate": {"flip_tta": False}}, alone, "black bars added (resize: pad)"),
        ({"convert": {"resize": "stretch"}}, alone, "out of proportion (resize: stretch)"),
    ):
        lock(root, **recorded)
        left, wide = predict_json(root, capsys, root / "left.png", root / "wide.png")["pictures"]
        assert left["probability"] == pytest.approx(probability, abs=1e-3)
        assert wide["steps"][-1] == f"4×2 pixels to 2×2, {resize}"
    capsys.readouterr()
    lock(root, evaluate={"flip_tta": "auto"})
    predict(root, root / "left.png")
    assert capsys.readouterr().out.startswith(
        "softmax, trained on toy: 2×2 pixels in grey; each picture and its mirror image together (flip_tta)\n"
    )


@pytest.mark.parametrize("hflip_invariant", [True, False])
def test_auto_is_what_it_was_for_the_images_that_it_was_trained_on(
    root: Path, capsys: pytest.CaptureFixture[str], hflip_invariant: bool
) -> None:
    """Left pixels count for the first class, right ones for the second."""
    write_model(
        root, torch.tensor([[1.0, 0, 1, 0], [0, 1, 0, 1], [-9] * 4, [-9] * 4]), mean=[0.4], hflip_invariant=hflip_invariant
    )
    Image.fromarray(np.array([[255, 51]] * 2, dtype=np.uint8)).save(root / "left.png")
    alone = 1 / (1 + math.exp(2 * (0.2 - 1) / 0.25))
    lock(root, evaluate={"flip_tta": "auto"})
    found = predict_json(root, capsys, root / "left.png")
    assert found["model"]["flip_tta"] is hflip_invariant
    assert found["pictures"][0]["probability"] == pytest.approx(0.5 if hflip_invariant else alone, abs=1e-6)
    predict(root, root / "left.png")
    assert ("mirror image" in capsys.readouterr().out) is hflip_invariant


def test_what_flip_tta_cannot_be_is_one_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_params(root, flip_tta="yes")
    with pytest.raises(UserError, match=r"^\S*params\.yaml: flip_tta must be 'auto', true or false, got 'yes'$"):
        predict_json(root, capsys, picture(root / "black.png", 0))


def test_the_whole_test_split_as_evaluate_has_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its images as pictures, dark on white in three channels, get the classes and confidences of plots/predictions.csv."""
    write_params(tmp_path, **(LIGHT | {"flip_tta": True, "epochs": 10}))
    shutil.copy(SOURCE / "catalogue.yaml", tmp_path)
    path = tmp_path / "params.yaml"
    values = read_yaml(path)
    download.main(validate(path, values, DownloadParams), tmp_path)
    convert.main(validate(path, values, ConvertParams), tmp_path)
    build.main(validate(path, values, BuildParams), tmp_path)
    train.main(validate(path, values, TrainParams), tmp_path)
    evaluate.main(validate(path, values, EvaluateParams), tmp_path)
    expected = pd.read_csv(tmp_path / "plots/predictions.csv", dtype={"predicted": str})
    (tmp_path / "pictures").mkdir()
    for number, image_CHW in enumerate(np.load(tmp_path / "data/dataset/test/images.npy")):
        Image.fromarray(np.dstack([255 - image_CHW[0]] * 3)).save(tmp_path / f"pictures/{number:04}.png")
    found = predict_json(tmp_path, capsys, tmp_path / "pictures")["pictures"]
    assert len(found) == len(expected) > 300
    assert all(one["inverted"] for one in found)
    assert [one["class"] for one in found] == expected["predicted"].tolist()
    np.testing.assert_allclose([one["probability"] for one in found], expected["confidence"], atol=1e-5)
    assert (expected["predicted"] == expected["actual"].astype(str)).mean() > 0.8


def test_a_folder_with_pictures_that_cannot_be_read(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = root / "in"
    for name in ("b.png", "a/z.PNG", "c.jpg", ".hidden.png", ".git/x.png"):
        picture(folder / name, 0, format="PNG")
    (folder / "bad.jpg").write_bytes(b"junk")
    (folder / "empty.png").touch()
    (folder / "notes.txt").touch()
    (folder / "Thumbs.db").touch()
    (folder / "loop").symlink_to(folder)
    (folder / "nowhere.png").symlink_to("gone")
    os.mkfifo(folder / "pipe.png")
    found = predict_json(root, capsys, folder, status=3)
    assert [one["path"] for one in found["pictures"]] == [f"{folder}/{name}" for name in ("a/z.PNG", "b.png", "c.jpg")]
    reason = "no picture of the formats JPEG, PNG, WEBP, BMP, PPM, TIFF, GIF"
    assert found["unreadable"] == [{"path": f"{folder}/{name}", "reason": reason} for name in ("bad.jpg", "empty.png")]
    predict(root, folder, status=3)
    assert capsys.readouterr().err.splitlines() == [
        f"passed over, as its name is not that of a picture: {folder}/notes.txt",
        f"unreadable: {folder}/bad.jpg: {reason}",
        f"unreadable: {folder}/empty.png: {reason}",
    ]


def test_many_pictures_keep_their_order(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """More than a batch, and than a grid has room for; the darker, the more probable is the last class."""
    for number in range(100):
        picture(root / f"in/{number:03}.png", number)
    (root / "in/070.png").write_bytes(b"")
    grid = root / "grid.png"
    predict(root, root / "in", "--grid", grid, "--json", status=3)
    printed = capsys.readouterr()
    assert f"{grid}: the first 80 of 99 pictures" in printed.err
    found = json.loads(printed.out)
    numbers = [number for number in range(100) if number != 70]
    assert [one["path"] for one in found["pictures"]] == [f"{root}/in/{number:03}.png" for number in numbers]
    odds = np.array([[(k + 1) ** -((number / 255 - 0.25) / 0.25) for k in range(4)] for number in numbers])
    expected = (odds / odds.sum(axis=1, keepdims=True)).max(axis=1)
    np.testing.assert_allclose([one["probability"] for one in found["pictures"]], expected, rtol=1e-5)
    assert len(find_pictures([root / "in"]).paths) == 100


def test_the_grid_shows_what_the_model_saw(root: Path) -> None:
    """White pixels for black ones on paper: the picture was inverted."""
    paper = picture(root / "paper.png", 255, size=(2, 2))
    predict(root, paper, "--grid", root / "grid.png")
    predict(root, paper, "--grid", root / "kept.png", "--invert", "no")
    first, second = (np.asarray(Image.open(root / name).convert("L")) for name in ("grid.png", "kept.png"))
    assert first.shape == second.shape
    middle = tuple(side * 5 // 8 for side in first.shape)
    assert (first[middle], second[middle]) == (0, 255)
    predict(root, paper, "--grid", root / "again.png")
    assert (root / "again.png").read_bytes() == (root / "grid.png").read_bytes()


def test_the_grid_tells_of_letters_that_no_font_has(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """U+13000, an Egyptian hieroglyph, is in none of matplotlib's own fonts. Errors can be written in any encoding."""
    monkeypatch.setenv("MPL_IGNORE_SYSTEM_FONTS", "1")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = process(root, picture(root / "in" / "\U00013000\x07.png", 0), "--grid", "grid.png")
    assert done.returncode == 0
    assert done.stderr.startswith("grid.png: no font on this machine has \\U00013000, drawn as boxes; install one")
    assert done.stderr.count("\n") == 1


def test_a_picture_in_characters() -> None:
    ramp = np.array([[0, 25, 26, 128, 255]], dtype=np.uint8)
    assert as_text(ramp[np.newaxis]) == "    ..++@@"
    assert as_text(np.stack([ramp] * 3)) == as_text(ramp[np.newaxis])
    lines = as_text(np.full((1, 200, 100), 255, dtype=np.uint8)).splitlines()
    assert lines == ["@" * 40] * 40


def test_show_prints_it_below_the_answer(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    predict(root, picture(root / "white.png", 255), "--show", "--invert", "no")
    assert capsys.readouterr().out.splitlines()[-3:] == ["    not inverted (--invert no)", "@@@@", "@@@@"]


def test_a_name_that_a_terminal_would_obey_is_escaped(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture(root / "in/\x1b[31mred.png", 0)
    (root / "in/\udcff.png").write_bytes(b"")
    predict(root, root / "in", status=3)
    captured = capsys.readouterr()
    assert r"in/\x1b[31mred.png': four 40.0 %" in captured.out
    assert r"in/\udcff.png': no picture" in captured.err


def damaged(name: str, change: Any) -> Any:
    def apply(root: Path) -> None:
        path = root / name
        path.write_bytes(change(path.read_bytes()))

    return apply


def other_description(**changes: Any) -> Any:
    return damaged("models/model.json", lambda content: json.dumps(json.loads(content) | changes).encode())


def remove_models(root: Path) -> None:
    shutil.rmtree(root / "models")


def without(name: str) -> Any:
    def drop(content: bytes) -> bytes:
        values = json.loads(content)
        del values[name]
        return json.dumps(values).encode()

    return damaged("models/model.json", drop)


ANEW = r"damaged, or made by another version: `dvc repro` makes it anew$"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove_models, r"models/model\.json: no such file; run `dvc repro` to make it$"),
        (damaged("models/model.json", lambda content: content[:40]), rf"models/model\.json: the file: Invalid JSON: .*{ANEW}"),
        (other_description(format_version=2), rf"models/model\.json: format_version: Input should be 1, got 2; {ANEW}"),
        (without("precision"), rf"models/model\.json: precision: Field required, .*{ANEW}"),
        (
            damaged("models/model.safetensors", lambda content: content[:40]),
            r"model\.safetensors: not a whole safetensors file",
        ),
        (other_description(shape_CHW=[1, 2, 3]), r"tensor '1\.weight' must be float32 of shape \(4, 6\) by model\.json"),
        (
            other_description(shape_CHW=[1, 1, 4]),
            r"model\.json: needs square images of 1 or 3 channels .* found 1 channels of 1x4",
        ),
        (
            lambda root: write_model(root, torch.full((4, 4), math.nan)),
            r"models/model\.safetensors: needs weights that give numbers, found others; run `dvc repro`",
        ),
        (
            damaged("params.yaml", lambda content: content.replace(b"resize: crop", b"resize: cut")),
            r"params\.yaml: resize must",
        ),
        (lambda root: (root / "dvc.lock").write_text("stages: 3"), r"dvc\.lock: stages: .*run `dvc repro`"),
        (
            lambda root: lock(root, convert={"resize": "cut"}),
            r"dvc\.lock: resize must be 'crop', 'pad' or 'stretch', got 'cut'",
        ),
    ],
)
def test_a_model_that_cannot_be_used(root: Path, damage: Any, message: str) -> None:
    black = picture(root / "black.png", 0)
    damage(root)
    with pytest.raises(UserError, match=message) as caught:
        predict(root, black)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone.png"], r"gone\.png: no such file or folder; name pictures, or a folder of them"),
        (["pipe"], r"pipe: neither a file nor a folder"),
        (["empty"], r"empty: needs pictures \(\.bmp, .*\.webp\), found nothing"),
        (["texts"], r"texts: needs pictures \(.*\), found 2 files of other names"),
        (["a.png", "--grid", "grid.jpg"], r"--grid grid\.jpg: needs a name that ends in \.png"),
        (["a.png", "--grid", "no/grid.png"], r"--grid no/grid\.png: needs a file name in a folder that exists"),
        (["a.png", "--grid", "folder.png"], r"--grid folder\.png: needs a file name in a folder"),
        (["a.png", "b.png", "--grid", "./b.png"], r"--grid b\.png: is one of the pictures, and would be written over"),
    ],
)
def test_a_command_line_that_cannot_be_followed(
    root: Path, monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str], message: str
) -> None:
    for name in ("a.png", "b.png"):
        picture(root / name, 0)
    os.mkfifo(root / "pipe")
    for name in ("empty", "texts", "folder.png"):
        (root / name).mkdir()
    for name in ("a.txt", "b.txt"):
        (root / "texts" / name).touch()
    monkeypatch.chdir(root)
    before = sorted(root.rglob("*"))
    with pytest.raises(UserError, match=message):
        main(list(arguments))
    assert sorted(root.rglob("*")) == before


def test_errors_are_one_line_and_exit_with_1(root: Path) -> None:
    (root / "bad.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n")
    done = process(root, "bad.png", "--grid", "grid.png")
    reason = "no picture of the formats JPEG, PNG, WEBP, BMP, PPM, TIFF, GIF"
    assert (done.returncode, done.stderr) == (1, f"unreadable: bad.png: {reason}\n")
    assert not (root / "grid.png").exists()
    remove_models(root)
    done = process(root, "bad.png")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "error: models/model.json: no such file; run `dvc repro` to make it\n"


def test_a_wrong_command_line_exits_with_2_before_torch_is_imported(root: Path) -> None:
    picture(root / "a.png", 0)
    done = process(root, "a.png", "--json", "--show")
    assert done.returncode == 2
    assert "--show prints between the lines" in done.stderr
    command = [sys.executable, "-X", "importtime", "-m", "tools.predict", "gone.png"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "error: gone.png: no such file or folder" in done.stderr
    assert not {"torch", "PIL", "matplotlib"} & {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


def test_a_reader_that_stops_early_is_no_error(root: Path) -> None:
    for number in range(200):
        picture(root / f"in/{number}.png", 0)
    command = [warm.python(), "-m", "tools.predict", "in"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    with subprocess.Popen(command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout and running.stderr
        assert running.stdout.readline().startswith(b"softmax")
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait() == 141
