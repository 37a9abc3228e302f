"""The figures show what the tables say, with the same bytes every time."""

import os
import subprocess
import sys
import warnings
from itertools import combinations, pairwise
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from classifier.figures.charts import class_bars, confusion_matrix, learning_curves
from classifier.figures.galleries import mistake_gallery, sample_grid
from classifier.figures.style import isolated, save_png, short_names, styled

ROOT = Path(__file__).parents[3]
HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2, 3],
        "train_loss": [3, 2, 1],
        "train_accuracy": [0.1, 0.2, 0.3],
        "val_loss": [4, 5, 6],
        "val_accuracy": [0, 1, 0],
    }
)
CLASSES = ["cat", "dog", "emu"]
PREDICTIONS = pd.DataFrame(
    {
        "actual": ["cat", "cat", "cat", "dog", "dog"],
        "predicted": ["cat", "dog", "emu", "dog", "cat"],
        "confidence": [0.5, 0.6, 0.9, 0.5, 0.6],
    }
)
IMAGES_NCHW = np.arange(5 * 4 * 6, dtype=np.uint8).reshape(5, 1, 4, 6)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def test_the_curves_are_the_history_and_the_kept_epoch_is_marked() -> None:
    loss, accuracy = learning_curves(HISTORY, kept_epoch=2).axes
    assert [list(line.get_ydata()) for line in loss.lines[:2]] == [[3, 2, 1], [4, 5, 6]]
    assert [list(line.get_ydata()) for line in accuracy.lines[:2]] == [[0.1, 0.2, 0.3], [0, 1, 0]]
    assert list(loss.lines[2].get_xdata()) == [2, 2]
    assert [text.get_text() for text in loss.get_legend().get_texts()] == ["training", "validation", "kept: epoch 2"]


def test_without_validation_there_is_one_curve() -> None:
    figure = learning_curves(HISTORY.drop(columns=["val_loss", "val_accuracy"]), kept_epoch=3)
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["training", "kept: epoch 3"]


def test_a_single_epoch_is_marked_by_its_whole_number() -> None:
    (axes, _) = learning_curves(HISTORY[:1], kept_epoch=1).axes
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1]


def test_the_confusion_matrix_worked_by_hand() -> None:
    figure = confusion_matrix(PREDICTIONS, CLASSES)
    shares = figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(shares, [[1 / 3, 1 / 3, 1 / 3], [1 / 2, 1 / 2, 0], [0, 0, 0]])
    assert texts(figure) == ["1\n33.3%"] * 3 + ["1\n50.0%"] * 2


def test_many_classes_leave_the_cells_without_figures() -> None:
    names = [f"class {number}" for number in range(60)]
    figure = confusion_matrix(pd.DataFrame({"actual": names, "predicted": names}), names)
    assert texts(figure) == []
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), np.eye(60))


@pytest.mark.parametrize("num_classes", [2, *(pytest.param(many, marks=pytest.mark.slow) for many in (43, 300))])
def test_names_have_room_however_many_and_long_they_are(tmp_path: Path, num_classes: int) -> None:
    """No two tick labels overlap, the axes keep most of the picture, and matplotlib has nothing to warn of."""
    names = [
        f"a class with a long name that ends in a number, as many in the wild do: {number:04}" for number in range(num_classes)
    ]
    table = pd.DataFrame({"class": names, "precision": 0.5, "recall": 0.5, "f1": np.linspace(0, 1, num_classes), "support": 9})
    predictions = pd.DataFrame({"actual": names, "predicted": names[::-1], "confidence": 0.5})
    images_NCHW = np.zeros((num_classes, 1, 8, 8), dtype=np.uint8)
    with warnings.catch_warnings(action="error"), styled(names):
        figures = [
            confusion_matrix(predictions, names),
            class_bars(table),
            sample_grid(images_NCHW, predictions["actual"], names),
            mistake_gallery(images_NCHW, predictions),
        ]
        for figure in figures:
            save_png(figure, tmp_path / "figure.png")
            assert max(figure.get_size_inches()) <= 40
    for figure in figures[:3]:
        axes = figure.axes[0]
        boxes = [label.get_window_extent() for label in axes.get_yticklabels()]
        assert 2 <= len(boxes) <= 60
        assert not any(one.overlaps(other) for one, other in pairwise(boxes))
        assert axes.get_window_extent().width > 0.4 * figure.bbox.width
    captions = [axes.title.get_window_extent() for axes in figures[3].axes if axes.get_title()]
    assert not any(one.overlaps(other) for one, other in combinations(captions, 2))
    assert len({label.get_text() for label in figures[0].axes[0].get_yticklabels()}) == len(figures[0].axes[0].get_yticks())


def test_of_many_classes_the_bars_are_those_of_the_lowest_f1() -> None:
    f1 = np.random.default_rng(0).permutation(100) / 100
    table = pd.DataFrame({"class": [f"{value}" for value in f1], "precision": f1, "recall": f1, "f1": f1, "support": 1})
    labels = [label.get_text() for label in class_bars(table).axes[0].get_yticklabels()]
    assert labels == [f"{value} (1)" for value in f1 if value < 0.6]


def test_names_that_begin_alike_are_cut_in_their_middle() -> None:
    assert short_names(["short", "abcdefghij", "abcdefghik", "zyxwvutsrqp"], 7) == ["short", "abc…hij", "abc…hik", "zyxwvu…"]


def test_the_bars_are_the_table() -> None:
    table = pd.DataFrame(
        {"class": ["a", "b"], "precision": [0.1, 0.2], "recall": [0.3, 0.4], "f1": [0.5, 0.6], "support": [7, 8]}
    )
    axes = class_bars(table).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a (7)", "b (8)"]


