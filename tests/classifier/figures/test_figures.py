"""The figures show what the tables say, with the same bytes every time."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from classifier.figures.charts import class_bars, confusion_matrix, learning_curves
from classifier.figures.galleries import mistake_gallery, sample_grid
from classifier.figures.style import isolated, save_png, styled

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
    assert not mosaic[8:].any()


def test_the_gallery_shows_the_surest_mistakes_first() -> None:
    figure = mistake_gallery(IMAGES_NCHW, PREDICTIONS)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["cat\n→ emu 90.0%", "cat\n→ dog 60.0%", "dog\n→ cat 60.0%"]
    shown = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    np.testing.assert_array_equal(np.stack(shown), IMAGES_NCHW[[2, 1, 4], 0])


def test_a_name_that_runs_from_right_to_left_stays_behind_the_arrow_and_before_its_figure(tmp_path: Path) -> None:
    arabic = mistake_gallery(IMAGES_NCHW, PREDICTIONS.replace("emu", "قط"))
    assert arabic.axes[0].get_title() == f"cat\n→ {isolated('قط')} 90.0%"
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
