"""Export, erasing and webhooks over REST."""

import csv
import io
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest
from test_api import check_problem
from test_rest import Stage, staged
from test_store_search import log_of

from offhook.protocol.record import CallRecord
from offhook.protocol.webhooks import Attempt, parse_networks
from offhook.services.store import (
    Keys,
    Replies,
    Store,
    StoredAgents,
    Widgets,
    open_keys,
    open_replies,
    open_store,
    open_stored_agents,
    open_widgets,
    tell_webhooks,
)
from offhook.services.webhooks import check_webhook_url

pytestmark = pytest.mark.anyio

Opened = tuple[Store, Keys, Replies, StoredAgents, Widgets]


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    place = tmp_path / "offhook.db"
    parts = open_store(place), open_keys(place), open_replies(place), open_stored_agents(place), open_widgets(place)
    for number in range(250):
        parts[0].project_all(log_of(f"{number:03}", f"word{number}", begin=float(number), caller="=1+1"))
    parts[0].project_all([*log_of("living", ended=False, agent="b"), *log_of("theirs", workspace="other")])
    yield parts
    for part in parts:
        part.close()


@pytest.fixture
async def stage(opened: Opened) -> AsyncIterator[Stage]:
    allowed = parse_networks(["127.0.0.9"])
    async with staged(opened, check_webhook_url=partial(check_webhook_url, allowed=allowed)) as running:
        yield running


async def test_calls_are_exported_whole_page_after_page(stage: Stage) -> None:
    answer = await stage.ask("GET", "/v1/calls/export?agent=a")
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    found = [msgspec.json.decode(line, type=CallRecord) for line in answer.content.splitlines()]
    assert [record.id for record in found] == [f"{number:03}" for number in reversed(range(250))]
    assert found[0] == stage.store.call("249")
    answer = await stage.ask("GET", "/v1/calls/export?format=csv&agent=a")
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert len(rows) == 250 and {row["caller"] for row in rows} == {"'=1+1"}
    one = await stage.ask("GET", "/v1/calls/export?text=word7&until=10")
    assert [msgspec.json.decode(line)["id"] for line in one.content.splitlines()] == ["007"]
    check_problem(await stage.ask("GET", "/v1/calls/export?format=xlsx"), 400, "invalid_field")
    assert "theirs" not in (await stage.ask("GET", "/v1/calls/export")).text


async def test_calls_are_found_by_their_metadata(stage: Stage) -> None:
    """Covers R2."""
    stage.store.project_all(
        [*log_of("gold", metadata={"plan": "gold", "to[x]": "a&b"}), *log_of("tin", metadata={"plan": "tin"})]
    )
    for path in ("/v1/calls", "/v1/calls/export"):
        both = await stage.ask("GET", path, params={"metadata[plan]": "gold", "metadata[to[x]]": "a&b", "agent": "a"})
        assert '"gold"' in both.text and '"tin"' not in both.text
        none = await stage.ask("GET", path, params={"metadata[plan]": "tin", "metadata[to[x]]": "a&b"})
        assert '"tin"' not in none.text
    for wrong, named in (
        ("metadata[plan]=tin&metadata[plan]=gold", "metadata[plan]"),
        ("metadata=gold&metadata[plan]=gold", "metadata[plan]"),
        ("metadata=gold", "metadata"),
        ("metadata[]=gold", "metadata"),
        (f"metadata[plan]={'x' * 2049}", "metadata"),
        ("limit[plan]=1", "limit"),
        ("plan[x]=1", "plan"),
    ):
        answer = await stage.ask("GET", f"/v1/calls?{wrong}")
        assert check_problem(answer, 400, "invalid_field")["parameters"] == [named]


async def test_a_call_is_erased_and_the_report_says_what_of(stage: Stage) -> None:
    report = await stage.ask("DELETE", "/v1/calls/007")
    assert report.status_code == 202
    assert (report.json()["deleted"]["transcript_lines"], report.json()["done_at"]) == (1, None)
    check_problem(await stage.ask("GET", "/v1/calls/007"), 404, "call_not_found")
    check_problem(await stage.ask("DELETE", "/v1/calls/007"), 404, "call_not_found")
    assert (await stage.ask("GET", "/v1/erasures/007")).json() == report.json()
    check_problem(await stage.ask("GET", "/v1/erasures/007", stage.other), 404, "call_not_found")
    check_problem(await stage.ask("DELETE", "/v1/calls/008", stage.other), 404, "call_not_found")
    check_problem(await stage.ask("DELETE", "/v1/calls/living"), 409, "call_lives")
    check_problem(await stage.ask("DELETE", "/v1/calls/008", stage.secret("calls:read")), 403, "scope_missing")


