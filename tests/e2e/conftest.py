"""Fixtures of the browser tests."""

from collections.abc import Iterator

import pytest
from page_stage import Browsers, OpenPage, Pages, open_browsers
from stand_in_gateway import StandInGateway, open_stand_in_gateway


@pytest.fixture(scope="module")
def browsers() -> Iterator[Browsers]:
    with open_browsers() as browsers:
        yield browsers


@pytest.fixture
def stand_in() -> Iterator[StandInGateway]:
    with open_stand_in_gateway() as gateway:
        yield gateway


@pytest.fixture
def open_page(browsers: Browsers, stand_in: StandInGateway) -> Iterator[OpenPage]:
    """Open the page; when the test is over, it must have logged no error and asked no other host."""
    pages = Pages(browsers, stand_in)
    yield pages.open
    assert pages.close() == []
