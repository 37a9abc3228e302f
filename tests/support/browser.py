"""A real Chromium for the tests of the pages."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Error, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@contextmanager
def chromium() -> Iterator[Browser]:
    """That of the system; else the one that `playwright install chromium` brings. Skips the test where there is none."""
    with sync_playwright() as playwright:
        try:
            launched = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        except Error as error:
            if CHROMIUM:
                raise
            pytest.skip(f"needs chromium or google-chrome on PATH, or `playwright install chromium`: {error.message[:80]}")
        yield launched
        launched.close()