async def test_webhooks_are_made_and_looked_after(stage: Stage) -> None:
    made = (
        await stage.ask("POST", "/v1/webhooks", json={"url": "http://127.0.0.9/x", "events": ["call.ended"]})
    ).json()
    assert made["secret"].startswith("whsec_")
    path = f"/v1/webhooks/{made['id']}"
    for shown in (await stage.ask("GET", path), await stage.ask("GET", "/v1/webhooks")):
        assert made["id"] in shown.text and made["secret"] not in shown.text
    stage.store.project_all([*log_of("new1"), *log_of("new2")], listener=tell_webhooks)
    page = (await stage.ask("GET", f"{path}/deliveries?limit=1")).json()
    rest = (await stage.ask("GET", f"{path}/deliveries", params={"cursor": page["cursor"]})).json()
    deliveries = page["deliveries"] + rest["deliveries"]
    assert {one["call"] for one in deliveries} == {"new1", "new2"} and rest["cursor"] is None
    replayed = await stage.ask("POST", f"{path}/replay", json={"message": deliveries[0]["message"]})
    assert replayed.json() == {"count": 1}
    check_problem(await stage.ask("POST", f"{path}/replay", json={}), 422, "invalid_field")
    check_problem(await stage.ask("POST", f"{path}/replay", json={"message": "msg_0"}), 404, "webhook_not_found")
    rotated = (await stage.ask("POST", f"{path}/rotate", json={"overlap": 60})).json()
    assert rotated["secret"] not in {made["secret"], ""}
    assert (await stage.ask("POST", f"{path}/enable", json={})).json()["state"] == "enabled"
    assert (await stage.ask("DELETE", path)).status_code == 204
    check_problem(await stage.ask("GET", path), 404, "webhook_not_found")


async def test_a_delivery_shows_what_is_sent_and_what_came_of_each_attempt(stage: Stage) -> None:
    """Covers R6: what a developer needs who looks for a message."""
    path = f"/v1/webhooks/{stage.store.webhooks().create('main', 'http://127.0.0.9/x', ['call.ended'], now=1.0).id}"
    stage.store.project_all(log_of("new1", "hello"), listener=tell_webhooks)
    outbox = stage.store.outbox()
    for status, error in ((500, "http_500"), (204, None)):
        due = outbox.take_due(now=1e9, limit=1)[0]
        outbox.note(due, Attempt(at=1e9 - 300, took=0.25, status=status, error=error), chance=0.5)
    shown = (await stage.ask("GET", f"{path}/deliveries/{due.message}")).json()
    assert shown["body"] == due.body and "hello" in due.body
    assert [(one["status"], one["took"]) for one in shown["history"]] == [(204, 0.25), (500, 0.25)]
    listed = (await stage.ask("GET", f"{path}/deliveries")).json()["deliveries"]
    assert listed == [{name: value for name, value in shown.items() if name not in {"body", "history"}}]
    assert (listed[0]["state"], listed[0]["status"], listed[0]["took"]) == ("delivered", 204, 0.25)
    check_problem(await stage.ask("GET", f"{path}/deliveries/msg_0"), 404, "webhook_not_found")
    foreign = await stage.ask("GET", f"{path}/deliveries/{due.message}", stage.other)
    check_problem(foreign, 404, "webhook_not_found")


async def test_a_webhook_is_changed_and_told_of_nothing_while_it_is_disabled(stage: Stage) -> None:
    keeper = stage.store.webhooks()
    id_ = keeper.create("main", "http://127.0.0.9/x", ["call.ended"], now=1.0).id
    path = f"/v1/webhooks/{id_}"
    changed = await stage.ask("PATCH", path, json={"url": "http://127.0.0.9/y", "events": [], "state": "disabled"})
    kept = changed.json()
    assert (kept["url"], kept["events"], kept["state"]) == ("http://127.0.0.9/y", [], "disabled")
    stage.store.project_all(log_of("new1"), listener=tell_webhooks)
    assert (await stage.ask("PATCH", path, json={"state": "enabled"})).json() == kept | {"state": "enabled"}
    stage.store.project_all(log_of("new2"), listener=tell_webhooks)
    assert {one.call for one in keeper.deliveries("main", id_)} == {"new2"}
    refused = await stage.ask("PATCH", path, json={"url": "http://127.0.0.1/"})
    check_problem(refused, 422, "webhook_url_not_allowed")
    check_problem(await stage.ask("PATCH", path, json={"events": ["call.end"]}), 422, "invalid_field")
    assert (await stage.ask("GET", path)).json() == kept | {"state": "enabled"}


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/", "https://localhost/", "http://169.254.169.254/", "http://0x7f.1/", "ftp://example.org/",
     "https://a:b@example.org/", "https://example.org:22/", "http://[::ffff:10.0.0.1]/", "x"],
)  # fmt: skip
async def test_a_webhook_that_leads_inside_is_not_saved(stage: Stage, url: str) -> None:
    refused = await stage.ask("POST", "/v1/webhooks", json={"url": url})
    assert check_problem(refused, 422, "webhook_url_not_allowed")["pointer"] == "/url"
    assert (await stage.ask("GET", "/v1/webhooks")).json()["webhooks"] == []


async def test_an_event_that_is_none_is_refused(stage: Stage) -> None:
    refused = await stage.ask("POST", "/v1/webhooks", json={"url": "http://127.0.0.9/", "events": ["call.end"]})
    check_problem(refused, 422, "invalid_field")
