"""The page on semantics names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_promise_names_a_test_that_exists() -> None:
    named = set(re.findall(r"`(test_\w+)`", (ROOT / "docs/semantics.md").read_text()))
    there = {name for file in (ROOT / "tests").rglob("test_*.py") for name in _tests_in(file)}
    assert len(named) > 50
    assert named - there == set()


def _tests_in(file: Path) -> list[str]:
    return re.findall(r"^(?: {4})?(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE)
