"""The report in a real Chromium: cells open by click and by key, nothing is loaded or logged, it fits, it can be read."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.support.report_case import ACTUAL, CONFIDENCE, PREDICTED, ReportCase
from tools.report.__main__ import main
from tools.report.confusions import SHADE_WORDS

HOSTILE = ["<script>document.title='hacked'</script>", "الفئة", '"><b onclick=x autofocus>' + "long " * 15]
DOG_FOR_EMU = [row for row in range(len(ACTUAL)) if (ACTUAL[row], PREDICTED[row]) == (1, 2)]
CONTRAST = 4.5
"""Of text, by WCAG 2.2 at level AA."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(ReportCase(tmp_path_factory.mktemp("report") / "project"))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(ReportCase(tmp_path_factory.mktemp("hostile") / "project", HOSTILE, shape_CHW=(3, 80, 70)))


def written(case: ReportCase) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(case.root)
        main([])
    return case.root / "report.html"


class Opened:
    """A page in a window of its own, with all that it says and asks for."""

    def __init__(self, browser: Browser, path: Path, **window: Any) -> None:
        self.context: BrowserContext = browser.new_context(**window)
        self.page: Page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())

    def cell(self, actual: int, predicted: int) -> Any:
        return self.page.locator(f"[popovertarget=cell-{actual}-{predicted}]").first

    def dialog(self, actual: int, predicted: int) -> Any:
        return self.page.locator(f"#cell-{actual}-{predicted}")

    def focused(self) -> str:
        return str(
            self.page.evaluate("document.activeElement.getAttribute('popovertarget') || document.activeElement.textContent")
        )


@pytest.fixture
def opened(browser: Browser, report: Path) -> Iterator[Opened]:
    window = Opened(browser, report)
    yield window
    window.context.close()


def test_a_click_opens_the_images_of_the_cell(opened: Opened) -> None:
    assert opened.cell(1, 2).inner_text() == str(len(DOG_FOR_EMU))
    dialog = opened.dialog(1, 2)
    assert not dialog.is_visible()
    opened.cell(1, 2).click()
    assert dialog.is_visible()
    assert dialog.locator("h3").inner_text() == '"dog" predicted as "emu"'
    shown = [int(word) for word in re.findall(r"image (\d+)", dialog.locator("ul").inner_text())]
    assert shown == sorted(DOG_FOR_EMU, key=lambda row: -CONFIDENCE[row])
    opened.page.wait_for_function("[...document.querySelectorAll('#cell-1-2 img')].every(image => image.naturalWidth == 4)")
    assert dialog.locator("img").count() == len(shown)
    assert dialog.locator("img").first.get_attribute("alt") == f"Test image {shown[0]}: dog"
    dialog.get_by_role("button", name="Close").click()
    assert not dialog.is_visible()


def test_the_keyboard_is_enough(opened: Opened) -> None:
    page = opened.page
    for _ in range(60):
        page.keyboard.press("Tab")
        if opened.focused() == "cell-1-2":
            break
    assert opened.focused() == "cell-1-2"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert opened.dialog(1, 2).is_visible()
    assert opened.focused() == "cell-1-2" and page.evaluate("document.activeElement.textContent") == "Close"
    page.keyboard.press("Escape")
    assert not opened.dialog(1, 2).is_visible()
    assert page.evaluate("document.activeElement.textContent") == str(len(DOG_FOR_EMU))
    page.keyboard.press("Space")
    assert opened.dialog(1, 2).is_visible()


def test_the_cells_can_be_skipped(opened: Opened) -> None:
    opened.page.get_by_role("link", name="Skip the cells").focus()
    opened.page.keyboard.press("Enter")
    opened.page.keyboard.press("Tab")
    assert opened.page.evaluate("document.activeElement.closest('#confusion')") is None


def test_a_cell_is_a_button_that_says_what_it_holds(opened: Opened) -> None:
    num_dogs = ACTUAL.count(1)
    share = 100 * len(DOG_FOR_EMU) / num_dogs
    name = f'"dog" predicted as "emu": {len(DOG_FOR_EMU)} images, {share:.1f}\u00a0% of the class'
    assert opened.page.get_by_role("button", name=name).count() == 1
    opened.cell(1, 2).click()
    assert opened.page.get_by_role("dialog", name='"dog" predicted as "emu"').count() == 1
    assert opened.page.locator("svg[role=img]:not([aria-label]), img:not([alt])").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["report", "hostile"])
def test_it_asks_for_nothing_and_says_nothing(
    browser: Browser, which: str, scheme: Any, request: pytest.FixtureRequest
) -> None:
    path: Path = request.getfixturevalue(which)
    window = Opened(browser, path, color_scheme=scheme)
    for button in window.page.locator(".matrix button").all():
        button.click()
        window.page.keyboard.press("Escape")
    assert window.said == []
    assert [url for url in window.asked if not url.startswith("data:image/")] == [path.as_uri()]
    window.context.close()


def test_names_that_are_markup_are_words(browser: Browser, hostile: Path) -> None:
    window = Opened(browser, hostile)
    assert window.page.title() == "digits"
    heads = window.page.locator("#classes tbody th").all_inner_texts()
    assert heads == [" ".join(name.split()) for name in HOSTILE]
    window.cell(0, 2).click()
    assert window.dialog(0, 2).locator("h3").inner_text().startswith(f'"{HOSTILE[0]}" predicted as "{HOSTILE[2][:40]}')
    assert window.page.locator("script, b").count() == 0
    window.context.close()


