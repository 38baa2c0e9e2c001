"""Webhooks over real sockets and real databases: signed, once more until they come through, and never inside."""

import datetime
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from test_store import Cutter, PowerCut
from test_store_search import log_of
from webhook_receiver import Receiver, open_receiver

from offhook.protocol.webhooks import (
    Attempt,
    DueMessage,
    UrlNotAllowed,
    WebhookNotFound,
    WebhookUnfit,
    new_secret,
    parse_networks,
    verify,
)
from offhook.services.store import Store, open_store, tell_webhooks
from offhook.services.webhooks import check_webhook_url, run_webhooks, send

pytestmark = pytest.mark.anyio

LOOPBACK = parse_networks(["127.0.0.0/8"])
SECRET = new_secret(b"s" * 32)
DAY = 86_400.0


@pytest.fixture(params=["trio", "asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    place = str(tmp_path / "offhook.db")
    if request.param == "postgresql":
        place = request.getfixturevalue("postgres").new_database()
    store = open_store(place)
    yield store
    store.close()


async def send_to(url: str, **more: Any) -> Attempt:
    options: dict[str, Any] = {"allowed": LOOPBACK, "tls": ssl.create_default_context()}
    return await send(url, id="msg_1", body='{"type":"x"}', secrets=[SECRET], **(options | more))


# ── one attempt ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_message_is_signed_and_says_whom_it_is_for() -> None:
    async with open_receiver() as receiver:
        attempt = await send_to(receiver.url("/hook?x=1"))
        assert (attempt.status, attempt.error) == (204, None)
    (received,) = receiver.received
    assert received.target == "/hook?x=1"
    assert received.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert (received.headers["webhook-id"], received.body) == ("msg_1", b'{"type":"x"}')
    verify(SECRET, received.headers, received.body, now=attempt.at)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
async def test_nothing_connects_inside(host: str) -> None:
    async with open_receiver() as receiver:
        attempt = await send_to(receiver.url(host=host), allowed=())
        assert attempt.status is None and (attempt.error or "").startswith("webhook_url_not_allowed: ")
        assert receiver.connections == 0


async def test_a_redirect_is_not_followed() -> None:
    async with open_receiver() as inside, open_receiver() as receiver:
        to = inside.url().encode()
        receiver.answers = [b"HTTP/1.1 307 Temporary Redirect\r\nLocation: " + to + b"\r\nContent-Length: 0\r\n\r\n"]
        attempt = await send_to(receiver.url())
        assert (attempt.status, attempt.error) == (307, "http_307: redirects are not followed")
        assert not attempt.came_through and inside.connections == 0


async def test_a_receiver_that_never_answers_is_left() -> None:
    async with open_receiver() as receiver:
        receiver.silent = True
        attempt = await send_to(receiver.url(), seconds=0.2)
        assert attempt.status is None and (attempt.error or "").startswith("timeout: ")


async def test_of_an_endless_answer_a_little_is_read() -> None:
    async with open_receiver() as receiver:
        receiver.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"]
        receiver.endless = True
        attempt = await send_to(receiver.url())
        assert (attempt.status, attempt.error) == (200, None)
        # What the kernels of both sides hold on the way comes on top.
        assert receiver.sent < 30_000_000


async def test_junk_for_an_answer_and_nobody_there_are_said() -> None:
    async with open_receiver() as receiver:
        receiver.answers = [b"\x00\x01 not http\r\n\r\n"]
        attempt = await send_to(receiver.url())
        assert attempt.status is None and (attempt.error or "").startswith("connection_failed: ")
    attempt = await send_to(receiver.url())
    assert attempt.status is None and (attempt.error or "").startswith("connection_failed")


# ── names ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class Names:
    """What the system's resolver answers, instead of the network's: each name one answer after another."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **answers: list[list[str]]) -> None:
        self._answers = answers
        self.asked: list[str] = []
        self._real = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._resolve)

    def _resolve(self, host: Any, port: Any, *arguments: Any, **more: Any) -> Any:
        name = (host.decode() if isinstance(host, bytes) else host).partition(".")[0]
        if name not in self._answers:
            return self._real(host, port, *arguments, **more)
        self.asked.append(name)
        answers = self._answers[name]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, int(port))) for address in addresses]


async def test_a_name_that_changes_after_it_was_saved_leads_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(monkeypatch, rebind=[["8.8.8.8"], ["127.0.0.1"]])
    async with open_receiver() as receiver:
        url = receiver.url(host="rebind.example")
        assert (await check_webhook_url(url, allowed=())).host == "rebind.example"
        attempt = await send_to(url, allowed=())
        assert (attempt.error or "").startswith("webhook_url_not_allowed: 127.0.0.1")
        assert receiver.connections == 0 and names.asked == ["rebind", "rebind"]


async def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is asked for once; a second answer, for whoever asked again, would lead elsewhere."""
    names = Names(monkeypatch, pinned=[["127.0.0.1"], ["127.0.0.2"]])
    async with open_receiver() as receiver:
        attempt = await send_to(receiver.url(host="pinned.example"))
        assert attempt.status == 204 and names.asked == ["pinned"]
        assert receiver.received[0].headers["host"] == f"pinned.example:{receiver.port}"


async def test_a_name_with_one_address_inside_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, mixed=[["8.8.8.8", "10.0.0.1"]])
    with pytest.raises(UrlNotAllowed, match=r"10\.0\.0\.1"):
        await check_webhook_url("https://mixed.example/", allowed=())


async def test_a_name_nobody_knows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, nothing=[[]])
    with pytest.raises(UrlNotAllowed, match="no address"):
        await check_webhook_url("https://nothing.example/", allowed=())


