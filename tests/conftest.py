"""What tests of every layer share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from postgres import PostgresServer
from product import Product

# No deadline and no complaint about slowness: machines are busy, and no test asserts how long it takes. Where a run
# decides about a commit (CI), its answer depends on the tree alone; everywhere else each run tries other examples.
settings.register_profile(
    "everyday",
    max_examples=50,
    deadline=None,
    derandomize="CI" in os.environ,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("thorough", settings.get_profile("everyday"), max_examples=2000, derandomize=False)
# `--hypothesis-profile` comes later and wins.
settings.load_profile("everyday")


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    """The product, started once for all tests that do not disturb it."""
    running = Product(tmp_path_factory.mktemp("product"))
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server, started once for all tests that do not disturb it; each makes its own database."""
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture
def own_product(tmp_path: Path) -> Iterator[Product]:
    """A product of the test's own, to be disturbed."""
    running = Product(tmp_path)
    yield running
    running.stop()
