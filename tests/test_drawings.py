"""The drawn states say what the tables say (covers X3)."""

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from offhook.protocol import call, turn

ROOT = Path(__file__).resolve().parent.parent
drawings = runpy.run_path(str(ROOT / "docs" / "drawings.py"))
TABLES: dict[str, Any] = json.loads((ROOT / "web/offhook/web/sdk/tables.json").read_text())


@pytest.mark.parametrize("path", drawings["drawings"](), ids=lambda path: path.name)
def test_is_up_to_date(path: Path) -> None:
    assert path.read_text("utf-8") == drawings["drawings"]()[path], "run 'just docs'"


def test_a_drawing_that_differs_is_found(tmp_path: Path) -> None:
    page = tmp_path / "call.md"
    assert drawings["outdated"]({page: "states"}) == [page]
    page.write_text("states")
    assert drawings["outdated"]({page: "states"}) == []
    assert drawings["outdated"]({page: "other states"}) == [page]


def test_browser_code_gets_every_row_of_the_call() -> None:
    drawn = {(row["from"], row["event"]): row for row in TABLES["call"]["rows"]}
    assert set(drawn) == {(state.value, event.__name__) for state, event in call.TABLE}
    for (state, event), edge in call.TABLE.items():
        if edge.to is not None:
            row = drawn[state.value, event.__name__]
            assert row["to"] == edge.to.value
            assert row.get("effects", []) == [effect.__name__ for effect in edge.effects]


def test_browser_code_gets_every_way_back_from_reconnecting() -> None:
    back = [row for row in TABLES["call"]["rows"] if row.get("left")]
    assert {(row["from"], row["left"], row["to"]) for row in back} == {
        ("reconnecting", "answered", "answered"),
        ("reconnecting", "held", "held"),
    }


def test_browser_code_gets_every_row_of_the_turn() -> None:
    drawn = {(row["from"], row["event"], row["to"]) for row in TABLES["turn"]["rows"]}
    assert drawn == {(state.value, event.__name__, edge.to.value) for (state, event), edge in turn.TABLE.items()}


@pytest.mark.parametrize(("name", "states"), [("call", call.CallState), ("turn", turn.TurnState)])
def test_every_state_is_explained_on_its_page(name: str, states: Any) -> None:
    text = (ROOT / f"docs/states/{name}.md").read_text("utf-8")
    for state in states:
        assert f"## {state.value}\n\n{TABLES[name]['states'][state.value]}" in text
