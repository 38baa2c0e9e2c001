"""What every route of the REST API does alike: keys and scopes, rates, idempotency, pointers to faults (R1, R7)."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import httpx2
import pytest
from api_stage import Invited, serving_api
from test_api import check_problem

import offhook.web
from offhook.protocol.call import LogEntry
from offhook.protocol.call import events as ev
from offhook.protocol.keys import NewKey, Scope
from offhook.services.api import Rates
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
)

pytestmark = pytest.mark.anyio

CALL = "6f1c2d3e-0000-4000-8000-00000000000{}"
PAGE = "https://shop.example"
PARROT = 'id = "parrot"\nname = "Parrot"\n[brain]\nkind = "echo"\n'


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


Opened = tuple[Store, Keys, Replies, StoredAgents, Widgets]


class Stage:
    """A server with keys of two workspaces, and a client."""

    def __init__(self, client: httpx2.AsyncClient, store: Store, keys: Keys) -> None:
        self.client = client
        self.store = store
        self.keys = keys
        self.main = self.secret()
        self.other = self.secret(workspace="other")

    def secret(self, *scopes: Scope, workspace: str = "main") -> str:
        return self.keys.create(workspace, NewKey(kind="secret", name="s", scopes=scopes)).key

    def publishable(self, **more: Any) -> str:
        return self.keys.create("main", NewKey(kind="publishable", name="p", domains=("shop.example",), **more)).key

    async def ask(self, method: str, path: str, key: str | None = None, **more: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {key or self.main}"} | more.pop("headers", {})
        return await self.client.request(method, path, headers=headers, **more)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    place = tmp_path / "offhook.db"
    parts = open_store(place), open_keys(place), open_replies(place), open_stored_agents(place), open_widgets(place)
    for number, workspace in enumerate(["main", "other"]):
        offered = ev.Offered(agent="a", version="1", workspace=workspace, sdp="v=0", mode="echo")
        parts[0].project(LogEntry(call=CALL.format(number), seq=1, at=float(number), owner=1, event=offered))
    yield parts
    for part in parts:
        part.close()


@asynccontextmanager
async def staged(opened: Opened, **more: Any) -> AsyncIterator[Stage]:
    store, keys, replies, agents, widgets = opened
    more.setdefault("agents", lambda: agents)
    more.setdefault("widgets", lambda: widgets)
    async with serving_api(store, offhook.web.FOLDER, keys=keys, replies=replies, **more) as client:
        yield Stage(client, store, keys)


@pytest.fixture
async def stage(opened: Opened) -> AsyncIterator[Stage]:
    async with staged(opened) as running:
        yield running


# ── keys ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_keys_are_made_listed_rotated_and_revoked(stage: Stage) -> None:
    made = (await stage.ask("POST", "/v1/keys", json={"kind": "secret", "name": "ci", "scopes": ["calls:read"]})).json()
    assert made["key"].startswith("sk_live_") and made["scopes"] == ["calls:read"]
    shown = await stage.ask("GET", f"/v1/keys/{made['id']}")
    assert shown.json()["name"] == "ci" and made["key"] not in shown.text
    listed = await stage.ask("GET", "/v1/keys?limit=1")
    assert [key["id"] for key in listed.json()["keys"]] == [made["id"]] and made["key"] not in listed.text
    after = await stage.ask("GET", "/v1/keys", params={"cursor": listed.json()["cursor"]})
    assert made["id"] not in after.text and after.json()["cursor"] is None
    new = (await stage.ask("POST", f"/v1/keys/{made['id']}/rotate", json={"overlap": 0})).json()
    assert (await stage.ask("GET", "/v1/calls", made["key"])).status_code == 401
    assert (await stage.ask("GET", "/v1/calls", new["key"])).status_code == 200
    revoked = await stage.ask("POST", f"/v1/keys/{new['id']}/revoke")
    assert revoked.json()["revoked_at"] is not None
    check_problem(await stage.ask("GET", "/v1/calls", new["key"]), 401, "key_invalid")


async def test_a_key_does_what_its_scopes_allow_and_hands_on_no_more(stage: Stage) -> None:
    reader, maker = stage.secret("calls:read"), stage.secret("keys:write", "keys:read")
    assert (await stage.ask("GET", "/v1/calls", reader)).is_success
    assert check_problem(await stage.ask("GET", "/v1/keys", reader), 403, "scope_missing")["scope"] == "keys:read"
    wide = {"kind": "secret", "name": "wide"}
    check_problem(await stage.ask("POST", "/v1/keys", maker, json=wide), 403, "scope_missing")
    strong = (await stage.ask("GET", "/v1/keys")).json()["keys"]
    main = next(key["id"] for key in strong if key["scopes"] == ["*"])
    check_problem(await stage.ask("POST", f"/v1/keys/{main}/rotate", maker), 403, "scope_missing")
    narrow = {"kind": "secret", "name": "narrow", "scopes": ["keys:read"]}
    assert (await stage.ask("POST", "/v1/keys", maker, json=narrow)).status_code == 201


async def test_a_publishable_key_only_starts_calls_and_only_from_its_domains(stage: Stage) -> None:
    key = stage.publishable()
    token = await stage.ask("POST", "/v1/call-tokens", key, json={"agent_id": "a"}, headers={"Origin": PAGE})
    assert token.json()["token"] == f"token for a at {PAGE}"
    assert token.headers["access-control-allow-origin"] == "*"
    for origin in ({}, {"Origin": "https://evil.example"}, {"Origin": f"{PAGE}.evil.io"}, {"Origin": "null"}):
        refused = await stage.ask("POST", "/v1/call-tokens", key, json={"agent_id": "a"}, headers=origin)
        check_problem(refused, 403, "origin_not_allowed")
        assert refused.headers["access-control-allow-origin"] == "*"
    document = (await stage.client.get("/v1/openapi.json")).json()
    for path, operations in document["paths"].items():
        for method in operations:
            if path != "/v1/call-tokens":
                refused = await stage.ask(method, path, key, headers={"Origin": PAGE})
                check_problem(refused, 403, "secret_key_required")


async def test_a_page_of_another_site_may_ask_first(stage: Stage) -> None:
    preflight = await stage.client.options(
        "/v1/call-tokens", headers={"Origin": PAGE, "Access-Control-Request-Method": "POST"}
    )
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == "*"
    assert "Authorization" in preflight.headers["access-control-allow-headers"]
    own = await stage.client.options("/v1/keys")
    assert "access-control-allow-origin" not in own.headers and own.headers["allow"] == "GET, POST, OPTIONS"


async def test_a_publishable_key_has_quotas(stage: Stage) -> None:
    page = {"Origin": PAGE}
    for quota, code in ({"per_day": 2}, "quota_exceeded"), ({"per_minute": 2}, "rate_limited"):
        key = stage.publishable(**quota)
        for _ in range(2):
            answer = await stage.ask("POST", "/v1/call-tokens", key, json={"agent_id": "a"}, headers=page)
            assert answer.status_code == 201
        refused = await stage.ask("POST", "/v1/call-tokens", key, json={"agent_id": "a"}, headers=page)
        check_problem(refused, 429, code)
        assert int(refused.headers["retry-after"]) > 0


async def test_a_call_token_of_a_secret_key_may_be_bound_to_a_page(stage: Stage) -> None:
    body = {"agent_id": "b", "origin": "HTTPS://Shop.Example/"}
    token = (await stage.ask("POST", "/v1/call-tokens", json=body)).json()
    assert (token["token"], token["agent"]) == (f"token for b at {PAGE}", {"id": "b", "name": "B"})
    assert token["websocket_url"].startswith("ws://127.0.0.1:")
    problem = check_problem(await stage.ask("POST", "/v1/call-tokens", json={"agent_id": "x"}), 404, "agent_not_found")
    assert problem["pointer"] == "/agent_id"
    body["origin"] = "null"
    check_problem(await stage.ask("POST", "/v1/call-tokens", json=body), 422, "invalid_field")


# ── sessions and lines ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_session_is_started(opened: Opened) -> None:
    """Covers S1."""
    invited = Invited()
    async with staged(opened, sessions=invited, lines=invited) as stage:
        body = {"agent_id": "a", "context": {"name": "Ann", "cart": [1, None, {"a": "b"}], "age": 7}}
        answer = await stage.ask("POST", "/voice/start", json=body)
        port = stage.client.base_url.port
        assert answer.json() == {
            "session_id": "session-1",
            "token": "token",
            "websocket_url": f"ws://127.0.0.1:{port}/ws/session-1",
        }
        variables = {"name": "Ann", "cart": '[1,null,{"a":"b"}]', "age": "7"}
        assert invited.invitations == [
            {"workspace": "main", "agent": "a", "variables": variables, "metadata": {}, "origin": None}
        ]
        for wrong, pointer in (
            ({}, "/agent_id"),
            ({"agent_id": "a", "context": {"x": "y" * 2049}}, "/context/x"),
            ({"agent_id": "a", "context": {str(n): n for n in range(65)}}, "/context"),
            ({"agent_id": "a", "context": []}, "/context"),
            ({"agent_id": "a", "origin": "shop"}, "/origin"),
        ):
            problem = check_problem(await stage.ask("POST", "/voice/start", json=wrong), 422, "invalid_field")
            assert problem["pointer"] == pointer
        check_problem(await stage.ask("POST", "/voice/start", json={"agent_id": "x"}), 404, "agent_not_found")
        check_problem(
            await stage.ask("POST", "/voice/start", stage.publishable(), json=body), 403, "secret_key_required"
        )


async def test_a_workspace_has_so_many_lines(opened: Opened) -> None:
    """Covers R4."""
    invited = Invited()
    async with staged(opened, sessions=invited, lines=invited) as stage:
        shown = {"id": "main", "max_calls": None, "active_calls": 0, "keep_days": None}
        assert (await stage.ask("GET", "/v1/workspace")).json() == shown
        changed = await stage.ask("PATCH", "/v1/workspace", json={"max_calls": 0})
        assert changed.json()["max_calls"] == 0
        check_problem(await stage.ask("POST", "/voice/start", json={"agent_id": "a"}), 429, "at_capacity")
        for wrong in ({"max_calls": -1}, {"max_calls": "1"}, {"max_calls": 1, "id": "other"}):
            check_problem(await stage.ask("PATCH", "/v1/workspace", json=wrong), 422, "invalid_field")


async def test_a_workspace_keeps_its_calls_for_so_many_days(opened: Opened) -> None:
    """Covers R3's retention, over REST."""
    invited = Invited()
    async with staged(opened, sessions=invited, lines=invited) as stage:
        changed = await stage.ask("PATCH", "/v1/workspace", json={"keep_days": 30})
        assert changed.json() == {"id": "main", "max_calls": None, "active_calls": 0, "keep_days": 30}
        assert stage.store.kept_days("main") == 30
        assert stage.store.kept_days("other") is None
        # What is left out stays.
        assert (await stage.ask("PATCH", "/v1/workspace", json={"max_calls": 5})).json()["keep_days"] == 30
        assert (await stage.ask("PATCH", "/v1/workspace", json={})).json()["max_calls"] == 5
        for wrong in (0, -1, 36_501, "30", 1.5):
            problem = check_problem(
                await stage.ask("PATCH", "/v1/workspace", json={"keep_days": wrong}), 422, "invalid_field"
            )
            assert problem["pointer"] == "/keep_days"
        assert (await stage.ask("PATCH", "/v1/workspace", json={"keep_days": None})).json()["keep_days"] is None
        assert stage.store.kept_days("main") is None


