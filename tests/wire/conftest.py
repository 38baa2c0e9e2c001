"""Fixtures of the tests over the real wire."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from bystander import Bystander
from wire_stage import Speak, Stage


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """aiortc needs asyncio."""
    return "asyncio"


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The product, started once for all tests that do not disturb it."""
    running = Stage(tmp_path_factory.mktemp("stage"))
    yield running
    assert running.stop() == 0, running.log.read_text()


@pytest.fixture(scope="module")
def bystander(stage: Stage) -> Iterator[Bystander]:
    """A call on the same product, all through a module of tests; at the end it must not have noticed anything."""
    calling = Bystander(stage.signaling, stage.new_token())
    calling.start()
    yield calling
    calling.finish()


@pytest.fixture(scope="session")
def speak(tmp_path_factory: pytest.TempPathFactory) -> Speak:
    """A sentence as a sound file, spoken by flite."""
    folder = tmp_path_factory.mktemp("spoken")

    def make(text: str) -> Path:
        file = folder / f"{text}.wav"
        if not file.exists():
            subprocess.run(["flite", "-voice", "slt", "-t", text, "-o", str(file)], check=True)
        return file

    return make
