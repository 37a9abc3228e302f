"""The report of known pairs: verdicts, sentences, Markdown as a real parser reads it, JSON, the exit status, the page."""

import dataclasses
import hashlib
import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from markdown_it import MarkdownIt
from matplotlib.figure import Figure
from PIL import Image

from classifier.common.errors import UserError
from classifier.figures.style import isolated, save_png, styled
from classifier.images.arrays import write_split
from record.content import md5
from record.revisions import find_revision
from tests.support.browser import chromium
from tests.support.review_case import Case
from tools.review.__main__ import main
from tools.review.markdown import as_page
from tools.review.pictures import confusion_change, flip_gallery, overlaid_curves
from tools.review.review import Review, review
from tools.review.wording import other_metric_cells

NUM_IMAGES = 300
ACTUAL = [number % 3 for number in range(NUM_IMAGES)]
BASE = [2 if number % 20 == 0 else label for number, label in enumerate(ACTUAL)]
"""Wrong in 10 images that are no emu."""


def predictions(num_worse: int) -> list[int]:
    """BASE, with `num_worse` further dogs taken for cats."""
    dogs = [number for number, label in enumerate(ACTUAL) if label == 1 and BASE[number] == 1]
    return [0 if number in dogs[:num_worse] else label for number, label in enumerate(BASE)]


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    case = Case(tmp_path / "project")
    monkeypatch.chdir(case.root)
    case.results(ACTUAL, BASE)
    case.commit()
    return case


def compared(base: str = "HEAD", head: str = "workspace") -> Review:
    return review(find_revision(base), find_revision(head))


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0) -> str:
    assert main(list(arguments)) == status
    return capsys.readouterr().out


def rows_of(markdown: str, heading: str) -> list[list[str]]:
    """Cells of the table whose first head is `heading`, as a parser of Markdown sees them."""
    tables: list[list[list[str]]] = []
    for token in MarkdownIt("commonmark").enable("table").parse(markdown):
        if token.type == "table_open":
            tables.append([])
        elif token.type == "tr_open":
            tables[-1].append([])
        elif token.type == "inline" and tables and token.level > 2:
            tables[-1][-1].append("".join(child.content for child in token.children or []))
    return next(table[1:] for table in tables if table[0][0] == heading)