# ── rates ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_key_has_its_rate_and_its_answers_tell_it(opened: Opened) -> None:
    async with staged(opened, rates=Rates(secret_key=3)) as stage:
        left = [int((await stage.ask("GET", "/v1/calls")).headers["ratelimit-remaining"]) for _ in range(3)]
        assert left == [2, 1, 0]
        refused = await stage.ask("GET", "/v1/calls")
        check_problem(refused, 429, "rate_limited")
        assert refused.headers["ratelimit-limit"] == "3" and 0 < int(refused.headers["retry-after"]) <= 20
        assert (await stage.ask("GET", "/v1/calls", stage.other)).is_success


async def test_an_address_that_guesses_keys_is_slowed_down(opened: Opened) -> None:
    async with staged(opened, rates=Rates(guesses=2)) as stage:
        statuses = [(await stage.ask("GET", "/v1/calls", f"sk_{n}")).status_code for n in range(3)]
        assert statuses == [401, 401, 429]
    async with staged(opened, rates=Rates(address=2)) as stage:
        statuses = [(await stage.ask("GET", "/v1/calls")).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]


# ── idempotency ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_same_request_twice_is_done_once(stage: Stage) -> None:
    once = {"Idempotency-Key": "order-1"}
    body = {"kind": "secret", "name": "ci"}
    first = await stage.ask("POST", "/v1/keys", json=body, headers=once)
    again = await stage.ask("POST", "/v1/keys", json=dict(reversed(body.items())), headers=once)
    assert first.status_code == again.status_code == 201 and first.content == again.content
    assert again.headers["idempotency-replayed"] == "true" and "idempotency-replayed" not in first.headers
    other = await stage.ask("POST", "/v1/keys", json=body | {"name": "x"}, headers=once)
    check_problem(other, 422, "idempotency_key_reused")
    elsewhere = await stage.ask("POST", "/v1/call-tokens", json={"agent_id": "a"}, headers=once)
    check_problem(elsewhere, 422, "idempotency_key_reused")
    # Another workspace has keys of its own.
    foreign = await stage.ask("POST", "/v1/keys", stage.other, json=body, headers=once)
    assert foreign.json()["key"] != first.json()["key"]


