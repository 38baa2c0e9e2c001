"""``offhook calls`` on a server: what a data folder says, word for word, and clear refusals."""

import json
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import NamedTuple

import anyio.from_thread
import msgspec
import pytest
from api_stage import parts_for
from test_keys import CommandLine
from test_store_search import log_of

from offhook.protocol.call import LogEntry
from offhook.protocol.call import events as ev
from offhook.protocol.keys import NewKey, Scope
from offhook.services.api import serve_api
from offhook.services.cli import call_place
from offhook.services.recordings import RecordingFiles
from offhook.services.settings import recordings_folder
from offhook.services.store import Keys, Store, open_keys, open_store, store_file
from offhook.services.tokens import open_workspace
from offhook.web import FOLDER

GOLD, PLAIN, LIVES = (f"{first}b4e28ba-2fa1-11d2-883f-0016d3cca427" for first in "123")
#: Line separators of Unicode stand in JSON as they are, and end no line of an export.
WORDS = "Opening\u2028hours\u0085please"
SOUND = bytes(range(256)) * 300


class Place(NamedTuple):
    """A data folder with three calls, and a server that serves it."""

    data: Path
    store: Store
    keys: Keys
    workspace: str
    url: str
    key: str

    def there(self, *arguments: str) -> tuple[str, ...]:
        """Arguments that lead to the server."""
        return (*arguments, "--server", self.url, "--key", self.key)

    def here(self, *arguments: str) -> tuple[str, ...]:
        """Arguments that lead to the folder."""
        return (*arguments, "--data", str(self.data))

    def with_scopes(self, *scopes: Scope) -> tuple[str, ...]:
        """Options that lead to the server, with a key that may do no more."""
        key = self.keys.create(self.workspace, NewKey(kind="secret", name="less", scopes=scopes)).key
        return ("--server", self.url, "--key", key)


@pytest.fixture
def offhook(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    monkeypatch.setenv("COLUMNS", "200")
    return CommandLine(capsys)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    file, workspace = store_file(tmp_path), open_workspace(tmp_path)
    store, keys = open_store(file), open_keys(file)
    recorded = log_of(GOLD, WORDS, begin=100.0, metadata={"plan": "gold"}, workspace=workspace.id)
    recorded[3:3] = [msgspec.structs.replace(recorded[3], event=ev.RecordingBegan(key=f"{GOLD}.ogg"))]
    store.project_all(numbered(recorded))
    store.project_all(log_of(PLAIN, begin=200.0, channel="chat", workspace=workspace.id))
    store.project_all(log_of(LIVES, begin=300.0, ended=False, workspace=workspace.id))
    folder = recordings_folder(tmp_path)
    folder.mkdir(parents=True)
    (folder / f"{GOLD}.ogg").write_bytes(SOUND)
    key = keys.create(workspace.id, NewKey(kind="secret", name="server")).key
    with anyio.from_thread.start_blocking_portal("trio") as portal:
        parts = parts_for(store, FOLDER, keys=lambda: keys, sounds=RecordingFiles(folder))
        server, port = portal.start_task(partial(serve_api, "127.0.0.1", 0, parts))
        yield Place(tmp_path, store, keys, workspace.id, f"http://127.0.0.1:{port}", key)
        server.cancel()
    store.close()
    keys.close()


def numbered(log: list[LogEntry]) -> list[LogEntry]:
    return [msgspec.structs.replace(entry, seq=seq) for seq, entry in enumerate(log, 1)]


# ── the same as beside the folder ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "asked",
    [
        "", "--json", "--limit 2 --json", "--state ended", "--channel chat", "--reason caller_hangup --json",
        "--metadata plan=gold --json", "--text opening", "--text swordfish", "--until 1970-01-01T00:03:00Z --json",
        "--since 2h", "--agent nobody --json",
        f"show {GOLD} --json", "show 1b4e --json", f"show {PLAIN}", "show 2b",
        "export", "export --format csv", "export --metadata plan=gold", "export --since 7d",
    ],
)  # fmt: skip
def test_a_server_answers_as_its_folder_does(offhook: CommandLine, place: Place, asked: str) -> None:
    """Covers R2 on the command line."""
    local = offhook("calls", *place.here(*asked.split()))
    assert offhook("calls", *place.there(*asked.split())) == local
    if asked in {"", "export", "show 1b4e --json"}:
        assert "1b4e28ba" in local