def test_the_samples_are_each_classes_first_images_in_its_row() -> None:
    mosaic = sample_grid(IMAGES_NCHW, PREDICTIONS["actual"], CLASSES).axes[0].images[0].get_array()
    assert mosaic.shape == (3 * 4, 10 * 6)
    np.testing.assert_array_equal(mosaic[:4, :18], np.concatenate(list(IMAGES_NCHW[:3, 0]), axis=1))
    np.testing.assert_array_equal(mosaic[4:8, :12], np.concatenate(list(IMAGES_NCHW[3:, 0]), axis=1))
    assert (mosaic[8:] == 255).all() and (mosaic[:4, 18:] == 255).all(), "white where there is none"


def test_the_gallery_shows_the_surest_mistakes_first() -> None:
    figure = mistake_gallery(IMAGES_NCHW, PREDICTIONS)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["cat\n→ emu\n90.0%", "cat\n→ dog\n60.0%", "dog\n→ cat\n60.0%"]
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    np.testing.assert_array_equal(np.stack(shown), IMAGES_NCHW[[2, 1, 4], 0])


def test_a_name_that_runs_from_right_to_left_stays_behind_the_arrow_and_before_its_figure(tmp_path: Path) -> None:
    arabic = mistake_gallery(IMAGES_NCHW, PREDICTIONS.replace("emu", "قط"))
    assert arabic.axes[0].get_title() == f"cat\n→ {isolated('قط')}\n90.0%"
    assert isolated("cat, 猫, é") == "cat, 猫, é"

    def drawn(text: str) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """The columns from the first with ink to the last."""
        figure = Figure(figsize=(3, 1))
        figure.text(0.1, 0.5, text)
        with styled():
            save_png(figure, tmp_path / "text.png")
        is_ink_HW = np.asarray(Image.open(tmp_path / "text.png").convert("L")) < 128
        columns = np.flatnonzero(is_ink_HW.any(axis=0))
        return is_ink_HW[:, columns[0] : columns[-1] + 1]

    for name in ("قط", "חתול"):
        line, arrow, figure = drawn(f"→ {isolated(name)} 90.0%"), drawn("→"), drawn("90.0%")
        np.testing.assert_array_equal(line[:, : arrow.shape[1]], arrow)
        np.testing.assert_array_equal(line[:, -figure.shape[1] :], figure)


def test_grey_images_are_shown_as_they_are() -> None:
    """Faces are no negatives: what is light stays light."""
    for figure in (sample_grid(IMAGES_NCHW, PREDICTIONS["actual"], CLASSES), mistake_gallery(IMAGES_NCHW, PREDICTIONS)):
        (image, *_) = (image for axes in figure.axes for image in axes.images)
        assert (image.to_rgba(np.array([[0, 255]], dtype=np.uint8))[0, :, 0] == [0, 1]).all()


def test_no_mistakes_no_pictures() -> None:
    right = PREDICTIONS.assign(predicted=PREDICTIONS["actual"])
    figure = mistake_gallery(IMAGES_NCHW, right)
    assert not any(axes.images for axes in figure.axes)
    assert figure.get_suptitle() == "Most confident mistakes of the test split: 0 of 0 (actual → predicted)"


def test_colour_images_are_shown_in_colour() -> None:
    images_NCHW = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 6), dtype=np.uint8)
    shown = next(axes.images[0].get_array() for axes in mistake_gallery(images_NCHW, PREDICTIONS).axes if axes.images)
    np.testing.assert_array_equal(shown, images_NCHW[2].transpose(1, 2, 0))


@pytest.mark.parametrize("name", ["curves", "confusion", "classes", "samples", "mistakes"])
def test_the_same_bytes_whatever_the_users_own_settings(tmp_path: Path, name: str) -> None:
    bars = pd.DataFrame({"class": CLASSES, "precision": [0.1] * 3, "recall": [0.3] * 3, "f1": [0.5] * 3, "support": [7] * 3})

    def draw(path: Path) -> bytes:
        with styled():
            figure = {
                "curves": lambda: learning_curves(HISTORY, 2),
                "confusion": lambda: confusion_matrix(PREDICTIONS, CLASSES),
                "classes": lambda: class_bars(bars),
                "samples": lambda: sample_grid(IMAGES_NCHW, PREDICTIONS["actual"], CLASSES),
                "mistakes": lambda: mistake_gallery(IMAGES_NCHW, PREDICTIONS),
            }[name]()
            save_png(figure, path)
        return path.read_bytes()

    first = draw(tmp_path / "first.png")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "image.cmap": "jet", "savefig.bbox": "tight"}):
        assert draw(tmp_path / "second.png") == first
    picture = Image.open(tmp_path / "first.png")
    assert min(picture.size) > 100
    assert "Software" not in picture.info


BROKEN = {
    "not UTF-8": b"\xff\xfe",
    "an unknown value": b"lines.linewidth: banana\n",
    "no key": b"nonsense\n",
    "serif": b"font.family: serif\n",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_settings_of_a_person_are_not_even_read(tmp_path: Path, kind: str) -> None:
    """matplotlib stops at broken ones when it is imported, or warns of them. The backend is that of a notebook."""
    (tmp_path / "matplotlibrc").write_bytes(BROKEN[kind])
    program = (
        "import classifier.figures.charts, matplotlib; print(matplotlib.rcParams['font.family'], matplotlib.get_backend())"
    )
    environment = os.environ | {
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "MPLCONFIGDIR": str(tmp_path),
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("['sans-serif'] agg\n", "")