def test_a_script_would_not_run(browser: Browser, report: Path, tmp_path: Path) -> None:
    """Were a name ever left unescaped, the policy of the page would still stop what it brings."""
    evil = "<script>document.title='hacked'</script><img src=x onerror=\"document.title='hacked'\"><style>h1{color:red}</style>"
    broken = tmp_path / "broken.html"
    broken.write_text(report.read_text(encoding="utf-8").replace("<h1>", f"<h1>{evil}"), encoding="utf-8")
    window = Opened(browser, broken)
    assert window.page.title() == "digits"
    assert window.page.evaluate("getComputedStyle(document.querySelector('h1')).color") != "rgb(255, 0, 0)"
    assert sum("Content Security Policy" in line for line in window.said) >= 3
    window.context.close()


@pytest.mark.parametrize("width", [320, 700])
@pytest.mark.parametrize("which", ["report", "hostile"])
def test_a_small_screen_needs_no_scrolling_sideways(
    browser: Browser, which: str, width: int, request: pytest.FixtureRequest
) -> None:
    window = Opened(browser, request.getfixturevalue(which), viewport={"width": width, "height": 600})
    assert window.page.evaluate("document.documentElement.scrollWidth") <= width
    window.cell(1, 2).click()
    box = window.dialog(1, 2).bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= width and box["y"] >= 0 and box["y"] + box["height"] <= 600
    window.context.close()


def test_names_of_sixty_letters_leave_the_other_columns_their_room(browser: Browser, tmp_path: Path) -> None:
    names = [f"a_photograph_of_a_rather_small_bird_of_the_mountain_of_{number:05}" for number in range(3)]
    window = Opened(browser, written(ReportCase(tmp_path / "project", names)), viewport={"width": 1280, "height": 900})
    table = window.page.locator(".wide[aria-label='By class']")
    assert table.evaluate("table => table.scrollWidth <= table.clientWidth")
    window.page.set_viewport_size({"width": 390, "height": 800})
    head = table.locator("tbody th").first.bounding_box()
    assert head is not None and head["width"] < 200
    window.context.close()


def test_only_what_scrolls_is_a_tab_stop_and_shades_its_edge(browser: Browser, report: Path) -> None:
    """The browser itself makes a tab stop of what scrolls, and draws the shade over the content's end no more."""
    stops = {}
    for width in (320, 1200):
        window = Opened(browser, report, viewport={"width": width, "height": 600})
        scrolling = window.page.locator(".wide").evaluate_all(
            """tables => tables.filter(table => table.scrollWidth > table.clientWidth && !table.querySelector("button")
            && table.checkVisibility()).map(table => table.ariaLabel)"""
        )
        stops[width] = set()
        for _ in range(80):
            window.page.keyboard.press("Tab")
            stops[width].add(
                window.page.evaluate("document.activeElement.matches('.wide') && document.activeElement.ariaLabel")
            )
        assert stops[width] - {False} == set(scrolling)
        window.context.close()
    assert "By class" in stops[320] and stops[1200] == {False}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_what_is_behind_them(browser: Browser, report: Path, scheme: Any) -> None:
    window = Opened(browser, report, color_scheme=scheme)
    colours = """selectors => selectors.map(selector => {
        const style = getComputedStyle(document.querySelector(selector));
        return [style.color, style.backgroundColor] })"""
    body, box = window.page.evaluate(colours, ["body", ".figures div"])
    assert luminance(body[1]) < 0.1 if scheme == "dark" else luminance(body[1]) > 0.9
    keys = [f".key.{kind}{shade}" for kind in ("wrong", "right") for shade in range(len(SHADE_WORDS))]
    pairs = [body, [body[0], box[1]], *window.page.evaluate(colours, keys)]
    for selector, behind in ((".small", box[1]), ("nav a", body[1]), (".matrix .none", body[1])):
        ((colour, _),) = window.page.evaluate(colours, [selector])
        pairs.append([colour, behind])
    assert min(contrast(*pair) for pair in pairs) >= CONTRAST
    window.context.close()


def test_on_paper(browser: Browser, report: Path) -> None:
    """Light whatever the screen; the mistakes have their pictures, also those that were never scrolled to."""
    window = Opened(browser, report, color_scheme="dark", viewport={"width": 800, "height": 300})
    window.page.emulate_media(media="print")
    assert not window.page.locator("nav").is_visible()
    assert luminance(window.page.evaluate("getComputedStyle(document.body).backgroundColor")) > 0.9
    widths = window.page.locator("#mistakes img").evaluate_all("images => images.map(image => image.naturalWidth)")
    assert widths == [4] * sum(actual != predicted for actual, predicted in zip(ACTUAL, PREDICTED, strict=True))
    assert window.page.locator("#mistakes img[loading]").count() == 0
    assert window.page.pdf().startswith(b"%PDF")
    after = "[...document.querySelectorAll('h2, h3')].map(heading => getComputedStyle(heading).breakAfter)"
    assert set(window.page.evaluate(after)) == {"avoid"}
    window.context.close()


def contrast(one: str, other: str) -> float:
    """Of two colours, after WCAG 2.2: 1 to 21."""
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance of `rgb(…)`, 0 to 1."""
    values = np.array([int(number) for number in re.findall(r"\d+", colour)[:3]]) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_the_contrast_of_black_on_white_is_21() -> None:
    assert contrast("rgb(0, 0, 0)", "rgb(255, 255, 255)") == pytest.approx(21)