# ── certificates ───────────────────────────────────────────────────────────────────────────────────────────────────


def certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for ``name``, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    encoding, form, none = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    file = folder / "server.pem"
    file.write_bytes(key.private_bytes(encoding, form, none) + pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    client = ssl.create_default_context(cadata=pem.decode())
    return server, client


async def test_a_certificate_must_be_trusted_and_of_that_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    Names(monkeypatch, hooks=[["127.0.0.1"]], other=[["127.0.0.1"]])
    server, client = certificate(tmp_path, "hooks.example")
    async with open_receiver(server) as receiver:
        url = receiver.url(scheme="https", host="hooks.example")
        assert (await send_to(url, tls=client)).status == 204
        for wrong in (
            await send_to(url),
            await send_to(receiver.url(scheme="https", host="other.example"), tls=client),
            await send_to(receiver.url(scheme="https"), tls=client),
        ):
            assert wrong.status is None and "CERTIFICATE_VERIFY_FAILED" in (wrong.error or "")
        assert len(receiver.received) == 1


# ── the outbox ─────────────────────────────────────────────────────────────────────────────────────────────────────


def keep(store: Store, *entries: Any) -> None:
    store.project_all(entries, listener=tell_webhooks)


def test_messages_stand_in_the_outbox_with_what_they_tell_of(store: Store) -> None:
    """Whatever breaks off in between, and whatever comes twice."""
    hooks = store.webhooks()
    all_of_it = hooks.create("main", "https://a.example/", [], now=0.0)
    some = hooks.create("main", "https://b.example/", ["call.ended"], now=0.0)
    other = hooks.create("other", "https://c.example/", [], now=0.0)
    entries = log_of("1", "hello")
    cutter = Cutter(store._engine)
    for entry in entries:
        for left in (6, 3, 8):
            cutter.left = left
            try:
                keep(store, entry)
            except PowerCut:
                continue
        cutter.left = None
        keep(store, entry)
        keep(store, entry)
    told = [one.event for one in hooks.deliveries("main", all_of_it.id)]
    # The sample goes from connecting to answered through ringing.
    assert told[::-1] == ["call.started", "call.ringing", "call.answered", "transcript.final", "call.ended"]
    assert [one.event for one in hooks.deliveries("main", some.id)] == ["call.ended"]
    assert hooks.deliveries("other", other.id) == []
    (due,) = [one for one in store.outbox().take_due(now=1e9, limit=99) if one.webhook == some.id]
    body = msgspec.json.decode(due.body)
    assert body["data"]["call"]["transcript"][0]["text"] == "hello"
    assert store.rebuild("1", entries)
    assert len(hooks.deliveries("main", all_of_it.id)) == 5, "nobody is told again of a rebuilt record"
    assert store.erase("1", now=5.0) is not None
    assert hooks.deliveries("main", all_of_it.id) == []


def test_another_workspaces_webhook_is_not_there(store: Store) -> None:
    hooks = store.webhooks()
    made = hooks.create("main", "https://a.example/", [], now=0.0)
    assert hooks.page("other") == [] and [one.id for one in hooks.page("main")] == [made.id]
    for act in (hooks.get, hooks.delete, hooks.enable, hooks.deliveries):
        with pytest.raises(WebhookNotFound):
            act("other", made.id)
    with pytest.raises(WebhookNotFound):
        hooks.rotate("other", made.id, overlap=1.0, now=0.0)
    with pytest.raises(WebhookNotFound):
        hooks.replay("main", made.id, message="msg_x", now=0.0)
    hooks.delete("main", made.id)
    assert hooks.page("main") == []


def test_a_webhook_is_disabled_after_three_days_and_can_be_enabled(store: Store) -> None:
    hooks, outbox = store.webhooks(), store.outbox()
    made = hooks.create("main", "https://a.example/", ["call.started"], now=0.0)
    for day in range(4):
        keep(store, *log_of(f"call-{day}", begin=day * DAY))
    now, disabled, attempts = 0.0, None, 0
    while disabled is None:
        for due in outbox.take_due(now=now, limit=99):
            disabled = outbox.note(due, Attempt(at=now, took=1.0, status=500, error="http_500"), chance=0.5) or disabled
            attempts += 1
        now += 600.0
        assert now < 5 * DAY
    assert 3 * DAY <= now < 3.5 * DAY and disabled.state == "disabled" and "three days" in (disabled.notice or "")
    assert outbox.take_due(now=now + DAY, limit=99) == []
    states = [one.state for one in hooks.deliveries("main", made.id)]
    assert states[-1] == "failed" and "pending" in states
    enabled = hooks.enable("main", made.id)
    assert (enabled.state, enabled.notice) == ("enabled", None)
    due = outbox.take_due(now=now + DAY, limit=99)[0]
    assert outbox.note(due, Attempt(at=now, took=0.1, status=200), chance=0.0) is None
    assert hooks.get("main", made.id).failing_since is None
    assert hooks.replay("main", made.id, since=0.0, now=now) >= 1
    gone = outbox.take_due(now=now + 2 * DAY, limit=1)[0]
    ended = outbox.note(gone, Attempt(at=now, took=0.1, status=410, error="http_410"), chance=0.0)
    assert ended is not None and "410" in (ended.notice or "")


def test_a_webhook_is_changed_and_its_deliveries_are_told_in_full(store: Store) -> None:
    hooks, outbox = store.webhooks(), store.outbox()
    made = hooks.create("main", "https://a.example/", ["call.ended"], now=0.0)
    keep(store, *log_of("1"))
    off = hooks.change("main", made.id, url="https://b.example/", events=["call.started"], state="disabled")
    assert (off.url, off.events, off.state) == ("https://b.example/", ("call.started",), "disabled")
    assert hooks.change("main", made.id) == hooks.get("main", made.id) == off
    keep(store, *log_of("2"))
    assert outbox.take_due(now=9e9, limit=9) == [], "what waits goes on waiting"
    assert hooks.change("main", made.id, state="enabled", events=[]).events == ()
    keep(store, *log_of("3"))
    assert {one.call for one in hooks.deliveries("main", made.id)} == {"1", "3"}
    due = next(one for one in outbox.take_due(now=9e9, limit=9) if '"call.ended"' in one.body)
    outbox.note(due, Attempt(at=9e9, took=0.5, status=503, error="http_503"), chance=0.5)
    told = hooks.delivery("main", made.id, due.message)
    assert (told.body, told.status, told.took) == (due.body, 503, 0.5)
    assert told.history == (Attempt(at=9e9, took=0.5, status=503, error="http_503"),)
    for workspace, message in (("other", due.message), ("main", "msg_x")):
        with pytest.raises(WebhookNotFound):
            hooks.delivery(workspace, made.id, message)
    with pytest.raises(WebhookUnfit):
        hooks.change("main", made.id, events=["call.end"])
    with pytest.raises(WebhookNotFound):
        hooks.change("other", made.id, state="disabled")


def test_what_is_being_sent_is_not_given_out_twice(store: Store) -> None:
    hooks, outbox = store.webhooks(), store.outbox()
    hooks.create("main", "https://a.example/", ["call.ended"], now=0.0)
    keep(store, *log_of("1"))
    assert len(outbox.take_due(now=100.0, limit=9)) == 1
    assert outbox.take_due(now=101.0, limit=9) == []
    assert len(outbox.take_due(now=200.0, limit=9)) == 1, "whoever took it died"


def test_what_came_of_many_attempts_is_noted_at_one_time(store: Store) -> None:
    hooks, outbox = store.webhooks(), store.outbox()
    made = hooks.create("main", "https://a.example/", ["call.ended"], now=0.0)
    keep(store, *(entry for number in range(64) for entry in log_of(str(number))))
    due, failures = outbox.take_due(now=100.0, limit=99), list[BaseException]()

    def note(some: list[DueMessage]) -> None:
        try:
            for number, one in enumerate(some):
                attempt = Attempt(at=100.0, took=0.1, status=200 if number % 2 else 500)
                outbox.note(one, attempt, chance=0.0)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=note, args=(due[number::4],)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert [one.attempts for one in hooks.deliveries("main", made.id, limit=99)] == [1] * 64


def test_old_messages_go_but_not_those_that_wait(store: Store) -> None:
    hooks, outbox = store.webhooks(), store.outbox()
    made = hooks.create("main", "https://a.example/", ["call.ended"], now=0.0)
    keep(store, *log_of("1"), *log_of("2"))
    due = outbox.take_due(now=100.0, limit=1)[0]
    outbox.note(due, Attempt(at=100.0, took=0.1, status=200), chance=0.0)
    assert outbox.drop_old(now=100 * DAY) == 1
    assert [one.state for one in hooks.deliveries("main", made.id)] == ["pending"]


# ── all together ───────────────────────────────────────────────────────────────────────────────────────────────────


@asynccontextmanager
async def sending(store: Store) -> AsyncIterator[Receiver]:
    async with open_receiver() as receiver, anyio.create_task_group() as tasks:

        async def run() -> None:
            await run_webhooks(store.outbox(), allowed=LOOPBACK)

        tasks.start_soon(run)
        yield receiver
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_a_receiver_that_never_answers_holds_up_no_other(store: Store) -> None:
    async with open_receiver() as deaf, sending(store) as receiver:
        deaf.silent = True
        hooks = store.webhooks()
        silent = hooks.create("main", deaf.url(), ["call.ended"], now=0.0)
        keep(store, *log_of("1", "hello"))
        await deaf.wait_received(1)
        hooks.create("main", receiver.url(), ["call.ended"], now=0.0)
        for number in (2, 3):
            keep(store, *log_of(str(number), "hello"))
            await receiver.wait_received(number - 1)
        # The first attempt of the other is still on its way: nobody has waited for its end.
        (first,) = [one for one in hooks.deliveries("main", silent.id) if one.call == "1"]
        assert first.attempts == 0


@pytest.mark.parametrize("anyio_backend", ["trio"])
async def test_a_message_comes_again_with_the_same_id_until_it_comes_through(store: Store) -> None:
    async with sending(store) as receiver:
        receiver.answers = [
            b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ]
        hooks = store.webhooks()
        made = hooks.create("main", receiver.url(), ["call.ended"], now=0.0)
        keep(store, *log_of("1", "hello"))
        await receiver.wait_received(1)
        with anyio.fail_after(60):
            while (first := hooks.deliveries("main", made.id)[0]).attempts == 0:
                await anyio.sleep(0.02)
        assert (first.state, first.status, first.error) == ("pending", 503, "http_503")
        rotated = hooks.rotate("main", made.id, overlap=1e10, now=0.0)
        await receiver.wait_received(2)
        with anyio.fail_after(60):
            while hooks.deliveries("main", made.id)[0].state != "delivered":
                await anyio.sleep(0.02)
        assert hooks.replay("main", made.id, message=first.message, now=1.0) == 1
        await receiver.wait_received(3)
    assert {one.headers["webhook-id"] for one in receiver.received} == {first.message}
    assert {one.body for one in receiver.received} == {receiver.received[0].body}
    for received, secrets in zip(receiver.received, ([made], [made, rotated], [made, rotated]), strict=True):
        assert len(received.headers["webhook-signature"].split()) == len(secrets)
        for one in secrets:
            verify(one.secret, received.headers, received.body, now=float(received.headers["webhook-timestamp"]))
