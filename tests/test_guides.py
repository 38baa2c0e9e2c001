"""What the README and the pages of docs/ promise: links lead somewhere, examples run, commands are those of the CI."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from offhook.services.cli import offhook

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    broken = [target for target in targets if "://" not in target and target and not (page.parent / target).exists()]
    assert broken == []


def test_the_simulated_call_of_the_readme_runs_as_it_stands(tmp_path: Path) -> None:
    (example,) = blocks(README, "python")
    (tmp_path / "test_readme.py").write_text(example, "utf-8")
    shutil.copy(ROOT / "docs/examples/florist.toml", tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_readme.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout
    assert re.search(r"^\d+ passed", done.stdout, re.MULTILINE)


def test_the_bug_that_is_walked_through_leaves_the_timeline_that_is_shown(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "finding-a-bug.md").read_text("utf-8")
    (fault,) = re.findall(r"^    python tests/mutants/run.py (\S+) --plant", page, re.MULTILINE)
    ((verdict, seed),) = re.findall(r"^    (Seed (\d+) breaks .*)$", page, re.MULTILINE)
    plant = [sys.executable, str(ROOT / "tests/mutants/run.py"), fault, "--plant", str(tmp_path / "planted")]
    subprocess.run(plant, check=True, timeout=60)
    code = os.pathsep.join(str(tmp_path / "planted" / part) for part in ("actors", "protocol"))
    hunt = [sys.executable, "-m", "offhook.services.cli", "simulate", "--seed", seed]
    environment = {**os.environ, "PYTHONPATH": code}
    done = subprocess.run(hunt, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    happened = [" ".join(line.split()) for line in done.stdout.splitlines()]
    shown = [" ".join(line.split()) for line in re.findall(r"^        (\d+\.\d{3} .*)$", page, re.MULTILINE)]
    assert len(shown) > 8
    for line in shown:
        # What is cut short in the page may be anything.
        pattern = re.compile(re.escape(line).replace("…", ".*"))
        place = next((place for place, one in enumerate(happened) if pattern.fullmatch(one)), None)
        assert place is not None, f"not in the timeline, or not in this order: {line}"
        happened = happened[place + 1 :]
    assert verdict in happened


def test_two_commands_are_enough() -> None:
    start, test, *_ = blocks(README, "sh")
    assert start.splitlines() == ["pip install uv && uv run offhook up"]
    assert test.splitlines() == ["pip install uv && uv run just test"]
    assert (ROOT / ".ci" / "run").read_text("utf-8").rstrip().endswith(f"\n{test.strip()}")


def test_options_that_are_shown_exist() -> None:
    lines = [line for page in PAGES for block in blocks(page.read_text("utf-8"), "sh") for line in block.splitlines()]
    shown = [line.split("#")[0].split() for line in lines if line.startswith("offhook ")]
    assert shown
    for _, name, *words in shown:
        command = offhook.commands[name]
        if words and words[0] in (below := getattr(command, "commands", {})):
            command = below[words[0]]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word.partition("=")[0] for word in words if word.startswith("-")} <= known, words
