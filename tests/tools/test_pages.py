"""Report and review as axe-core and html-validate judge them."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.support.node import install, needs_node
from tests.support.report_case import ACTUAL, PREDICTED, ReportCase
from tools.report.__main__ import main as write_report
from tools.review.__main__ import main as write_review

HISTORY = "epoch,train_loss,train_accuracy\n1,2.0,0.5\n"
MANY_CLASSES = [f"class {number}" for number in range(60)]
AXE = """async () => (await axe.run()).violations.map(rule =>
    [rule.id, ...rule.nodes.map(node => `${node.html.slice(0, 200)} ${node.failureSummary}`)])"""
SCROLLED = "scrollable-region-focusable"
"""Asks for a tabindex where a small screen scrolls. Chromium and Firefox make tab stops of these by themselves, and only where
they scroll, which test_report_browser holds."""

pytestmark = [pytest.mark.slow, needs_node]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the pages of ordinary runs and of odd ones."""
    folder = tmp_path_factory.mktemp("pages")

    def write(case: ReportCase, name: str) -> None:
        write_report(["--output", str(folder / f"report-{name}.html")])
        write_review(["--html", str(folder / f"review-{name}.html")])

    with pytest.MonkeyPatch.context() as patch:
        case = ReportCase(folder / "project")
        patch.chdir(case.root)
        case.results(ACTUAL, [0] * len(ACTUAL), test_hash=case.test_hash, lr=0.002)
        write(case, "worse")
        case.results(ACTUAL, PREDICTED, test_hash=case.test_hash)
        case.add("train", "plots/history.csv", HISTORY)
        write(case, "one-epoch")
        case.forget_images()
        case.results(ACTUAL, PREDICTED, test_hash="0" * 32 + ".dir", momentum='"><b>&')
        write(case, "other-images")
        actual = [number % len(MANY_CLASSES) for number in range(300)]
        case = ReportCase(folder / "many", MANY_CLASSES, (3, 5, 4), actual, [*actual[1:], 0])
        patch.chdir(case.root)
        case.results(actual, actual[::-1], classes=MANY_CLASSES, test_hash=case.test_hash)
        write(case, "many-classes")
    return folder


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    install(folder, "axe-core@4.14.1", "html-validate@10.17.0")
    return folder / "node_modules"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_axe_finds_no_violation(browser: Browser, packages: Path, pages: Path, width: int, scheme: Any) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme, bypass_csp=True)
    found = {}
    for path in pages.glob("*.html"):
        page = context.new_page()
        page.goto(path.as_uri())
        page.add_style_tag(content=".wide { background-image: none; }")  # axe reads no colours on a gradient
        page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
        page.add_script_tag(path=packages / "axe-core/axe.min.js")
        found[path.name] = [rule for rule in page.evaluate(AXE) if width == 1280 or rule[0] != SCROLLED]
        page.close()
    assert len(found) == 8 and not any(found.values()), found
    context.close()


def test_html_validate_s_recommended_rules_hold(packages: Path, pages: Path) -> None:
    (pages / ".htmlvalidate.json").write_text('{"root": true, "extends": ["html-validate:recommended"]}', encoding="utf-8")
    command = [packages / ".bin/html-validate", "--formatter=text", *sorted(pages.glob("*.html"))]
    done = subprocess.run(command, cwd=pages, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