class TestVerdicts:
    def test_worse(self, case: Case, capsys: pytest.CaptureFixture[str]) -> None:
        """20 images lost of 300; 290 of 300 right before. By hand: 20/300 = 0.0667."""
        case.results(ACTUAL, predictions(20), [0.5 + 0.01 * (number % 7) for number in range(NUM_IMAGES)], lr=0.5)
        text = printed(capsys)
        assert "\n**Worse**: test accuracy 0.9667 → 0.9000, −0.0667 (95 % interval −0.0" in text
        assert 'Test loss: worse. Macro-F1: worse. Class worse: "dog".' in text
        accuracy, loss, macro_f1 = rows_of(text, "metric")[:3]
        assert accuracy[:4] == ["test accuracy", "0.9667", "0.9000", "−0.0667"]
        assert [row[-1] for row in (accuracy, loss, macro_f1)] == ["worse"] * 3
        by_class = rows_of(text, "class")
        assert [row[-1] for row in by_class] == ["no evidence of a difference", "worse", "no evidence of a difference"]
        assert by_class[1][1:7] == ["100", "0.9500", "0.7500", "−0.2000", "0", "20"]
        assert rows_of(text, "what changed") == [["param lr", "0.001", "0.5", "train"]]
        assert "Stages affected: directly train" in text
        assert '**20 images right before and wrong after** ("dog" predicted as "cat": 20)' in text

    def test_better(self, case: Case, capsys: pytest.CaptureFixture[str]) -> None:
        case.results(ACTUAL, ACTUAL, np.linspace(0.1, 0.3, NUM_IMAGES))
        text = printed(capsys)
        assert "**Better**: test accuracy 0.9667 → 1.0000, +0.0333" in text
        assert "Test loss: better." in text

    def test_no_evidence(self, case: Case, capsys: pytest.CaptureFixture[str]) -> None:
        case.results(ACTUAL, predictions(3))
        assert "**No evidence of a difference** in test accuracy: 0.9667 → 0.9567, −0.0100 (95 %" in printed(capsys)

    def test_identical(self, case: Case, capsys: pytest.CaptureFixture[str]) -> None:
        text = printed(capsys)
        assert "**No difference**: both give each of the 300 test images the same class and loss." in text
        assert "By class" not in text and "Changed images" not in text
        assert "**What changed:** nothing that a stage reads. No stage is affected: both have the same dvc.lock." in text

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            ({"test_hash": "f" * 32 + ".dir"}, "the test images differ (their hash is 0123456 before and fffffff after)"),
            ({"classes": ["cat", "dog", "owl"]}, "the classes have other names or another order"),
            ({"actual": ACTUAL[:90], "predicted": BASE[:90]}, "there are 300 test images before and 90 after"),
            ({"actual": [*ACTUAL[:-1], 0]}, "1 test images have another actual class after than before"),
        ],
    )
    def test_another_test_set_is_not_compared(
        self, case: Case, capsys: pytest.CaptureFixture[str], change: dict[str, Any], reason: str
    ) -> None:
        case.results(**{"actual": ACTUAL, "predicted": BASE, **change})
        text = printed(capsys)
        assert f"**Not comparable**: {reason}." in text
        assert [row[3:] for row in rows_of(text, "metric")[:3]] == [["–", "–", "not comparable"]] * 3
        assert "By class" not in text
        document = json.loads(printed(capsys, "--json", "--fail-on", "worse"))
        assert document["not_comparable_because"] == reason
        assert [metric["difference"] for metric in document["metrics"]] == [None] * 3

    def test_a_side_that_is_no_better_than_guessing_the_largest_class(
        self, case: Case, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """88 of 100 images are cats. Wilson's interval of 96 of 100 begins at 0.902, that of 90 of 100 at 0.826."""
        actual = [0] * 88 + [1] * 12
        case.results(actual, [0] * 88 + [1] * 8 + [0] * 4)
        case.commit()
        case.results(actual, [0] * 80 + [1] * 18 + [0] * 2)
        remark = "workspace is not significantly better than always guessing the largest class, which is right for 88.0%"
        found = re.findall("No better than guessing.*", printed(capsys))
        assert len(found) == 1 and f"No better than guessing.** {remark}" in found[0].replace("\\", "")
        page = as_page(compared(), {}, None)
        assert f"<strong>No better than guessing.</strong> {remark}" in page

    def test_stale_results_are_told(self, case: Case, capsys: pytest.CaptureFixture[str]) -> None:
        case.write("stages/train.py", "edited")
        text = printed(capsys)
        assert "> **Stale.** dvc.lock of workspace is stale: stage train ran with another stages/train.py." in text


RUNS: dict[str, Any] = {
    "setting": {"dataset": "digits"},
    "test_accuracy": [0.9, 0.92, 0.94],
    "test_loss": [0.1, 0.1001, 0.1],
    "test_macro_f1": [0.9, 0.9001, 0.9],
}


def record(**changed: Any) -> str:
    return json.dumps({"experiments": {"quick": {}, "default": RUNS | changed}})


@pytest.mark.parametrize(
    ("before", "after", "cells"),
    [
        (1, 3, ["1", "3", "+2"]),
        (3, 1, ["3", "1", "−2"]),
        (1, 1, ["1", "1", "0"]),
        (1.0, 3.0, ["1.0000", "3.0000", "+2.0000"]),
        (None, 1, ["–", "1", "–"]),
    ],
)
def test_numbers_of_epochs_have_no_decimals(before: float | None, after: float | None, cells: list[str]) -> None:
    assert other_metric_cells(before, after) == cells


class TestSeeds:
    def test_a_difference_that_another_seed_alone_makes(self, case: Case, capsys: pytest.CaptureFixture[str]) -> None:
        """t(0.975; 2) = 4.302653, times √2, times the standard deviation 0.02: 0.1217."""
        case.results(ACTUAL, predictions(20), np.linspace(0.4, 1.4, NUM_IMAGES))
        case.write("benchmarks/seeds.json", record())
        assert "No larger than those between seeds alone (3 seeds of the default setting): test accuracy ±0.1217." in printed(
            capsys
        )
        document = json.loads(printed(capsys, "--json"))
        assert [metric["within_seed_spread"] for metric in document["metrics"]] == [True, False, False]

    def test_several_stages_may_read_the_name_of_the_data_set(self, case: Case, capsys: pytest.CaptureFixture[str]) -> None:
        case.results(ACTUAL, predictions(20))
        case.write("benchmarks/seeds.json", record())
        lock = yaml.safe_load((case.root / "dvc.lock").read_text(encoding="utf-8"))
        lock["stages"]["convert"] = {"cmd": "true", "params": {"params.yaml": {"dataset": "digits"}}}
        case.write("dvc.lock", yaml.safe_dump(lock))
        assert "No larger than those between seeds alone" in printed(capsys)
        lock["stages"]["convert"]["params"]["params.yaml"]["dataset"] = "mnist"
        case.write("dvc.lock", yaml.safe_dump(lock))
        assert "seed" not in printed(capsys).partition("<details>")[0]

    def test_that_of_another_data_set_is_left_out(self, case: Case, capsys: pytest.CaptureFixture[str]) -> None:
        case.results(ACTUAL, predictions(20))
        assert "seed" not in printed(capsys).partition("<details>")[0]
        case.write("benchmarks/seeds.json", record(setting={"dataset": "mnist"}))
        assert "seed" not in printed(capsys).partition("<details>")[0]

    def test_a_damaged_one_is_refused(self, case: Case) -> None:
        case.write("benchmarks/seeds.json", record(test_loss=[1]))
        with pytest.raises(
            ValueError,
            match=r"^workspace:benchmarks/seeds\.json: experiments\.default\.test_loss: List should have at least 2 items",
        ):
            main([])


class TestExitStatus:
    @pytest.mark.parametrize(
        ("num_worse", "options", "status"),
        [
            (20, ["--tolerance", "0"], 3),
            (20, [], 3),
            (20, ["--tolerance", "0.06"], 3),
            (20, ["--tolerance", "0.07"], 0),
            (3, [], 0),
            (20, ["--metric", "test_macro_f1", "--tolerance", "0.01"], 3),
            (20, ["--metric", "test_loss"], 0),
        ],
    )
    def test_it_is_3_for_a_significant_regression_above_the_tolerance(
        self, case: Case, capsys: pytest.CaptureFixture[str], num_worse: int, options: list[str], status: int
    ) -> None:
        case.results(ACTUAL, predictions(num_worse))
        assert main(["--fail-on", "worse", *options]) == status
        said = capsys.readouterr()
        assert said.out.startswith("<!-- tools.review -->\n")
        assert bool(said.err) == (status == 3)

    def test_a_higher_loss_is_worse_and_an_improvement_passes(self, case: Case, capsys: pytest.CaptureFixture[str]) -> None:
        case.results(ACTUAL, ACTUAL, np.linspace(0.7, 0.9, NUM_IMAGES))
        assert main(["--fail-on", "worse"]) == 0
        assert main(["--fail-on", "worse", "--metric", "test_loss", "--tolerance", "0.2"]) == 3
        assert "test_loss is worse by 0.3000, more than the tolerance of 0.2" in capsys.readouterr().err


def test_names_that_are_markup_stay_text(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """A pull request may come from anyone: nothing in its tables may forge the comment, or call a person."""
    names = ["a|b", "<b onclick=x>", "**x** [l](u) `c` @me _e_ $x$"]
    case.results(ACTUAL, BASE, classes=names)
    case.commit()
    case.results(ACTUAL, predictions(20), classes=names, momentum="`|<i>")
    text = printed(capsys, "--html", "page.html")
    rows = rows_of(text, "class")
    assert [row[0] for row in rows] == [names[0], names[1], names[2].replace("@", "@\u2060")]
    assert {len(row) for row in rows} == {9}
    assert rows_of(text, "what changed") == [["param momentum", "null", "'|<i>", "train"]]
    html = MarkdownIt("commonmark").enable("table").render(text)
    assert "<b " not in html and "<i>" not in html and "<em>" not in html and "@me" not in html
    page = (case.root / "page.html").read_text(encoding="utf-8")
    assert "<b " not in page and "<i>" not in page


def test_the_page_has_a_background_and_its_verdicts_come_first(case: Case) -> None:
    """So that a phone shows the verdict, and the dark scheme does not depend on the browser's own colours."""
    case.results(ACTUAL, predictions(20))
    main(["--html", "page.html"])
    page = (case.root / "page.html").read_text(encoding="utf-8")
    assert "background: var(--page)" in page.partition("</style>")[0]
    rows = re.findall(r"<tr><th[^>]*><bdi>(.*?)</bdi></th><td class=\"verdict (\w*)\s*\">", page)
    assert rows[0] == ("test accuracy", "worse") and ("dog", "worse") in rows
    assert "&#34;dog&#34; predicted as &#34;cat&#34;: 20" in page


def test_what_a_terminal_would_obey_is_written_out(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """Colours and turned writing."""
    case.results(ACTUAL, predictions(20), momentum="\x1b[31mred \u202e")
    assert rows_of(printed(capsys, "--html", "page.html"), "what changed")[0][2] == r"\x1b[31mred \u202e"
    assert r"<bdi>\x1b[31mred \u202e</bdi>" in (case.root / "page.html").read_text(encoding="utf-8")


def test_a_page_in_place_of_a_folder_is_refused(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in (case.root / "plots", Path("/")):
        with pytest.raises(
            UserError, match=f"^--html {folder}: needs the name of a file, and this is a folder; name a file in it$"
        ):
            main(["--html", str(folder)])
    assert capsys.readouterr().out == ""


def test_json_holds_every_figure(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    case.results(ACTUAL, predictions(20), lr=0.5)
    document = json.loads(printed(capsys, "--json"))
    lost = [number for number in range(NUM_IMAGES) if predictions(20)[number] != BASE[number]]
    assert document["flips"] == {"lost": lost, "gained": []}
    assert document["metrics"][0]["p_value"] == pytest.approx(2 * 0.5**20 - 0.5**20)
    assert document["base"]["commit"] == case.git("rev-parse", "HEAD")
    assert document["head"] == {"name": "workspace", "commit": None, "test_hash": document["base"]["test_hash"]}
    assert document["other_metrics"]["best_epoch"] == {"before": 2, "after": 2}
    assert document["touched_stages"]["directly"] == ["train"]


@pytest.fixture
def with_images(case: Case) -> Case:
    """The test images of the case in its workspace, with their hash in dvc.lock on both sides."""
    images = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, 1, 5, 4), dtype=np.uint8)
    write_split(case.root / "data/dataset/test", NUM_IMAGES, (1, 5, 4), [(images, np.array(ACTUAL))])
    case.write(".gitignore", "/data/\n")
    test_hash = md5(case.root / "data/dataset/test")
    case.results(ACTUAL, BASE, test_hash=test_hash)
    case.commit()
    case.results(ACTUAL, predictions(20), test_hash=test_hash)
    return case


class TestPictures:
    def test_the_gallery_shows_the_images_themselves(self, with_images: Case) -> None:
        both = compared()
        assert both.flips is not None
        images = np.load("data/dataset/test/images.npy")
        with styled():
            figure = flip_gallery(images, both.flips, both.before, both.after)
        shown = [axes for axes in figure.axes if axes.images]
        assert len(shown) == 20
        rows = [int(axes.get_title().partition(":")[0]) for axes in shown]
        assert rows == both.flips.lost.tolist()
        assert all(axes.get_title().split(": ")[1] == "dog\ndog →\ncat" for axes in shown)
        np.testing.assert_array_equal(shown[3].images[0].get_array(), images[rows[3], 0])
        before, after = (replace(side, classes=["cat", "كلب", "emu"]) for side in (both.before, both.after))
        with styled():
            figure = flip_gallery(images, both.flips, before, after)
        title = next(axes.get_title() for axes in figure.axes if axes.images)
        assert title == f"{rows[0]}: {isolated('كلب')}\n{isolated('كلب')} →\ncat"

    def test_the_confusion_matrix_less_the_one_before(self, case: Case) -> None:
        case.results(ACTUAL, predictions(20))
        both = compared()
        with styled():
            figure = confusion_change(both.before, both.after)
        np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), [[0, 0, 0], [-20, -20, 0], [0, 0, 0]])
        assert [text.get_text() for text in figure.axes[0].texts] == ["+20", "−20"]

    @pytest.mark.filterwarnings("error")
    def test_long_names_leave_the_matrix_its_room(self, case: Case, tmp_path: Path) -> None:
        names = ["a" * 100, "b" * 100, "c" * 25]
        case.results(ACTUAL, predictions(20), classes=names)
        results = compared("workspace").after
        with styled():
            figure = confusion_change(results, results)
            save_png(figure, tmp_path / "picture.png")
        labels = [[text.get_text() for text in axis.get_ticklabels()] for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis)]
        assert labels == [["a" * 24 + "…", "b" * 24 + "…", "c" * 25]] * 2
        matrix, whole = figure.axes[0].get_tightbbox(), figure.bbox
        assert matrix is not None and whole.x0 <= matrix.x0 and matrix.x1 <= whole.x1 and whole.y0 <= matrix.y0

    def test_ticks_of_a_single_epoch(self, case: Case) -> None:
        results = compared("workspace").after
        once = dataclasses.replace(results, history=results.history[:1])
        with styled():
            figure = overlaid_curves(once, once)
            figure.canvas.draw()
        low, high = figure.axes[0].get_xlim()
        assert [tick for tick in figure.axes[0].get_xticks() if low <= tick <= high] == [1]

    def test_both_curves(self, case: Case) -> None:
        case.write("plots/history.csv", "epoch,train_loss,train_accuracy,val_loss,val_accuracy\n1,3,0.1,4,0.2\n")
        text = (case.root / "dvc.lock").read_text(encoding="utf-8")
        old = case.git("show", "HEAD:plots/history.csv")
        case.write("dvc.lock", text.replace(_md5(f"{old}\n"), _md5((case.root / "plots/history.csv").read_text())))
        both = compared()
        with styled():
            loss, accuracy = overlaid_curves(both.before, both.after).axes
        assert [np.asarray(line.get_ydata()).tolist() for line in loss.lines] == [[2, 1], [3], [4]]
        assert [np.asarray(line.get_ydata()).tolist() for line in accuracy.lines] == [[0.5, 0.6], [0.1], [0.2]]
        legend = loss.get_legend()
        assert legend is not None
        labels = [text.get_text() for text in legend.get_texts()]
        assert labels == ["training, before", "training, after", "validation, after"]

    def test_files_that_the_markdown_shows_and_a_page_that_needs_none(
        self, with_images: Case, capsys: pytest.CaptureFixture[str]
    ) -> None:
        text = printed(capsys, "--pictures", "shown/here", "--html", "page.html")
        links = re.findall(r"!\[\]\((.*)\)", text)
        assert links == ["shown/here/curves.png", "shown/here/confusion.png", "shown/here/flips.png"]
        assert all(Image.open(link).width > 400 for link in links)
        elements = _Elements(Path("page.html").read_text(encoding="utf-8"))
        assert elements.tags.count("img") == 3
        assert all(source.startswith("data:image/png;base64,") for source in elements.sources)
        assert not {"script", "link", "iframe"} & set(elements.tags)

    def test_a_phone_shows_the_verdict_at_once_and_pictures_that_can_be_read(self, with_images: Case) -> None:
        main(["--html", "page.html"])
        said: list[str] = []
        with chromium() as browser:
            page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
            page.on("console", lambda message: said.append(message.text))
            page.goto(Path("page.html").absolute().as_uri())
            boxes = [page.locator(place).first.bounding_box() for place in (".headline", "td.verdict")]
            assert all(box and box["x"] + box["width"] <= 390 and box["y"] + box["height"] <= 844 for box in boxes)
            widths = page.locator("img").evaluate_all("images => images.map(image => [image.width, image.naturalWidth])")
            assert len(widths) == 3 and all(width >= min(800, natural) for width, natural in widths)
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert said == []

    @pytest.mark.parametrize("damage", ["absent", "other"])
    def test_without_the_right_images_it_says_so(
        self, with_images: Case, capsys: pytest.CaptureFixture[str], damage: str
    ) -> None:
        folder = with_images.root / "data/dataset/test"
        if damage == "absent":
            shutil.rmtree(folder)
        else:
            (folder / "labels.npy").write_bytes(b"damaged")
        assert main(["--pictures", "shown", "--html", "page.html"]) == 0
        words = {"absent": "which is not here; `dvc pull` or", "other": "as dvc.lock records it; here is another version"}[
            damage
        ]
        assert words in capsys.readouterr().err
        assert words in Path("page.html").read_text(encoding="utf-8")
        assert not Path("shown/flips.png").exists()


