"""``/v1/widgets`` and where they are kept (W1, W8, W9)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from api_stage import KEY, serving_api
from test_api import check_problem

import offhook.web
from offhook.protocol.keys import KeyUnfit
from offhook.protocol.widgets import WidgetFields, WidgetNotFound
from offhook.services.store import Widgets, open_widgets


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


@pytest.fixture(params=["sqlite", "postgresql"])
def widgets(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Widgets]:
    if request.param == "sqlite":
        place = str(tmp_path / "offhook.db")
    else:
        place = request.getfixturevalue("postgres").new_database()
    widgets = open_widgets(place)
    yield widgets
    widgets.close()


def test_widgets_are_made_changed_listed_and_deleted(widgets: Widgets) -> None:
    wanted = WidgetFields(
        name="shop", agent="front-desk", kind="chat",
        texts={"greeting": "Grüß Gott 😀"}, style={"primaryColor": "#06f"},
        domains=("Shop.example", "shop.example", "*.shop.example"), languages=("de", "en-GB"),
    )  # fmt: skip
    made = widgets.create("ws", wanted)
    assert made.domains == ("https://shop.example", "https://*.shop.example")
    assert (made.kind, made.texts, made.languages) == ("chat", {"greeting": "Grüß Gott 😀"}, ("de", "en-GB"))
    assert widgets.get("ws", made.code) == made
    changed = widgets.change("ws", made.code, WidgetFields(name="shop 2", agent="front-desk"))
    assert (changed.code, changed.name, changed.kind, changed.texts) == (made.code, "shop 2", "phone", {})
    others = [widgets.create("ws", WidgetFields(name=str(number), agent="a")) for number in range(2)]
    page = widgets.page("ws", limit=2)
    assert [widget.code for widget in page] == [others[1].code, others[0].code]
    assert widgets.page("ws", limit=9, after=(page[-1].created_at, page[-1].code)) == [changed]
    with pytest.raises(KeyUnfit):
        widgets.create("ws", WidgetFields(name="x", agent="a", domains=("*",)))
    for ask in (lambda: widgets.get("other", made.code), lambda: widgets.delete("other", made.code)):
        with pytest.raises(WidgetNotFound):
            ask()
    with pytest.raises(WidgetNotFound):
        widgets.change("other", made.code, wanted)
    assert widgets.page("other", limit=9) == []
    widgets.delete("ws", made.code)
    with pytest.raises(WidgetNotFound):
        widgets.get("ws", made.code)


@pytest.mark.anyio
async def test_widgets_over_rest(tmp_path: Path) -> None:
    widgets = open_widgets(tmp_path / "offhook.db")
    async with serving_api(None, offhook.web.FOLDER, widgets=lambda: widgets) as client:
        made = await client.post("/v1/widgets", headers=KEY, json={"name": "shop", "agent": "a"})
        assert made.status_code == 201 and made.json()["kind"] == "phone"
        path = f"/v1/widgets/{made.json()['code']}"
        changed = await client.put(path, headers=KEY, json={"name": "shop", "agent": "b", "style": {"theme": "dark"}})
        assert (changed.json()["agent"], changed.json()["style"]) == ("b", {"theme": "dark"})
        await client.post("/v1/widgets", headers=KEY, json={"name": "second", "agent": "a"})
        first = (await client.get("/v1/widgets?limit=1", headers=KEY)).json()
        rest = (await client.get(f"/v1/widgets?cursor={first['cursor']}", headers=KEY)).json()
        assert [each["name"] for each in first["widgets"] + rest["widgets"]] == ["second", "shop"]
        for wrong, pointer in (
            ({"name": "x"}, "/agent"),
            ({"name": "x", "agent": "a", "kind": "fax"}, "/kind"),
            ({"name": "x", "agent": "a", "domains": ["a b"]}, "/domains"),
            ({"name": "x", "agent": "a", "code": "mine"}, "/code"),
            ({"name": "x", "agent": "a", "languages": ["!"]}, "/languages/0"),
        ):
            problem = check_problem(await client.put(path, headers=KEY, json=wrong), 422, "invalid_field")
            assert problem["pointer"] == pointer
        assert (await client.delete(path, headers=KEY)).status_code == 204
        check_problem(await client.get(path, headers=KEY), 404, "widget_not_found")
    widgets.close()
