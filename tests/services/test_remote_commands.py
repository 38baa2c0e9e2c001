"""``offhook keys``, ``webhooks`` and ``widgets``, on a data folder and on a server: word for word the same."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import anyio.from_thread
import pytest
from api_stage import parts_for
from test_keys import CommandLine
from test_store_search import log_of

from offhook.protocol.keys import NewKey
from offhook.protocol.webhooks import parse_networks
from offhook.services.api import serve_api
from offhook.services.store import open_keys, open_store, open_widgets, store_file, tell_webhooks
from offhook.services.tokens import open_workspace
from offhook.services.webhooks import check_webhook_url
from offhook.web import FOLDER

ALLOWED = "127.0.0.9"


@pytest.fixture
def offhook(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.setenv("COLUMNS", "200")
    return CommandLine(capsys)


@pytest.fixture(params=["local", "remote"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[str]]:
    """The options that lead to the folder, and to a server that serves it."""
    if request.param == "local":
        yield ["--data", str(tmp_path)]
        return
    place, workspace = store_file(tmp_path), open_workspace(tmp_path)
    store, keys, widgets = open_store(place), open_keys(place), open_widgets(place)
    keys.adopt(workspace.id, workspace.secret_key_hash)
    key = keys.create(workspace.id, NewKey(kind="secret", name="server")).key
    with anyio.from_thread.start_blocking_portal("trio") as portal:
        parts = parts_for(
            store, FOLDER, keys=lambda: keys, widgets=lambda: widgets,
            check_webhook_url=partial(check_webhook_url, allowed=parse_networks([ALLOWED])),
        )  # fmt: skip
        server, port = portal.start_task(partial(serve_api, "127.0.0.1", 0, parts))
        yield ["--server", f"http://127.0.0.1:{port}", "--key", key]
        server.cancel()
    for opened in (store, keys, widgets):
        opened.close()


def test_keys(offhook: CommandLine, where: list[str], tmp_path: Path) -> None:
    """Covers R1: the contract of ``offhook keys create``."""
    made = json.loads(offhook("keys", "create", "--kind", "secret", "--name", "[b]ackend", *where, "--json"))
    assert made["key"].startswith("sk_live_") and made["scopes"] == ["*"]
    listed = [json.loads(line) for line in offhook("keys", "list", *where, "--json").splitlines()]
    assert [key["name"] for key in listed if key["name"] != "server"] == ["[b]ackend", "first key"]
    shown = offhook("keys", "list", *where)
    assert made["key"] not in shown and made["id"] in shown and "[b]ackend" in shown
    rotated = json.loads(offhook("keys", "rotate", made["id"], "--overlap", "0", *where, "--json"))
    assert "does not count any more" in offhook("keys", "revoke", rotated["id"], *where)
    keys = open_keys(store_file(tmp_path))
    assert keys.find(made["key"]) is None and keys.find(rotated["key"]) is None
    keys.close()
    page = offhook("keys", "create", "--kind", "publishable", "--name", "site", "--domain", "example.com", *where)
    assert page.splitlines()[-1].startswith("pk_live_")
    misused = 1 if "--server" in where else 2
    unfit = offhook("keys", "create", "--kind", "publishable", "--name", "x", *where, code=misused)
    assert "Name the domains" in unfit
    assert "no key with this id" in offhook("keys", "revoke", "key_x", *where, code=1)


def test_webhooks(offhook: CommandLine, where: list[str], tmp_path: Path) -> None:
    """Covers R6 on the command line."""
    assert "no webhooks yet" in offhook("webhooks", "list", *where)
    assert "127.0.0.1" in offhook("webhooks", "create", "http://127.0.0.1:9/", *where, code=1)
    allow = ("--webhook-allow", ALLOWED)
    made = json.loads(
        offhook("webhooks", "create", f"http://{ALLOWED}/x", "--event", "call.ended", *allow, "--json", *where)
    )
    id_, secret = made["id"], made["secret"]
    listed = offhook("webhooks", "list", *where)
    assert id_ in listed and "call.ended" in listed
    assert secret not in listed + offhook("webhooks", "list", "--json", *where)
    store = open_store(store_file(tmp_path))
    for number in range(3):
        log = log_of(f"c{number}", begin=float(number), workspace=made["workspace"])
        store.project_all(log, listener=tell_webhooks)
    store.close()
    shown = offhook("webhooks", "deliveries", id_, "--state", "pending", "--limit", "2", *where)
    assert shown.count("call.ended") == 2 and "pending" in shown
    told = [json.loads(line) for line in offhook("webhooks", "deliveries", id_, "--json", *where).splitlines()]
    assert [one["call"] for one in told] == ["c2", "c1", "c0"]
    assert offhook("webhooks", "deliveries", id_, "--state", "failed", *where) == "No deliveries.\n"
    message = told[0]["message"]
    whole = json.loads(offhook("webhooks", "delivery", id_, message, "--json", *where))
    assert json.loads(whole["body"])["type"] == "call.ended" and whole["history"] == []
    read = offhook("webhooks", "delivery", id_, message, *where)
    assert read.startswith("call.ended of call c2, pending") and '"type": "call.ended"' in read
    assert "was never to get" in offhook("webhooks", "delivery", id_, "msg_x", *where, code=1)
    again = offhook("webhooks", "replay", id_, "--message", message, *where)
    assert again == "Sending 1 messages again.\n"
    assert offhook("webhooks", "replay", id_, "--since", "2026-11-20", *where) == "Sending 0 messages again.\n"
    assert "Either --message or --since" in offhook("webhooks", "replay", id_, *where, code=2)
    changed = json.loads(
        offhook("webhooks", "change", id_, "--url", f"http://{ALLOWED}/y", "--all-events", *allow, "--json", *where)
    )
    assert (changed["url"], changed["events"]) == (f"http://{ALLOWED}/y", [])
    assert json.loads(offhook("webhooks", "disable", id_, "--json", *where)) == changed | {"state": "disabled"}
    assert "Say what to change" in offhook("webhooks", "change", id_, *where, code=2)
    assert f"{id_}  enabled" in offhook("webhooks", "enable", id_, *where)
    rotated = json.loads(offhook("webhooks", "rotate", id_, "--json", *where))
    assert rotated["secret"] not in {secret, ""}
    assert offhook("webhooks", "delete", id_, *where) == f"Deleted {id_}.\n"
    assert "no webhook with this id" in offhook("webhooks", "delete", id_, *where, code=1)


def test_widgets(offhook: CommandLine, where: list[str], tmp_path: Path) -> None:
    """Covers W8 on the command line: made from options and from files, changed, deleted."""
    assert "no widgets yet" in offhook("widgets", "list", *where)
    options = ("--name", "Shop", "--agent", "desk", "--domain", "*.shop.example", "--text", "greeting=Hi [there]")
    made = json.loads(offhook("widgets", "create", *options, "--json", *where))
    assert (made["kind"], made["domains"], made["texts"]) == (
        "phone",
        ["https://*.shop.example"],
        {"greeting": "Hi [there]"},
    )
    code = made["code"]
    look = ("--style", "primaryColor=#aa3300", "--text", "greeting=", "--text", "title=Talk=now", "--kind", "chat")
    changed = json.loads(offhook("widgets", "update", code, *look, "--json", *where))
    assert changed["texts"] == {"title": "Talk=now"} and changed["style"] == {"primaryColor": "#aa3300"}
    assert changed["domains"] == made["domains"] and changed["kind"] == "chat"
    shown = offhook("widgets", "show", code, *where)
    assert "Talk=now" in shown and "#aa3300" in shown
    file = tmp_path / "widget.json"
    file.write_text(offhook("widgets", "show", code, "--json", *where).replace("Shop", "Store"))
    assert json.loads(offhook("widgets", "update", code, "--file", str(file), "--json", *where))["name"] == "Store"
    (tmp_path / "new.toml").write_text('name = "New"\nagent = "desk"\nlanguages = ["de-AT"]\n[texts]\ntitle = "x"\n')
    new = offhook("widgets", "create", "--file", str(tmp_path / "new.toml"), "--name", "Newer", "--json", *where)
    assert json.loads(new)["name"] == "Newer" and json.loads(new)["languages"] == ["de-AT"]
    listed = [json.loads(line)["name"] for line in offhook("widgets", "list", "--json", *where).splitlines()]
    assert listed == ["Newer", "Store"]
    assert code in offhook("widgets", "list", *where)
    assert offhook("widgets", "delete", code, *where) == f"Deleted {code}.\n"
    assert "no widget with this code" in offhook("widgets", "show", code, *where, code=1)


def test_what_a_widget_cannot_be_is_said(offhook: CommandLine, where: list[str], tmp_path: Path) -> None:
    (tmp_path / "wrong.json").write_text('{"name": "x", "agent": "a", "colour": "red"}')
    (tmp_path / "broken.toml").write_text("name = ")
    both = ("--name", "x", "--agent", "a")
    for arguments, sentence in (
        (("--name", "x"), "needs --agent"),
        ((*both, "--text", "greeting"), "write NAME=VALUE"),
        ((*both, "--language", "x"), "A widget cannot be so"),
        (("--file", str(tmp_path / "wrong.json")), "colour"),
        (("--file", str(tmp_path / "broken.toml")), "cannot be read as toml"),
    ):
        assert sentence in offhook("widgets", "create", *arguments, *where, code=2)
    misused = 1 if "--server" in where else 2
    assert "is no domain" in offhook("widgets", "create", *both, "--domain", "a b", *where, code=misused)
    assert "no widgets yet" in offhook("widgets", "list", *where)


def test_a_server_that_is_none_is_said(offhook: CommandLine) -> None:
    for command in ("keys", "webhooks", "widgets"):
        away = ("--server", "http://127.0.0.1:1", "--key", "sk_x")
        assert "cannot be reached" in offhook(command, "list", *away, code=1)
        assert "needs a secret key" in offhook(command, "list", "--server", "http://127.0.0.1:1", code=2)


@pytest.mark.parametrize(
    "command", ["keys list", "webhooks list", "widgets list", "agents list", "calls keep", "token --agent front-desk"]
)
def test_a_folder_that_cannot_be_used_is_said(offhook: CommandLine, command: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = offhook(*command.split(), "--data", str(tmp_path / "file" / "data"), code=1)
    assert "cannot be used" in done and "--data" in done