def test_of_many_classes_there_are_as_many_as_can_be_read(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    """With names of sixty letters that begin alike. Of the 150 classes, two lose all their four images."""
    names = [f"a_photograph_of_a_rather_small_bird_of_the_mountain_of_{number:05}" for number in range(150)]
    actual = [number % 150 for number in range(600)]
    case.results(actual, actual, classes=names)
    case.commit()
    case.results(actual, [label - 1 if label in (3, 140) else label for label in actual], classes=names)
    text = printed(capsys, "--html", "page.html")
    rows = rows_of(text, "class")
    assert [row[0] for row in rows] == [*names[:59], names[140]]
    assert [row[6] for row in (rows[3], rows[59])] == ["4", "4"]
    sentence = "These are the 60 of 150 classes that changed most; --json prints all."
    assert sentence in text and sentence in Path("page.html").read_text(encoding="utf-8")
    assert len(json.loads(printed(capsys, "--json"))["classes"]) == 150
    both = compared()
    assert both.flips is not None
    with styled():
        matrix = confusion_change(both.before, both.after)
        matrix.canvas.draw()
        gallery = flip_gallery(np.zeros((600, 1, 5, 4), np.uint8), both.flips, both.before, both.after)
    for axis in (matrix.axes[0].xaxis, matrix.axes[0].yaxis):
        labels = axis.get_ticklabels()
        assert len({label.get_text() for label in labels}) == len(labels) == 50
    boxes = [label.get_window_extent() for label in matrix.axes[0].get_yticklabels()]
    assert not any(one.overlaps(other) for one, other in pairwise(boxes))
    title = next(axes.get_title() for axes in gallery.axes if axes.images)
    assert title == "3: a_photo…_00003\na_photo…_00003 →\na_photo…_00002"


class _Elements(HTMLParser):
    """Tags, and every address that the page would fetch."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def test_pictures_are_the_same_bytes_every_time(case: Case, tmp_path: Path) -> None:
    case.results(ACTUAL, predictions(20))
    both = compared()

    def drawn(name: str) -> bytes:
        with styled():
            figure: Figure = confusion_change(both.before, both.after)
            save_png(figure, tmp_path / name)
        return (tmp_path / name).read_bytes()

    assert drawn("first.png") == drawn("second.png")
