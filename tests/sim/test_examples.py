"""The examples of the guide run, and the guide shows them as they are (X1)."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs/examples"


def test_the_examples_pass() -> None:
    command = [sys.executable, "-m", "pytest", str(EXAMPLES), "-p", "no:cacheprovider", "-rA"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("test_florist", "test_weather_brain", "test_troubles"):
        assert f"{name}.py::" in done.stdout


@pytest.mark.parametrize("page", ["docs/simulate.md", "README.md"])
def test_the_guide_shows_the_examples_as_they_are(page: str) -> None:
    """Each piece of Python that begins with the name of a file is in that file, word for word."""
    text = (ROOT / page).read_text("utf-8")
    shown = re.findall(r"```(?:python|toml)\n# (docs/examples/\S+)\n(.*?)```", text, re.DOTALL)
    assert shown
    for file, code in shown:
        there = (ROOT / file).read_text("utf-8")
        for piece in filter(None, (piece.strip("\n") for piece in code.split("\n# ...\n"))):
            assert piece in there, f"{page} shows what is not in {file}:\n{piece}"