def test_the_place_may_stand_behind_calls_or_in_variables(
    offhook: CommandLine, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = offhook("calls", *place.here("show", "2b", "--json"))
    assert offhook("calls", *place.there(), "show", "2b", "--json") == local
    monkeypatch.setenv("OFFHOOK_SERVER", place.url)
    monkeypatch.setenv("OFFHOOK_KEY", place.key)
    assert offhook("calls", "show", "2b", "--json") == local
    assert "3b4e28ba" in offhook("calls")


def test_an_export_goes_into_a_file(offhook: CommandLine, place: Place) -> None:
    file = place.data / "calls.csv"
    for arguments in (place.here, place.there):
        offhook("calls", *arguments("export", "--format", "csv", "--output", str(file)))
        assert file.read_bytes().count(f"caller: {WORDS}".encode()) == 1
    away = str(place.data / "none" / "calls.csv")
    assert "cannot be written" in offhook("calls", *place.there("export", "--output", away), code=1)


def test_a_recording_is_copied_from_a_server(
    offhook: CommandLine, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Covers R5."""
    monkeypatch.chdir(place.data)
    offhook("calls", *place.there("recording", "1b4e"))
    assert (place.data / f"{GOLD}.ogg").read_bytes() == SOUND
    assert "'offhook calls recording' copies it" in offhook("calls", *place.there("show", GOLD))
    assert "is not recorded" in offhook("calls", *place.there("recording", PLAIN, "--output", "x.ogg"), code=1)
    assert not (place.data / "x.ogg").exists()
    assert "cannot be copied" in offhook("calls", *place.there("recording", GOLD, "--output", "none/x.ogg"), code=1)


def test_a_call_is_erased_at_a_server(offhook: CommandLine, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Covers R2: erase; the server goes on with log and recording."""
    answers: list[str] = []
    monkeypatch.setattr("click.confirm", lambda text, abort: answers.append(text))
    monkeypatch.setattr("rich_click.confirm", lambda text, abort: answers.append(text))
    done = offhook("calls", *place.there("erase", "1b4e"))
    assert answers == ["Erase the call 1b4e28ba of 1970-01-01 00:01? This cannot be undone."]
    assert done.startswith(f"Erased call {GOLD}: its record with 1 lines of transcript") and "within a minute" in done
    assert [erasure.call for erasure in place.store.open_erasures()] == [GOLD]
    for more in ((), ("--yes",)):
        assert "has not ended" in offhook("calls", *place.there("erase", LIVES, *more), code=1)
    assert len(answers) == 1
    assert "no call with this id" in offhook("calls", *place.there("erase", GOLD, "--yes"), code=1)
    offhook("calls", "erase", PLAIN, "--yes", *place.with_scopes("calls:write"))
    assert [call.id for call in place.store.calls().calls] == [LIVES]


# ── what is wrong is said ──────────────────────────────────────────────────────────────────────────────────────────


def test_the_beginning_of_an_id_must_lead_to_one_call(
    offhook: CommandLine, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.store.project_all(log_of("1b99", workspace=place.workspace))
    assert "Several calls begin with '1b'" in offhook("calls", *place.there("show", "1b"), code=1)
    assert "no call 'xyz' among the calls" in offhook("calls", *place.there("show", "xyz"), code=1)
    assert "no call ''" in offhook("calls", *place.there("show", ""), code=1)
    unknown = f"9{GOLD[1:]}"
    for command in ("show", "recording", "erase"):
        assert "no call with this id" in offhook("calls", *place.there(command, unknown), code=1)
    monkeypatch.setattr(call_place, "SOUGHT", 2)
    old = offhook("calls", *place.there("show", "1b4e"), code=1)
    assert "among the newest 2 calls" in old and "whole ids" in old
    assert json.loads(offhook("calls", *place.there("show", GOLD, "--json")))["id"] == GOLD


@pytest.mark.parametrize("command", ["", "show 1b", "export", "erase 1b --yes", "recording 1b"])
def test_a_server_that_does_not_let_in_is_said(offhook: CommandLine, place: Place, command: str) -> None:
    words = ("calls", *command.split())
    assert "cannot be reached" in offhook(*words, "--server", "http://127.0.0.1:1", "--key", "sk_x", code=1)
    assert "not known here" in offhook(*words, "--server", place.url, "--key", "sk_x", code=1)
    assert "needs a secret key" in offhook(*words, "--server", place.url, code=2)
    assert "needs the scope calls:read" in offhook(*words, *place.with_scopes("keys:read"), code=1)
    for url in ("127.0.0.1", "ftp://x", "http://", "http://[::1", "http://x:y"):
        assert "is no address" in offhook(*words, "--server", url, "--key", "sk_x", code=2)
    assert "is no key" in offhook(*words, "--server", place.url, "--key", "sk_\u00e4", code=2)


@pytest.mark.parametrize("body", [b"<p>Hello</p>", b"[]", b"{}", b'{"calls": [{"id": 5}], "cursor": null}'])
def test_another_server_is_not_taken_for_offhook(offhook: CommandLine, tmp_path: Path, body: bytes) -> None:
    class Other(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Says nothing."""

    file = str(tmp_path / "file")
    with HTTPServer(("127.0.0.1", 0), Other) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        for command in ("", f"show {GOLD}", f"export --output {file}", f"recording {GOLD} --output {file}"):
            where = ("--server", f"http://127.0.0.1:{server.server_port}", "--key", "sk_x")
            assert "answer is not one of" in offhook("calls", *command.split(), *where, code=1)
        server.shutdown()


@pytest.mark.parametrize("command", ["rebuild", "keep", "replay 1b", "dead", "rotate-signing"])
def test_what_a_server_cannot_do_is_refused(
    offhook: CommandLine, place: Place, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    group = {"replay": (), "dead": (), "rotate-signing": ("keys",)}.get(command.split()[0], ("calls",))
    words = (*group, *command.split())
    refused = offhook(*words, "--server", place.url, code=2)
    assert f"'offhook {' '.join(words[: len(group) + 1])}' works beside a data folder only" in refused
    assert offhook(*place.there(*words), code=2) == refused
    # Named by the variable only, the command does not go to the folder of this machine behind the user's back.
    monkeypatch.setenv("OFFHOOK_SERVER", place.url)
    assert "OFFHOOK_SERVER names a server: name the folder with --data" in offhook(*words, code=2)
    if group == ("calls",):
        assert "needed where OFFHOOK_SERVER is set" in offhook(*words[:2], "--help")


def test_the_command_line_counts_more_than_a_variable(
    offhook: CommandLine, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OFFHOOK_SERVER", "http://127.0.0.1:1")
    monkeypatch.setenv("OFFHOOK_KEY", "sk_x")
    assert "1b4e28ba" in offhook("calls", *place.here())
    assert GOLD in offhook("calls", *place.here(), "show", "1b")
    assert GOLD in offhook("calls", *place.here("show", "1b"))
    assert offhook("calls", *place.here("keep")) == "Calls are kept for ever.\n"
    assert "first key" in offhook("keys", *place.here("list"))
    assert "signed with a new key" in offhook("keys", *place.here("rotate-signing"))
    assert "cannot be reached" in offhook("calls", "show", "1b", code=1)
    for words in ((), ("show", GOLD), ("erase", GOLD, "--yes")):
        assert "Either --server, or --data" in offhook("calls", *place.there(*place.here(*words)), code=2)
    assert "Either --server" in offhook("keys", "list", *place.there(*place.here()), code=2)


def test_options_of_a_folder_are_refused_for_a_server(offhook: CommandLine, place: Place) -> None:
    for command, option in (("erase", "--nats=nats://x"), ("show", "--recordings=s3://calls"),
                            ("recording", "--recordings-endpoint=http://x")):  # fmt: skip
        refused = offhook("calls", *place.there(command, GOLD, option), code=2)
        assert option.partition("=")[0] + " is about a data folder" in refused
