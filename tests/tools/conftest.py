"""What several tests of the tools share."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """A Chromium for all tests of a file."""
    from tests.support.browser import chromium  # playwright takes half a second to import

    with chromium() as launched:
        yield launched
