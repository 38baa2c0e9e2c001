"""The API as a client sees it: a real server on loopback."""

import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from api_stage import KEY, parts_for, serving_api

import offhook.web
from offhook.protocol.call import LogEntry
from offhook.protocol.call import events as ev
from offhook.protocol.errors import Reason, Refusal
from offhook.protocol.ice import IceServer
from offhook.protocol.record import CallFilter, CallPage, CallRecord, RecordsAway
from offhook.services.api import serve_api
from offhook.services.api.edge import Edge, client_of, scheme_of
from offhook.services.api.throttle import Throttle
from offhook.services.settings import THIS_MACHINE
from offhook.services.store import Store, open_store

pytestmark = pytest.mark.anyio

CALL = "6f1c2d3e-0000-4000-8000-00000000000{}"


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


def mint() -> tuple[str, dict[str, str]]:
    return "token-1", {"id": "front-desk", "name": "Front desk"}


def offer(workspace: str, agent: str) -> ev.Offered:
    return ev.Offered(agent=agent, version="1", workspace=workspace, sdp="v=0", mode="echo")


@pytest.fixture
def store(tmp_path: Path) -> Any:
    store = open_store(tmp_path / "offhook.db")
    for number, (workspace, agent) in enumerate([("main", "a"), ("main", "b"), ("other", "a"), ("main", "a")]):
        call = CALL.format(number)
        store.project(LogEntry(call=call, seq=1, at=float(number), owner=1, event=offer(workspace, agent)))
    yield store
    store.close()


@pytest.fixture
def web(tmp_path: Path) -> Path:
    folder = tmp_path / "web"
    (folder / "pages/call").mkdir(parents=True)
    (folder / "pages/call/index.html").write_text("<!doctype html><title>Call</title>")
    for name in ("a.js", "a.css", "a.svg", ".hidden.js", "secret.py", "no-suffix"):
        (folder / name).write_text(f"/* {name} */")
    (tmp_path / "outside.js").write_text("outside")
    (folder / "link.js").symlink_to(tmp_path / "outside.js")
    return folder


@asynccontextmanager
async def serving(store: Any, web: Path, **more: Any) -> AsyncIterator[httpx2.AsyncClient]:
    async with serving_api(store, web, **{"mint": mint, **more}) as client:
        yield client