async def test_what_came_to_nothing_may_be_asked_again(stage: Stage) -> None:
    once = {"Idempotency-Key": "order-2"}
    body = {"kind": "publishable", "name": "p", "domains": []}
    check_problem(await stage.ask("POST", "/v1/keys", json=body, headers=once), 422, "invalid_field")
    body["domains"] = ["shop.example"]
    assert (await stage.ask("POST", "/v1/keys", json=body, headers=once)).status_code == 201


async def test_of_many_at_once_one_is_done(stage: Stage) -> None:
    answers: list[httpx2.Response] = []

    async def ask() -> None:
        body = {"kind": "secret", "name": "race"}
        answers.append(await stage.ask("POST", "/v1/keys", json=body, headers={"Idempotency-Key": "race"}))

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(ask)
    assert len({answer.json()["key"] for answer in answers if answer.status_code == 201}) == 1
    for answer in answers:
        if answer.status_code != 201:
            check_problem(answer, 409, "idempotency_in_flight")
    listed = (await stage.ask("GET", "/v1/keys")).json()["keys"]
    assert [key["name"] for key in listed].count("race") == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "a b", "caf\u00e9"])
async def test_an_idempotency_key_has_bounds(stage: Stage, key: str) -> None:
    answer = await stage.ask(
        "POST", "/v1/keys", json={"kind": "secret", "name": "x"}, headers={"Idempotency-Key": key.encode()}
    )
    check_problem(answer, 400, "idempotency_key_invalid")


