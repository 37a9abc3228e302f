"""The report's figures against other libraries, its parts, what it says of missing ones, and what it refuses."""

import base64
import hashlib
import io
import json
import re
import subprocess
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix, precision_score, recall_score
from statsmodels.stats.proportion import proportion_confint

from classifier.splits.data_check import data_metrics
from record.lock_file import read_lock
from tests.support import warm
from tests.support.report_case import ACTUAL, CONFIDENCE, DATA_REPORT, MODEL, NUM_IMAGES, PREDICTED, ReportCase
from tools.report import confusions as thumbnails
from tools.report.__main__ import main
from tools.report.charts import MAX_TICKS, learning_curve, ticks
from tools.report.confusions import MAX_CONFUSIONS, MAX_PER_CELL, fair_order, find_cells, surest_mistakes
from tools.report.page import as_page
from tools.report.pipeline import pipeline_picture
from tools.report.run import NUM_BINS, calibration, read_run

SOURCE = Path(__file__).parents[2]


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReportCase:
    case = ReportCase(tmp_path / "project")
    monkeypatch.chdir(case.root)
    return case


class Page(HTMLParser):
    """What a page holds: tags, attributes, and the rows of each table by its label."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self._rows: list[list[str]] = []
        self._in_cell = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if ("class", "wide") in attrs:
            self._rows = self.tables[dict(attrs)["aria-label"] or ""] = []
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th"):
            self._in_cell = True
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._in_cell = False

    def handle_data(self, data: str) -> None:
        if self._in_cell:
            self._rows[-1][-1] += data


def page() -> Page:
    return Page(as_page(read_run()))


def text() -> str:
    """The words of the page, without its tags."""
    return re.sub(r"<[^>]*>", "", as_page(read_run()))


class TestCalibration:
    def test_a_case_worked_by_hand(self) -> None:
        """Three of 0.9, two right: |2/3 - 0.9| = 7/30, with 3/4 of the images; one of 0.5, right: 1/2, with 1/4. Sum 0.3."""
        found = calibration(np.array([0.9, 0.9, 0.5, 0.9]), np.array([True, True, True, False]))
        assert found.error == pytest.approx(0.3)
        assert [one.num_images for one in found.bins] == [1, 3]
        assert [(round(one.low * 15), round(one.high * 15)) for one in found.bins] == [(7, 8), (13, 14)]

    @pytest.mark.parametrize("seed", range(3))
    def test_it_is_that_of_scikit_learns_bins(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        # Also confidences that stand exactly between two bins.
        confidence = np.concatenate([rng.random(400) ** 0.5, np.arange(NUM_BINS + 1) / NUM_BINS])
        right = rng.random(len(confidence)) < confidence**2
        share, mean = calibration_curve(right, confidence, n_bins=NUM_BINS)
        # Its own bins close to the right: how many images each of those that are not empty has.
        edges = np.linspace(0, 1, NUM_BINS + 1)
        counts = np.array([((confidence > low) & (confidence <= high)).sum() for low, high in pairwise(edges)])
        counts[0] += (confidence == 0).sum()
        found = calibration(confidence, right)
        assert [one.num_images for one in found.bins] == counts[counts > 0].tolist()
        np.testing.assert_allclose([one.confidence for one in found.bins], mean)
        np.testing.assert_allclose([one.right.estimate for one in found.bins], share)
        assert found.error == pytest.approx(np.average(np.abs(share - mean), weights=counts[counts > 0]))

    def test_of_perfectly_calibrated_models_about_one_in_twenty_is_beyond_chance(self) -> None:
        """60 of them: 3 expected; more than 8 in 1 of 200 cases."""
        rng = np.random.default_rng(1)
        confidence = rng.random((60, 200)) ** 0.3
        beyond = 0
        for confidence_N in confidence:
            found = calibration(confidence_N, rng.random(200) < confidence_N)
            beyond += found.error > found.error_by_chance
        assert beyond <= 8

    def test_a_model_that_is_too_sure_is_beyond_chance(self) -> None:
        found = calibration(np.full(200, 0.9), np.arange(200) % 10 < 7)
        assert found.error == pytest.approx(0.2)
        assert 0.02 < found.error_by_chance < 0.08


class TestCells:
    def test_they_count_as_scikit_learn_does_and_hold_each_image_once(self, case: ReportCase) -> None:
        cells = find_cells(read_run().results)
        counts = np.zeros((3, 3), int)
        for cell in cells:
            counts[cell.actual, cell.predicted] = len(cell.rows_N)
        np.testing.assert_array_equal(counts, confusion_matrix(ACTUAL, PREDICTED))
        assert sorted(row for cell in cells for row in cell.rows_N) == list(range(NUM_IMAGES))
        assert all(ACTUAL[row] == cell.actual and PREDICTED[row] == cell.predicted for cell in cells for row in cell.rows_N)

    def test_mistakes_come_surest_first_and_right_ones_least_sure_first(self, case: ReportCase) -> None:
        results = read_run().results
        for cell in find_cells(results):
            of_cell = CONFIDENCE[cell.rows_N]
            assert (np.diff(of_cell if cell.is_right else -of_cell) >= 0).all()
        wrong = [row for row in range(NUM_IMAGES) if ACTUAL[row] != PREDICTED[row]]
        assert surest_mistakes(results).tolist() == sorted(wrong, key=lambda row: -CONFIDENCE[row])

    def test_every_cell_gets_its_first_image_before_any_gets_its_second(self, case: ReportCase) -> None:
        cells = find_cells(read_run().results)
        order = fair_order(cells)
        assert sorted(order[: len(cells)]) == sorted(int(cell.rows_N[0]) for cell in cells)
        assert all(PREDICTED[row] != ACTUAL[row] for row in order[:2])
        assert len(order) == sum(min(len(cell.rows_N), MAX_PER_CELL) for cell in cells)

    def test_of_many_classes_the_commonest_confusions_are_listed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """50 classes; class k has k images that are taken for the next one."""
        pairs = [(label, (label + 1) % 50) for label in range(50) for _ in range(label)] + [
            (label, label) for label in range(50)
        ]
        actual, predicted = (list(column) for column in zip(*pairs, strict=True))
        case = ReportCase(tmp_path, [f"class {label}" for label in range(50)], actual=actual, predicted=predicted)
        monkeypatch.chdir(case.root)
        rows = page().tables["Commonest confusions"][1:]
        assert rows[0][:3] == ["class 49", "class 0", "49"]
        assert [int(row[2]) for row in rows] == list(range(49, 0, -1))
        assert len(rows) < MAX_CONFUSIONS


class TestThumbnails:
    def test_small_ones_keep_every_pixel(self) -> None:
        rng = np.random.default_rng(0)
        colour, grey = (rng.integers(0, 256, (channels, 6, 9), dtype=np.uint8) for channels in (3, 1))
        shown = np.asarray(Image.open(io.BytesIO(thumbnails.thumbnail(colour))))
        np.testing.assert_array_equal(shown.transpose(2, 0, 1), colour)
        shown = np.asarray(Image.open(io.BytesIO(thumbnails.thumbnail(grey))))
        np.testing.assert_array_equal(shown, grey[0])

    def test_large_ones_are_reduced(self) -> None:
        ramp = np.broadcast_to(np.linspace(0, 255, 300, dtype=np.uint8), (3, 1000, 300))
        encoded = thumbnails.thumbnail(ramp)
        assert thumbnails.data_address(encoded).startswith("data:image/jpeg;base64,")
        shown = np.asarray(Image.open(io.BytesIO(encoded)).convert("L")).astype(int)
        assert shown.shape == (64, 19)
        assert np.abs(shown[30] - np.linspace(0, 255, 19)).max() < 16

    def test_a_thousand_times_as_wide_as_high(self) -> None:
        assert Image.open(io.BytesIO(thumbnails.thumbnail(np.zeros((1, 1, 1000), np.uint8)))).size == (64, 1)

    def test_they_stop_where_the_budget_does(self, monkeypatch: pytest.MonkeyPatch) -> None:
        images = np.random.default_rng(0).integers(0, 256, (20, 1, 8, 8), dtype=np.uint8)
        sizes = [len(thumbnails.thumbnail(image)) for image in images]
        order = [3, 3, 7, 1, 0, 7, 2]
        monkeypatch.setattr(thumbnails, "MAX_BYTES", sizes[3] + sizes[7] + sizes[1])
        assert list(thumbnails.thumbnails(images, order)) == [3, 7, 1]
        monkeypatch.setattr(thumbnails, "MAX_IMAGES", 2)
        assert list(thumbnails.thumbnails(images, order)) == [3, 7]


class TestDrawing:
    @pytest.mark.parametrize(
        ("low", "high", "whole", "expected"),
        [
            (0, 1, False, [0, 0.2, 0.4, 0.6, 0.8, 1]),
            (0.93, 0.951, False, [0.93, 0.935, 0.94, 0.945, 0.95]),
            (1, 4, True, [1, 2, 3, 4]),
            (1, 2, True, [1, 2]),
            (1, 100, True, [20, 40, 60, 80, 100]),
            (7, 7, True, [7]),
        ],
    )
    def test_round_numbers_at_the_ticks(self, low: float, high: float, whole: bool, expected: list[float]) -> None:
        assert ticks(low, high, whole) == pytest.approx(expected)

    @given(st.floats(-1e6, 1e6), st.floats(1e-6, 1e6))
    def test_ticks_lie_within_and_are_few(self, low: float, width: float) -> None:
        found = ticks(low, low + width)
        assert 1 <= len(found) <= MAX_TICKS
        slack = 1e-6 * (abs(low) + width)
        assert all(low - slack <= tick <= low + width + slack for tick in found)

    def test_a_curve_stands_where_its_figures_are(self) -> None:
        losses = [2.0, 0.5, 1.0, 0.25]
        history = pd.DataFrame({"epoch": [1, 2, 3, 5], "train_loss": losses, "val_loss": [3.0, 2, 1, 1]})
        picture = ElementTree.fromstring(learning_curve(history, 3, "loss", "nats"))
        dots = [(float(dot.get("cx", "")), float(dot.get("cy", ""))) for dot in picture.iter("circle")]
        assert len(dots) == 8
        x, y = np.array(dots).T
        assert np.corrcoef(x, [1, 2, 3, 5] * 2)[0, 1] == pytest.approx(1, abs=1e-6)
        assert np.corrcoef(y, [*losses, 3, 2, 1, 1])[0, 1] == pytest.approx(-1, abs=1e-6)
        (kept,) = [path.get("d", "") for path in picture.iter("path") if path.get("class") == "kept"]
        assert float(re.findall(r"[\d.]+", kept)[0]) == pytest.approx(x[2])
        assert picture.get("aria-label") == "Loss by epoch, from epoch 1 to 5: training 2 to 0.25; validation 3 to 1"

    def test_one_epoch_without_validation(self) -> None:
        """The dot is in the middle; the grid and its figures begin at the left all the same, and no loss is below 0."""
        history = pd.DataFrame({"epoch": [1], "train_loss": [0.0]})
        picture = ElementTree.fromstring(learning_curve(history, None, "loss", "nats"))
        (dot,) = picture.iter("circle")
        starts = {
            kind: [float(path.get("d", "")[1:].split()[0]) for path in picture.iter("path") if path.get("class") == kind]
            for kind in ("axis", "grid")
        }
        figures = [element for element in picture.iter("text") if element.get("text-anchor") == "end"]
        assert set(starts["grid"]) == set(starts["axis"]) and len(starts["grid"]) > 2
        assert all(float(element.get("x", "")) < starts["axis"][0] < float(dot.get("cx", "")) for element in figures)
        assert min(float(element.text or "") for element in figures) == 0
        assert picture.get("aria-label") == "Loss of epoch 1: training 0"

    def test_the_pipeline_as_it_is(self) -> None:
        picture = ElementTree.fromstring(pipeline_picture(read_lock(SOURCE / "dvc.lock")))
        words = [element.text for element in picture.iter("text")]
        assert [word for word in words if word in ("download", "convert", "build", "train", "evaluate", "plot")] == [
            "download",
            "convert",
            "build",
            "train",
            "evaluate",
            "plot",
        ]
        told = picture.get("aria-label", "")
        assert "evaluate reads data/dataset/test of build" in told
        assert "evaluate reads models/model.json, models/model.safetensors of train" in told
        assert "train reads data/dataset/test" not in told
        assert "train reads models/pretrained.safetensors of weights" in told, "also where dvc.lock has weights last"
        assert words.index("weights") < words.index("train")
        assert len([path for path in picture.iter("path") if path.get("class") == "arrow"]) == told.count(" reads ")


class TestPage:
    def test_figures_by_class_are_scikit_learns(self, case: ReportCase) -> None:
        rows = page().tables["By class"]
        assert rows[0] == [
            "class",
            "test images",
            "recall",
            "95 % interval",
            "precision",
            "95 % interval",
            "F1",
            "train images",
        ]
        recall = recall_score(ACTUAL, PREDICTED, average=None)
        precision = precision_score(ACTUAL, PREDICTED, average=None)
        assert [float(row[2]) for row in rows[1:]] == pytest.approx(recall, abs=1e-4)
        assert [float(row[4]) for row in rows[1:]] == pytest.approx(precision, abs=1e-4)
        low, high = proportion_confint(95, 100, method="wilson")
        assert rows[1] == ["cat", "100", "0.9500", f"{low:.4f} to {high:.4f}", "1.0000", rows[1][5], "0.9744", "20"]

    def test_of_many_classes_those_of_the_lowest_f1_come_first_and_all_are_folded(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        names = [f"class {number}" for number in range(80)]
        actual = [number % 80 for number in range(320)]
        case = ReportCase(tmp_path / "many", names, actual=actual, predicted=actual)
        monkeypatch.chdir(case.root)
        assert "No test image is classified wrong." in text()
        predicted = [12 if label == 70 else label for label in actual]
        case.results(actual, predicted, classes=names, test_hash=case.test_hash)
        tables = page().tables
        assert [row[0] for row in tables["Classes of the lowest F1"][1:]] == [
            "class 70",
            "class 12",
            *names[:12],
            *names[13:59],
        ]
        assert [row[0] for row in tables["By class"][1:]] == names
        assert "All 80 classes" in text()

    @pytest.mark.parametrize(
        ("dataset", "source", "title"),
        [
            ("folder", "/data/flowers/", "flowers"),
            ("csv", "tables <b>", "tables <b>"),
            ("folder", "/", "folder"),
            ("mnist", "catalogue.yaml", "mnist"),
        ],
    )
    def test_a_data_set_of_ones_own_has_the_name_of_its_folder(
        self, case: ReportCase, dataset: str, source: str, title: str
    ) -> None:
        case.results(ACTUAL, PREDICTED, test_hash=case.test_hash, dataset=dataset, source=source)
        run = read_run()
        assert run.title == title
        assert f"<h1><bdi>{title.replace('<', '&lt;').replace('>', '&gt;')}</bdi></h1>" in as_page(run)

    def test_a_single_epoch_has_no_mark_of_the_kept_one(self, case: ReportCase) -> None:
        """It would stand in the middle of the chart like an axis."""
        both = "kept: epoch 2", 'class="kept"'
        text = as_page(read_run())
        assert all(words in text for words in both)
        case.add("train", "plots/history.csv", "epoch,train_loss,train_accuracy\n2,2.0,0.5\n")
        text = as_page(read_run())
        assert not any(words in text for words in both)

    def test_it_tells_of_every_part(self, case: ReportCase) -> None:
        found = page()
        by_metric = {row[0]: row[1:] for row in found.tables["Metrics"]}
        low, high = proportion_confint(290, 300, method="wilson")
        assert by_metric["test accuracy"] == ["0.9667", f"{low:.4f} to {high:.4f}", "Wilson"]
        assert by_metric["best_epoch"] == ["2", "–", ""]
        assert ["lr", "0.001", "train"] in found.tables["Params"]
        assert ["momentum", "null", "train"] in found.tables["Params"]
        assert ["torch", "9.8.7"] in found.tables["Model, versions and device"]
        assert ["train", "60", "0", "2", "0"] in found.tables["Images by split"]
        assert ["test in train", "7"] in found.tables["Copies across splits"]
        digest = hashlib.md5((case.root / "models/model.json").read_bytes()).hexdigest()
        assert ["train", "models/model.json", digest] in found.tables["What the stages made"]
        words = text()
        assert "290 of 300 test images of 3 classes are classified right." in words
        assert "7 of 300 test images are also in train, pixel for pixel" in words
        assert "pictures that could not be read and were left out: 1" in words
        assert "Always guessing the largest class is right for 33.3 % of them." in words.replace("\u00a0", " ")
        assert not [one for one in ("Left out.", "Stale.", "No better than guessing.", "balanced accuracy") if one in words]
        assert f"Commit {case.git('rev-parse', 'HEAD')}, without uncommitted changes." in words
        assert hashlib.sha256((case.root / "dvc.lock").read_bytes()).hexdigest() in words

    def test_a_model_that_is_no_better_than_guessing_the_largest_class(self, case: ReportCase) -> None:
        """88 of 100 images are cats, 90 answers are right: 0.826 is where Wilson's interval begins."""
        actual = [0] * 88 + [1] * 12
        predicted = [0] * 80 + [1] * 18 + [0] * 2
        case.results(actual, predicted, test_hash=case.test_hash)
        words = text().replace("\u00a0", " ")
        assert "Always guessing the largest class is right for 88.0 % of them." in words
        assert "No better than guessing. The model is not significantly better than always guessing the largest class" in words
        assert "the accuracy is 90.0%, its 95 % interval 82.6% to 94.5%." in words
        assert "balanced accuracy (mean recall)87.12 %always guessing: 50.0 %" in words  # (80 / 88 + 10 / 12) / 2

    def test_a_scale_of_tables_other_than_that_of_bytes(self, case: ReportCase) -> None:
        remark = "the pixels of the tables lie within 0 to 16; they were scaled to 0 to 255"
        assert "the pixels of the tables" not in text()
        case.add("download", "metrics/data.json", json.dumps(data_metrics(DATA_REPORT | {"pixel_max": 16})))
        assert remark in text()

    def test_the_pictures_are_those_of_the_rows_that_they_name(self, case: ReportCase) -> None:
        shown = re.findall(r'alt="Test image (\d+): (\w+)" src="data:image/png;base64,([^"]+)"', as_page(read_run()))
        assert len(shown) == 10 + 10 + 3 * MAX_PER_CELL
        for row, name, encoded in shown:
            pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded))))
            np.testing.assert_array_equal(pixels, case.images_NCHW[int(row), 0])
            assert name == ["cat", "dog", "emu"][ACTUAL[int(row)]]

    def test_the_same_bytes_every_time_also_with_a_report_beside(self, case: ReportCase) -> None:
        main(["--output", "first.html"])
        main(["--output", "second.html"])
        assert Path("first.html").read_bytes() == Path("second.html").read_bytes()

    def test_nothing_in_it_loads_or_runs_anything(self, case: ReportCase) -> None:
        """Names that are markup, in three scripts; one overrides the direction of what follows it."""
        names = ["<script>alert(1)</script>", '"><img src=x onerror="alert(1)">', "\u202e</style>שלום & ' "]
        hostile = ReportCase(case.root.parent / "hostile", names)
        hostile.results(ACTUAL, PREDICTED, classes=names, test_hash=hostile.test_hash, momentum="<script>x</script>")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(hostile.root)
            content = as_page(read_run())
        found = Page(content)
        assert not {"script", "link", "iframe", "object", "base", "form", "i"} & set(found.tags)
        assert [row[0] for row in found.tables["By class"][1:]] == names
        assert not [name for name, _ in found.attributes if name.startswith("on") or name in ("style", "action")]
        sources = [value for name, value in found.attributes if name == "src"]
        assert sources and all(value.startswith("data:image/png;base64,") for value in sources)
        assert all(value.startswith("#") for name, value in found.attributes if name == "href")
        assert content.isascii() is False and "\u202e</bdi>" not in content

    def test_the_policy_names_the_style_sheet_and_allows_nothing_else(self, case: ReportCase) -> None:
        content = as_page(read_run())
        (style,) = re.findall(r"<style>(.*?)</style>", content, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        allowed = f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        assert f'<meta http-equiv="Content-Security-Policy" content="{allowed}">' in content
        assert content.index("Content-Security-Policy") < content.index("<style>")

    def test_every_button_opens_something_that_is_there(self, case: ReportCase) -> None:
        found = page()
        ids = [value for name, value in found.attributes if name == "id"]
        assert len(ids) == len(set(ids))
        assert {value for name, value in found.attributes if name == "popovertarget"} <= set(ids)
        assert {value[1:] for name, value in found.attributes if name == "href"} <= set(ids)


class TestMissing:
    def test_a_fresh_clone_has_no_pictures_and_says_so(self, case: ReportCase, capsys: pytest.CaptureFixture[str]) -> None:
        case.forget_images()
        (case.root / "models/model.json").unlink()
        main([])
        reasons = [
            "the pictures of the images need data/dataset/test, which is not here; `dvc pull` or `dvc repro` brings it",
            "versions and device need models/model.json, which is not here; `dvc pull` or `dvc repro` brings it",
        ]
        assert capsys.readouterr().err.splitlines() == reasons
        words = text()
        assert all(f"Left out. {reason[0].upper()}{reason[1:]}." in words for reason in reasons)
        found = page()
        assert "img" not in found.tags and "dialog" in found.tags
        assert "image 100" in words  # whose number is still told

    def test_other_images_and_another_model_than_dvc_lock_records(self, case: ReportCase) -> None:
        case.write("models/model.json", json.dumps(MODEL | {"network": "cnn"}))
        (case.root / "data/dataset/test/labels.npy").write_bytes(b"damaged")
        missing = read_run().missing
        assert [reason.partition("; here is another version of it")[1] != "" for reason in missing] == [True, True]

    def test_without_a_data_report(self, case: ReportCase) -> None:
        (case.root / "metrics/data.json").unlink()
        (case.root / "plots/data.csv").unlink()
        assert "figures of the data need metrics/data.json, which is not here; `dvc repro` makes it" in read_run().missing[0]
        found = page()
        assert "Images by split" not in found.tables
        assert found.tables["By class"][0][-1] == "F1"

    def test_a_dvc_lock_that_does_not_know_of_it(self, case: ReportCase) -> None:
        case.results(ACTUAL, PREDICTED, test_hash=case.test_hash)
        assert "figures of the data need metrics/data.json, which is not in dvc.lock" in read_run().missing[0]

    def test_without_git_and_before_the_first_commit(
        self, case: ReportCase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
        case.root.joinpath(".git").rename(tmp_path / "away")
        assert "No commit is known: git: not a git repository" in text()
        case.git("init", "--quiet")
        assert "No commit is known: HEAD: git knows no such revision" in text()

    def test_stale_results_and_uncommitted_changes_are_told(self, case: ReportCase, capsys: pytest.CaptureFixture[str]) -> None:
        case.write("stages/train.py", "edited")
        main([])
        stale = "dvc.lock of this folder is stale: stage train ran with another stages/train.py"
        assert capsys.readouterr().err == f"{stale}\n"
        words = text()
        assert f"Stale. {stale}." in words
        assert "with uncommitted changes in stages/train.py." in words


class TestRefused:
    def test_results_that_do_not_belong_together(self, case: ReportCase) -> None:
        case.write("plots/history.csv", "epoch,train_loss,train_accuracy\n1,3,0.1\n")
        with pytest.raises(ValueError, match=r"^workspace:plots/history\.csv: is not the file that dvc\.lock records"):
            read_run()

    @pytest.mark.parametrize("path", ["metrics/data.json", "plots/data.csv"])
    def test_a_data_report_of_another_run(self, case: ReportCase, path: str) -> None:
        case.write(path, "{}")
        with pytest.raises(ValueError, match=f"^{path}: is not the file that dvc.lock records; run `dvc repro`"):
            read_run()

    def test_no_results(self, case: ReportCase) -> None:
        (case.root / "metrics/test.json").unlink()
        with pytest.raises(ValueError, match=r"^workspace: has no metrics/test\.json; run `dvc repro` there"):
            read_run()

    def test_a_confidence_that_is_none(self, case: ReportCase) -> None:
        case.set_confidence(np.where(np.arange(NUM_IMAGES) == 7, 1.5, 0.5))
        with pytest.raises(ValueError, match=r"^plots/predictions\.csv: confidence must be 0 to 1, got 1\.5; run `dvc repro`"):
            read_run()

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"images": {"nowhere": 1}}, r"images\.nowhere\.\[key\]: Input should be 'train', 'val' or 'test'"),
            ({"imbalance": -1}, "imbalance: Input should be greater than or equal to 1"),
            ({"constant": {}}, "each count needs the splits train, test, got"),
            ({"leaked": {"moon_in_train": 1}}, "leaked needs pairs of the splits train, test, got moon_in_train"),
        ],
    )
    def test_a_data_report_of_another_shape(self, case: ReportCase, change: dict[str, Any], reason: str) -> None:
        case.add("download", "metrics/data.json", json.dumps(DATA_REPORT | change))
        with pytest.raises(ValueError, match=rf"^metrics/data\.json: .*{reason}"):
            read_run()

    def test_counts_of_other_classes(self, case: ReportCase) -> None:
        case.add("download", "plots/data.csv", "class,train\ncat,1\ndog,1\n")
        with pytest.raises(ValueError, match=r"^plots/data\.csv: needs the classes of plots/classes\.csv in their order"):
            read_run()

    def test_a_folder_in_place_of_a_file(self, case: ReportCase) -> None:
        with pytest.raises(ValueError, match=r"^data: needs the name of a file, and this is a folder; name a file in it$"):
            main(["--output", "data"])


def test_from_the_command_line(case: ReportCase) -> None:
    """In a process of its own: what it prints, and one line with status 1 when something is wrong."""

    def called(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [warm.python(), "-m", "tools.report", *arguments]
        environment = {"PYTHONPATH": str(SOURCE), "PATH": "/usr/bin:/bin", "LC_ALL": "C"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    done = called()
    assert (done.returncode, done.stderr) == (0, "")
    size = Path("report.html").stat().st_size / 2**20
    assert done.stdout == f"report.html: {size:.2f} MiB; open it in a browser\n"
    case.write("metrics/test.json", "{")
    refused = called("--output", "other.html")
    assert refused.returncode == 1 and refused.stdout == ""
    assert re.fullmatch(r"error: workspace:metrics/test\.json: .*\n", refused.stderr)
    assert sorted(path.name for path in case.root.glob("*.html*")) == ["report.html"]