def check_problem(response: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """The response is a problem document like every other."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert (problem["type"], problem["status"], problem["code"]) == ("about:blank", status, code)
    assert problem["title"] and problem["detail"]
    assert problem["request_id"] == response.headers["x-request-id"]
    check_headers(response)
    return problem


def check_headers(response: httpx2.Response) -> None:
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self';") and "frame-ancestors 'self'" in policy
    assert "unsafe" not in policy and "*" not in policy
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["permissions-policy"].startswith("microphone=(self)")
    assert response.headers["referrer-policy"]
    assert response.headers["cache-control"]
    assert "server" not in response.headers


# ── pages and files ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_call_page_and_its_files(store: Store, web: Path) -> None:
    async with serving(store, web) as client:
        page = await client.get("/")
        assert page.status_code == 200 and "<title>Call</title>" in page.text
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["cache-control"] == "no-cache"
        check_headers(page)
        for name, media_type in {"a.js": "text/javascript", "a.css": "text/css", "a.svg": "image/svg+xml"}.items():
            file = await client.get(f"/web/{name}")
            assert file.text == f"/* {name} */"
            assert file.headers["content-type"].partition(";")[0] == media_type
            assert file.headers["access-control-allow-origin"] == "*"
            check_headers(file)


async def test_the_real_call_page_is_there(store: Store) -> None:
    async with serving(store, offhook.web.FOLDER) as client:
        assert (await client.get("/")).status_code == 200


async def test_a_file_that_is_known_is_not_sent_again_until_it_changes(store: Store, web: Path) -> None:
    async with serving(store, web) as client:
        first = await client.get("/web/a.js")
        tag = first.headers["etag"]
        for known in (tag, f"W/{tag}", f'"x", {tag}', "*"):
            again = await client.get("/web/a.js", headers={"If-None-Match": known})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        (web / "a.js").write_text("changed now")
        changed = await client.get("/web/a.js", headers={"If-None-Match": tag})
        assert (changed.status_code, changed.text) == (200, "changed now")


async def test_head_is_get_without_a_body(store: Store, web: Path) -> None:
    async with serving(store, web) as client:
        head, get = await client.head("/"), await client.get("/")
        assert head.status_code == 200 and head.content == b""
        assert head.headers["content-length"] == get.headers["content-length"]
        assert (await client.head("/nothing")).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/web/secret.py", "/web/no-suffix", "/web/.hidden.js", "/web/link.js", "/web/pages", "/web/", "/web",
        "/web/../outside.js", "/web/%2e%2e/outside.js", "/web/..%2foutside.js", "/web//outside.js", "/web/a.js%00.js",
        "/web/..%5coutside.js", "/web/%c0%ae%c0%ae/outside.js", "/web/a.js/b.js", "/web/" + "a" * 5000 + ".js",
    ],
)  # fmt: skip
async def test_nothing_else_leaves_the_folder(store: Store, web: Path, path: str) -> None:
    async with serving(store, web) as client:
        # Written by hand: a client would tidy the path up first.
        status, headers, body = await _raw(client, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        assert status == 404, body
        assert b"application/problem+json" in headers
        assert json.loads(body)["code"] == "not_found"


async def _raw(client: httpx2.AsyncClient, request: bytes) -> tuple[int, bytes, bytes]:
    async with await anyio.connect_tcp("127.0.0.1", client.base_url.port or 0) as stream:
        await stream.send(request)
        received = b""
        with anyio.fail_after(20):
            while b"\r\n\r\n" not in received:
                received += await stream.receive()
            head, _, body = received.partition(b"\r\n\r\n")
            length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
            while len(body) < length:
                body += await stream.receive()
    return int(head.split()[1]), head, body


# ── demo tokens ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_demo_token_says_all_a_page_needs(store: Store, web: Path) -> None:
    async with serving(store, web, websocket_path="/calls") as client:
        for request in (client.post("/api/demo/token"), client.post("/api/demo/token", json={})):
            answer = await request
            assert answer.json() == {
                "token": "token-1",
                "agent": {"id": "front-desk", "name": "Front desk"},
                "websocketUrl": f"ws://127.0.0.1:{client.base_url.port}/calls",
                "iceServers": [],
            }
            assert answer.headers["cache-control"] == "no-store"
        assert (await client.get("/api/demo/agent")).json() == {"id": "front-desk", "name": "Front desk"}


async def test_the_socket_is_secure_where_the_page_is(store: Store, web: Path) -> None:
    async with serving(store, web) as client:
        headers = {"X-Forwarded-Proto": "https", "Host": "calls.example.org"}
        answer = await client.post("/api/demo/token", headers=headers)
        assert answer.json()["websocketUrl"] == "wss://calls.example.org/ws"


async def test_stun_and_turn_servers_go_with_a_token(store: Store, web: Path) -> None:
    """Covers G9."""
    made = iter(range(9))

    def servers() -> tuple[IceServer, ...]:
        return (IceServer(("stun:s",)), IceServer(("turn:t",), f"name-{next(made)}", "secret"))

    async with serving(store, web, ice_servers=servers) as client:
        for number in range(2):
            assert (await client.post("/api/demo/token")).json()["iceServers"] == [
                {"urls": ["stun:s"]},
                {"urls": ["turn:t"], "username": f"name-{number}", "credential": "secret"},
            ]


async def test_there_may_be_no_demo(store: Store, web: Path) -> None:
    async with serving(store, web, mint=None) as client:
        check_problem(await client.post("/api/demo/token"), 404, "demo_off")


async def test_a_refusal_keeps_its_reason(store: Store, web: Path) -> None:
    def refuse() -> tuple[str, dict[str, str]]:
        raise Refusal(Reason.AT_CAPACITY, "All lines are busy.", line=3)

    async with serving(store, web, mint=refuse) as client:
        problem = check_problem(await client.post("/api/demo/token"), 429, "at_capacity")
        assert (problem["detail"], problem["line"]) == ("All lines are busy.", 3)


async def test_tokens_are_limited_by_the_address_the_gateway_saw(store: Store, web: Path) -> None:
    async with serving(store, web, tokens_per_minute=2) as client:

        def post(forwarded: str) -> Any:
            return client.post("/api/demo/token", headers={"X-Forwarded-For": forwarded})

        assert [(await post("192.0.2.1")).status_code for _ in range(2)] == [200, 200]
        # What the client wrote in front of the proxy's word does not make it somebody else.
        refused = await post("203.0.113.9, 192.0.2.1")
        check_problem(refused, 429, "rate_limited")
        assert 1 <= int(refused.headers["retry-after"]) <= 30
        assert (await post("192.0.2.2")).status_code == 200


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("127.0.0.1", "192.0.2.1", "192.0.2.1"),
        ("::1", "203.0.113.9, 2001:db8::1", "2001:db8::1"),
        ("127.0.0.1", None, "127.0.0.1"),
        ("192.0.2.7", "192.0.2.1", "192.0.2.7"),
        ("10.1.2.3", "192.0.2.1", "192.0.2.1"),
        ("::ffff:10.1.2.3", "192.0.2.1", "192.0.2.1"),
        ("10.2.2.3", "192.0.2.1", "10.2.2.3"),
        ("", "192.0.2.1", ""),
    ],
)
async def test_a_forwarded_address_counts_only_from_a_trusted_proxy(
    peer: str, forwarded: str | None, client: str
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert client_of(scope) == client
        assert scheme_of(scope) == ("https" if forwarded and client != peer else "http")
        asked.append(client)

    asked: list[str] = []
    headers = [(b"x-forwarded-proto", b"https")]
    if forwarded is not None:
        headers.append((b"x-forwarded-for", forwarded.encode()))
    else:
        headers.clear()
    trusted = [ip_network(text) for text in (*THIS_MACHINE, "10.1.0.0/16")]
    scope = {"type": "http", "method": "GET", "scheme": "http", "client": (peer, 1), "headers": headers}
    await Edge(app, trusted)(scope, None, None)
    assert asked == [client]


def test_a_throttle_fills_up_again_and_stays_small() -> None:
    throttle = Throttle(2, most=3)
    assert [throttle.wait_needed("a", 0.0) for _ in range(3)] == [0.0, 0.0, 30.0]
    assert throttle.wait_needed("a", 29.0) == pytest.approx(1.0)
    assert throttle.wait_needed("a", 30.0) == 0.0
    for number in range(100):
        throttle.wait_needed(str(number), 30.0)
    assert len(throttle._buckets) == 3


# ── history ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_history_goes_page_by_page(store: Store, web: Path) -> None:
    async with serving(store, web) as client:
        first = (await client.get("/v1/calls?limit=2", headers=KEY)).json()
        assert [call["id"] for call in first["calls"]] == [CALL.format(3), CALL.format(1)]
        second = (await client.get("/v1/calls", params={"cursor": first["cursor"]}, headers=KEY)).json()
        assert [call["id"] for call in second["calls"]] == [CALL.format(0)]
        assert second["cursor"] is None
        chosen = (await client.get("/v1/calls?agent=b&state=connecting", headers=KEY)).json()
        assert [call["id"] for call in chosen["calls"]] == [CALL.format(1)]


async def test_one_call(store: Store, web: Path) -> None:
    async with serving(store, web) as client:
        record = (await client.get(f"/v1/calls/{CALL.format(0)}", headers=KEY)).json()
        assert record["agent"] == "a" and record["transcript"] == []
        assert record["states"] == [{"state": "connecting", "at": 0.0, "because": "Offered"}]


async def test_a_call_of_another_workspace_is_as_good_as_none(store: Store, web: Path) -> None:
    async with serving(store, web) as client:
        others = check_problem(await client.get(f"/v1/calls/{CALL.format(2)}", headers=KEY), 404, "call_not_found")
        none = check_problem(await client.get(f"/v1/calls/{CALL.format(9)}", headers=KEY), 404, "call_not_found")
        begun = check_problem(await client.get(f"/v1/calls/{CALL[:8]}", headers=KEY), 404, "call_not_found")
        assert others["detail"] == none["detail"] == begun["detail"]
        assert (
            await client.get(f"/v1/calls/{CALL.format(2)}", headers={"Authorization": "bearer sk_other"})
        ).is_success


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        (None, 401, "key_missing"),
        ("", 401, "key_missing"),
        ("Bearer", 401, "key_missing"),
        ("Basic sk_main", 401, "key_missing"),
        ("Bearer sk_wrong", 401, "key_invalid"),
        ("Bearer sk_main sk_main", 401, "key_invalid"),
        ("Bearer pk_main", 403, "secret_key_required"),
    ],
)
async def test_history_wants_a_secret_key(store: Store, web: Path, header: str | None, status: int, code: str) -> None:
    async with serving(store, web) as client:
        for path in ("/v1/calls", f"/v1/calls/{CALL.format(0)}", "/v1/calls?key=sk_main"):
            response = await client.get(path, headers={} if header is None else {"Authorization": header})
            problem = check_problem(response, status, code)
            assert "sk_wrong" not in problem["detail"]
            assert (response.headers.get("www-authenticate") == "Bearer") is (status == 401)


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("limit=0", "limit"), ("limit=201", "limit"), ("limit=1000000000", "limit"), ("limit=x", "limit"),
        ("limit=" + "9" * 5000, "limit"), ("state=gone", "state"), ("cursor=abc", "cursor"), ("cursor=%00", "cursor"),
        ("cursor=" + "a" * 201, "cursor"), ("agent=" + "a" * 201, "agent"),
    ],
)  # fmt: skip
async def test_a_wrong_parameter_is_named(store: Store, web: Path, query: str, parameter: str) -> None:
    async with serving(store, web) as client:
        problem = check_problem(await client.get(f"/v1/calls?{query}", headers=KEY), 400, "invalid_field")
        assert parameter in problem.get("parameters", [problem.get("parameter")])


# ── errors ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("ask", "status", "code"),
    [
        (lambda c: c.get("/nothing"), 404, "not_found"),
        (lambda c: c.get("/v1/calls/"), 401, "key_missing"),
        (lambda c: c.put("/v1/calls"), 405, "method_not_allowed"),
        (lambda c: c.delete("/"), 405, "method_not_allowed"),
        (lambda c: c.get("/api/demo/token"), 405, "method_not_allowed"),
        (lambda c: c.post("/api/demo/token", content=b"x" * 1_048_577), 413, "message_too_large"),
        (lambda c: c.post("/api/demo/token", content=b"x" * 1_048_577, headers={"X": "1"}), 413, "message_too_large"),
        (lambda c: c.post("/api/demo/token", content=b"a=b"), 415, "unsupported_media_type"),
        (lambda c: c.post("/api/demo/token", data={"a": "b"}), 415, "unsupported_media_type"),
        (lambda c: c.post("/api/demo/token", json={"agent": "x"}), 422, "invalid_field"),
        (lambda c: c.post("/api/demo/token", json=[]), 422, "invalid_field"),
        (lambda c: _post_json(c, b"{"), 400, "invalid_json"),
        (lambda c: _post_json(c, b"\xff"), 400, "invalid_json"),
        (lambda c: _post_json(c, b"[" * 100_000), 400, "invalid_json"),
        (lambda c: c.post("/api/demo/token", headers={"Host": "a b"}), 400, "invalid_request"),
    ],
)
async def test_every_error_is_a_problem_document(
    store: Store, web: Path, ask: Callable[[httpx2.AsyncClient], Any], status: int, code: str
) -> None:
    async with serving(store, web) as client:
        response = await ask(client)
        check_problem(response, status, code)
        assert ("allow" in response.headers) is (status == 405)
        assert (await client.get("/healthz")).json() == {"status": "ok"}


def _post_json(client: httpx2.AsyncClient, body: bytes) -> Any:
    return client.post("/api/demo/token", content=body, headers={"Content-Type": "application/json"})


async def test_a_body_that_grows_is_cut_off(store: Store, web: Path) -> None:
    async def grow() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b"x" * 100_000

    async with serving(store, web) as client:
        check_problem(await client.post("/api/demo/token", content=grow()), 413, "message_too_large")


async def test_a_body_that_is_announced_too_long_is_not_waited_for(store: Store, web: Path) -> None:
    async with serving(store, web) as client:
        request = b"POST /api/demo/token HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n"
        status, _, body = await _raw(client, request)
        assert (status, json.loads(body)["code"]) == (413, "message_too_large")


class Broken:
    """A history that fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def calls(self, wanted: CallFilter | None = None, *, limit: int = 50, cursor: str | None = None) -> CallPage:
        raise self._error

    def call(self, start: str, *, exact: bool = False) -> CallRecord:
        raise self._error


async def test_our_own_fault_tells_nothing_but_where_to_look(web: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Broken(RuntimeError("password hunter2")), web) as client:
        response = await client.get("/v1/calls", headers=KEY)
        problem = check_problem(response, 500, "internal")
        assert "hunter2" not in response.text and "Traceback" not in response.text
    logged = [record for record in caplog.records if record.name == "offhook.api"]
    assert [record.__dict__["request_id"] for record in logged] == [problem["request_id"]]


async def test_records_that_are_away_are_worth_another_try(web: Path) -> None:
    async with serving(Broken(RecordsAway("locked")), web) as client:
        response = await client.get("/v1/calls", headers=KEY)
        check_problem(response, 503, "unavailable")
        assert response.headers["retry-after"] == "5"


# ── serving ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_it_ends_though_clients_hold_on(store: Store, web: Path) -> None:
    with anyio.fail_after(20):
        async with serving(store, web) as client:
            await client.get("/healthz")
            port = client.base_url.port or 0
            idle = await anyio.connect_tcp("127.0.0.1", port)
            halfway = await anyio.connect_tcp("127.0.0.1", port)
            await halfway.send(b"POST /api/demo/token HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
        for stream in (idle, halfway):
            await stream.aclose()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


async def test_it_says_nothing_on_its_own(store: Store, web: Path, capfd: pytest.CaptureFixture[str]) -> None:
    async with serving(store, web) as client:
        await client.get("/")
        await client.get("/nothing")
        await _raw(client, b"\x00\x01 nonsense\r\n\r\n")
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


async def test_an_address_that_is_taken_is_an_error(store: Store, web: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(BaseExceptionGroup) as caught:
            await serve_api("127.0.0.1", taken.getsockname()[1], parts_for(store, web))
        assert caught.group_contains(OSError)