# ── faults of a request ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({"kind": "secret"}, 422, "/name"),
        ({"kind": "gold", "name": "x"}, 422, "/kind"),
        ({"kind": "secret", "name": 7}, 422, "/name"),
        ({"kind": "secret", "name": "x", "project_id": "other"}, 422, "/project_id"),
        ({"kind": "secret", "name": "x", "workspace": "other"}, 422, "/workspace"),
        ({"kind": "secret", "name": "x", "scopes": ["calls:read", "calls:steal"]}, 422, "/scopes/1"),
        ({"kind": "publishable", "name": "x", "domains": ["*"]}, 422, "/domains"),
        ({"kind": "publishable", "name": "x", "domains": [None]}, 422, "/domains/0"),
        ({"kind": "publishable", "name": "x", "domains": ["a.com"], "per_day": 10**30}, 400, None),
        ({"kind": "publishable", "name": "x", "domains": ["a.com"], "per_day": 0}, 422, "/per_day"),
        ([], 422, ""),
        ("text", 422, ""),
    ],
)
async def test_a_wrong_value_is_pointed_at(stage: Stage, body: Any, status: int, pointer: str | None) -> None:
    code = "invalid_field" if status == 422 else "invalid_json"
    problem = check_problem(await stage.ask("POST", "/v1/keys", json=body), status, code)
    assert problem.get("pointer") == pointer


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b'{"kind":"secret","kind":"secret","name":"x"}', {}, 400, "invalid_json"),
        (b'{"name":NaN}', {}, 400, "invalid_json"),
        (b'{"a":' * 17 + b"1" + b"}" * 17, {}, 400, "invalid_json"),
        (b"\xff\xfe", {}, 400, "invalid_json"),
        (b"{}", {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        (b"{}", {"Content-Encoding": "gzip"}, 415, "unsupported_media_type"),
        (b" " * 1_048_577, {}, 413, "message_too_large"),
    ],
)
async def test_a_body_that_is_none(
    stage: Stage, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    headers = {"Content-Type": "application/json"} | headers
    check_problem(await stage.ask("POST", "/v1/keys", content=content, headers=headers), status, code)


async def test_text_that_no_database_holds_is_replaced(stage: Stage) -> None:
    body = b'{"kind":"secret","name":"a\\u0000b\\ud800 \\u202e \xf0\x9f\x98\x80 \'; DROP TABLE keys"}'
    made = await stage.ask("POST", "/v1/keys", content=body, headers={"Content-Type": "application/json"})
    assert made.json()["name"] == "a\ufffdb\ufffd \ufffd \U0001f600 '; DROP TABLE keys"


@pytest.mark.parametrize("query", ["limit=1&limit=2", "key=sk_x", "Limit=3", "cursor=%ff"])
async def test_a_query_is_read_strictly(stage: Stage, query: str) -> None:
    check_problem(await stage.ask("GET", f"/v1/keys?{query}"), 400, "invalid_field")


async def test_a_header_that_comes_twice_says_nothing(stage: Stage) -> None:
    headers = [("Authorization", f"Bearer {stage.main}"), ("Authorization", f"Bearer {stage.other}")]
    check_problem(await stage.client.get("/v1/keys", headers=headers), 400, "invalid_request")


# ── two workspaces, and what must not leak ─────────────────────────────────────────────────────────────────────────


async def test_nothing_of_another_workspace_can_be_reached(stage: Stage) -> None:
    """Each id of one workspace, on each route, as the other: word for word what an id gets that does not exist."""
    key = (await stage.ask("GET", "/v1/keys")).json()["keys"][0]["id"]
    assert (await stage.ask("POST", "/v1/agents", json={"text": PARROT})).status_code == 201
    hook = stage.store.webhooks().create("main", "https://example.org/", [], now=0.0).id
    widget = (await stage.ask("POST", "/v1/widgets", json={"name": "w", "agent": "parrot"})).json()["code"]
    bodies = {"agent_id": {"text": PARROT}, "widget_id": {"name": "w", "agent": "parrot"}}
    ids = {
        "call_id": (CALL.format(0), CALL.format(9)), "key_id": (key, "key_none"), "agent_id": ("parrot", "none"),
        "widget_id": (widget, "none"), "webhook_id": (hook, "wh_none"),
    }  # fmt: skip
    document = (await stage.client.get("/v1/openapi.json")).json()
    tried = 0
    for path, operations in document["paths"].items():
        names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
        for method in operations if names else ():
            there, nowhere = ids[names[0]]
            body = {"json": bodies[names[0]]} if method == "put" else {}
            answers = [
                check_problem(
                    await stage.ask(method, path.replace(f"{{{names[0]}}}", id_), stage.other, **body),
                    404,
                    f"{names[0][:-3]}_not_found",
                )
                for id_ in (there, nowhere)
            ]
            assert answers[0]["detail"] == answers[1]["detail"]
            tried += 1
    assert tried >= 4
    assert CALL.format(0) not in (await stage.ask("GET", "/v1/calls", stage.other)).text
    assert key not in (await stage.ask("GET", "/v1/keys", stage.other)).text


async def test_no_key_stands_in_log_store_or_error(
    stage: Stage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Covers R1: shown once, and nowhere else."""
    caplog.set_level(logging.DEBUG)
    once = {"Idempotency-Key": "leak"}
    made = await stage.ask("POST", "/v1/keys", json={"kind": "secret", "name": "leak"}, headers=once)
    secrets = [stage.main, stage.other, stage.publishable(), made.json()["key"], "sk_live_guessed"]
    said = []
    for secret in secrets:
        for path in ("/v1/keys", "/v1/calls", "/v1/keys/key_x", f"/v1/calls?cursor={secret}", f"/v1/nothing/{secret}"):
            answer = await stage.ask("GET", path, secret)
            if secret not in path:
                said.append(answer.text)
        said.append((await stage.ask("POST", "/v1/keys", secret, json={"kind": secret, "name": "x"})).text)
    kept = b"".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    logged = str([record.__dict__ for record in caplog.records if not record.name.startswith("http")])
    for secret in secrets:
        assert secret.encode() not in kept
        assert secret not in logged
        assert not any(secret in text for text in said)


# ── the document ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_document_describes_every_route(stage: Stage) -> None:
    """Covers R7."""
    answer = await stage.client.get("/v1/openapi.json")
    document = answer.json()
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]["/v1/keys"]) == {"get", "post"}
    names = {parameter["name"] for parameter in document["paths"]["/v1/calls"]["get"]["parameters"]}
    assert names >= {"limit", "cursor", "state", "agent"}
    assert document["components"]["schemas"]["MadeKey"]["properties"]["key"] == {"type": "string"}
    page = await stage.client.get("/v1/docs")
    assert page.status_code == 200 and "text/html" in page.headers["content-type"]
    assert "http://" not in page.text and "https://" not in page.text
