"""The direction of the layers: services -> actors -> protocol, and what each layer may know of the outside.

The imports of every module are read, those inside functions too; nothing is run.
"""

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
#: Where the modules of each layer are, and the layers it may import.
LAYERS = {
    "protocol": ("protocol/offhook/protocol", {"protocol"}),
    "actors": ("actors/offhook/actors", {"actors", "protocol"}),
    "simulation": ("actors/offhook/simulation", {"simulation", "actors", "protocol"}),
    "services": ("services/offhook/services", {"services", "actors", "protocol", "web"}),
    "web": ("web/offhook/web", {"web"}),
}
#: What each layer may import that is neither offhook nor the standard library; None: anything.
THIRD_PARTIES = {
    "protocol": {"msgspec"},
    "actors": {"msgspec", "anyio"},
    "simulation": {"msgspec", "anyio", "hypothesis", "pytest", "sniffio", "sortedcontainers"},
    "services": None,
    "web": set[str](),
}
#: Clock, chance, the outside world: arguments in these layers, never imports.
OUTSIDE = {
    "asyncio", "concurrent", "logging", "multiprocessing", "os", "pathlib", "queue", "random", "secrets", "select",
    "selectors", "shutil", "signal", "socket", "ssl", "subprocess", "tempfile", "threading", "time", "urllib",
}  # fmt: skip
KEPT_OUT = {
    # Parsing URLs and reading nothing is pure.
    "protocol": OUTSIDE - {"urllib"},
    # Actors log and wait; they do not open anything, and time and chance are given to them.
    "actors": OUTSIDE - {"logging"},
}
#: Files beside the folders of services that hold no third-party type: every folder may know them.
SHARED = {"settings", "lifetime", "logs"}
#: May import every folder of services: the files that wire a process, and the command line.
WIRING = {"roles", "late", "cli", "role"}


class Import(NamedTuple):
    """One import: where it stands, and the dotted module it names."""

    file: str
    line: int
    module: str

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]

    def offhook_part(self, depth: int) -> str | None:
        """The ``depth``-th name of an import of offhook: 1 is the layer, 2 the folder in it."""
        names = self.module.split(".")
        return names[depth] if names[0] == "offhook" and len(names) > depth else None


def modules_named(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            # "from offhook.services import roles" names a module by its last word.
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def imports_of(file: Path, root: Path = ROOT) -> list[Import]:
    tree = ast.parse(file.read_text("utf-8"), str(file))
    return [Import(str(file.relative_to(root)), line, module) for line, module in modules_named(tree)]


def imports_of_layer(layer: str) -> list[Import]:
    return [found for file in sorted((ROOT / LAYERS[layer][0]).rglob("*.py")) for found in imports_of(file)]


#: The command that runs simulated worlds is the one place of the product that knows the simulation.
ALLOWED = {("services/offhook/services/cli/simulate.py", "simulation")}


def wrong_direction(layer: str, imports: list[Import]) -> list[Import]:
    known = LAYERS[layer][1]
    return [
        one
        for one in imports
        if one.top == "offhook" and one.offhook_part(1) not in known and (one.file, one.offhook_part(1)) not in ALLOWED
    ]


def third_party(imports: list[Import]) -> list[Import]:
    return [one for one in imports if one.top != "offhook" and one.top not in sys.stdlib_module_names]


def strangers(layer: str, imports: list[Import]) -> list[Import]:
    allowed = THIRD_PARTIES[layer]
    return [] if allowed is None else [one for one in third_party(imports) if one.top not in allowed]


def impure(layer: str, imports: list[Import]) -> list[Import]:
    return [one for one in imports if one.top in KEPT_OUT.get(layer, set())]


def sideways(folder: str, imports: list[Import]) -> list[Import]:
    """Imports of one folder of services by another."""
    if folder in WIRING:
        return []
    return [
        one
        for one in imports
        if one.offhook_part(1) == "services" and one.offhook_part(2) not in {folder, None, *SHARED}
    ]


def folder_of(one: Import) -> str:
    """The folder (or single file) of services that an import stands in."""
    return Path(one.file).relative_to(LAYERS["services"][0]).parts[0].removesuffix(".py")


def said(found: list[Import]) -> str:
    return "\n".join(f"{one.file}:{one.line} imports {one.module}" for one in found)


@pytest.mark.parametrize("layer", LAYERS)
def test_layers_know_only_what_is_below_them(layer: str) -> None:
    found = wrong_direction(layer, imports_of_layer(layer))
    assert not found, said(found)


@pytest.mark.parametrize("layer", LAYERS)
def test_layers_use_only_their_own_third_parties(layer: str) -> None:
    found = strangers(layer, imports_of_layer(layer))
    assert not found, said(found)


@pytest.mark.parametrize("layer", KEPT_OUT)
def test_time_chance_and_the_outside_are_given_not_taken(layer: str) -> None:
    found = impure(layer, imports_of_layer(layer))
    assert not found, said(found)


def test_folders_of_services_meet_in_messages() -> None:
    imports = imports_of_layer("services")
    found = [
        wrong
        for folder in {folder_of(one) for one in imports}
        for wrong in sideways(folder, [one for one in imports if folder_of(one) == folder])
    ]
    assert not found, said(found)


@pytest.mark.parametrize(
    ("layer", "line"),
    [
        ("protocol", "from offhook.actors import ports"),
        ("protocol", "import anyio"),
        ("protocol", "import time"),
        ("protocol", "def f():\n    from random import random"),
        ("actors", "import offhook.services.bus"),
        ("actors", "from offhook import services"),
        ("actors", "from offhook.simulation import bus"),
        ("actors", "import trio"),
        ("actors", "import asyncio"),
        ("actors", "from time import monotonic"),
        ("simulation", "from offhook.services.settings import Settings"),
        ("simulation", "import aiortc"),
        ("web", "import msgspec"),
    ],
)
def test_a_wrong_import_is_found(layer: str, line: str, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(line)
    imports = imports_of(tmp_path / "module.py", tmp_path)
    assert wrong_direction(layer, imports) or strangers(layer, imports) or impure(layer, imports)


@pytest.mark.parametrize(
    ("folder", "line", "wrong"),
    [
        ("gateway", "from offhook.services.bus.nats import open_bus", True),
        ("gateway", "from offhook.services import bus", True),
        ("gateway", "from offhook.services.gateway.frames import Frame", False),
        ("gateway", "from offhook.services.settings import Settings", False),
        ("settings", "from offhook.services.store import open_store", True),
        ("roles", "from offhook.services.bus.nats import open_bus", False),
    ],
)
def test_a_folder_that_reaches_into_another_is_found(folder: str, line: str, wrong: bool, tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text(line)
    assert bool(sideways(folder, imports_of(tmp_path / "module.py", tmp_path))) is wrong


def test_each_file_of_tests_has_a_name_of_its_own() -> None:
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, files in names.items() if files > 1] == [], "pytest takes two files of one name for one"
