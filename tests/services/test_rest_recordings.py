"""Recordings over REST: whole, in parts, by a link, and to nobody else (covers R2, R5)."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from test_api import check_problem
from test_rest import Opened, Stage, opened, staged

from offhook.protocol.call import LogEntry
from offhook.protocol.call import events as ev
from offhook.services.recordings import CHUNK, RecordingFiles
from offhook.services.tokens import RecordingTokens, mint_token, open_workspace, rotate_signing_key
from offhook.services.tokens.grants import mint_recording_token

pytestmark = pytest.mark.anyio
__all__ = ["opened"]

#: Longer than what is read at a time, and without a pattern that a wrong offset would hide in.
SOUND = os.urandom(2 * CHUNK + 17)


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


def log_of(call: str, *, workspace: str = "main", recorded: bool = True, saved: bool = True, ended: bool = True) -> Any:
    key = f"{call}.ogg"
    offered = ev.Offered(agent="a", version="1", workspace=workspace, sdp="v=0", mode="traditional")
    happened: list[ev.CallEvent] = [offered, ev.MediaConnected()]
    if recorded:
        happened.append(ev.RecordingBegan(key=key))
    happened.append(ev.AgentAnswered())
    if ended:
        happened += [ev.CallerHungUp(), ev.AgentStopped()]
    if recorded and saved and ended:
        happened.append(ev.RecordingSaved(key=key, seconds=3.0, size=len(SOUND), began_at=2.5))
    if ended:
        happened.append(ev.MediaClosed())
    return [LogEntry(call=call, seq=seq, at=float(seq), owner=1, event=event) for seq, event in enumerate(happened, 1)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The recordings of the calls that were recorded."""
    made = tmp_path / "recordings"
    made.mkdir()
    for call in ("whole", "killed", "living", "theirs"):
        (made / f"{call}.ogg").write_bytes(SOUND)
    return made


@pytest.fixture
async def stage(opened: Opened, tmp_path: Path, folder: Path) -> AsyncIterator[Stage]:
    opened[0].project_all(
        [
            *log_of("whole"),
            *log_of("killed", saved=False),
            *log_of("living", ended=False),
            *log_of("theirs", workspace="other"),
            *log_of("unheard", recorded=False),
            *log_of("cleaned"),
        ]
    )
    tokens = RecordingTokens(lambda: open_workspace(tmp_path))
    async with staged(opened, sounds=RecordingFiles(folder), recording_tokens=tokens) as running:
        yield running


async def link_to(stage: Stage, call: str, **asked: int) -> str:
    """The path of a fresh link."""
    made = await stage.ask("POST", f"/v1/calls/{call}/recording-links", json=asked)
    assert made.status_code == 201, made.text
    url: str = made.json()["url"]
    return urlsplit(url).path


# ── the recording ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_recording_comes_whole_and_in_parts(stage: Stage) -> None:
    path = "/v1/calls/whole/recording"
    whole = await stage.ask("GET", path)
    assert (whole.status_code, whole.content) == (200, SOUND)
    assert whole.headers["content-type"] == "audio/ogg"
    assert whole.headers["content-disposition"] == 'inline; filename="whole.ogg"'
    assert (whole.headers["accept-ranges"], whole.headers["content-length"]) == ("bytes", str(len(SOUND)))
    size = len(SOUND)
    for asked, first, end in (
        ("bytes=0-0", 0, 1),
        (f"bytes=5-{CHUNK + 9}", 5, CHUNK + 10),
        (f"bytes={size - 3}-", size - 3, size),
        ("bytes=-20", size - 20, size),
        (f"bytes=7-{10 * size}", 7, size),
    ):
        part = await stage.ask("GET", path, headers={"Range": asked})
        assert (part.status_code, part.content) == (206, SOUND[first:end]), asked
        assert part.headers["content-range"] == f"bytes {first}-{end - 1}/{size}"
        assert part.headers["content-length"] == str(end - first)
    behind = await stage.ask("GET", path, headers={"Range": f"bytes={size}-"})
    check_problem(behind, 416, "range_not_satisfiable")
    assert behind.headers["content-range"] == f"bytes */{size}"


async def test_head_says_what_get_would(stage: Stage) -> None:
    path = "/v1/calls/whole/recording"
    for headers, status, length in (({}, 200, len(SOUND)), ({"Range": "bytes=1-10"}, 206, 10)):
        answer = await stage.ask("HEAD", path, headers=headers)
        assert (answer.status_code, answer.headers["content-length"], answer.content) == (status, str(length), b"")
    # The connection is still good for another request.
    assert (await stage.ask("HEAD", "/v1/calls/none/recording")).status_code == 404


async def test_a_part_of_another_file_is_not_given(stage: Stage, folder: Path) -> None:
    path = "/v1/calls/whole/recording"
    tag = (await stage.ask("HEAD", path)).headers["etag"]
    asked = {"Range": "bytes=0-9", "If-Range": tag}
    assert (await stage.ask("GET", path, headers=asked)).content == SOUND[:10]
    (folder / "whole.ogg").write_bytes(SOUND[1:])
    changed = await stage.ask("GET", path, headers=asked)
    assert (changed.status_code, changed.content) == (200, SOUND[1:])
    assert changed.headers["etag"] != tag


async def test_what_a_killed_process_has_left_is_played(stage: Stage) -> None:
    assert (await stage.ask("GET", "/v1/calls/killed/recording")).content == SOUND


@pytest.mark.parametrize("ask", ["recording", "recording-links"])
async def test_who_gets_no_recording_hears_why(stage: Stage, ask: str) -> None:
    method = "GET" if ask == "recording" else "POST"

    async def refused(call: str, status: int, code: str, key: str | None = None) -> Any:
        return check_problem(await stage.ask(method, f"/v1/calls/{call}/{ask}", key), status, code)

    await refused("living", 409, "recording_not_ready")
    await refused("unheard", 404, "recording_not_found")
    await refused("cleaned", 404, "recording_not_found")
    theirs, none = await refused("theirs", 404, "call_not_found"), await refused("none", 404, "call_not_found")
    assert theirs | {"request_id": ""} == none | {"request_id": ""}
    await refused("whole", 404, "call_not_found", stage.other)
    await refused("whole", 403, "scope_missing", stage.secret("calls:write"))
    await refused("whole", 403, "secret_key_required", stage.publishable())
    assert (await stage.ask(method, f"/v1/calls/whole/{ask}", stage.secret("calls:read"))).is_success


async def test_a_recording_may_come_a_little_after_its_call(opened: Opened, tmp_path: Path) -> None:
    """From another machine, by way of the bucket."""
    opened[0].project_all(log_of("cleaned"))
    ended = opened[0].call("cleaned").ended_at
    assert ended is not None
    for later, status, code in ((59.0, 409, "recording_not_ready"), (61.0, 404, "recording_not_found")):
        async with staged(opened, sounds=RecordingFiles(tmp_path), now=lambda late=later: ended + late) as stage:
            check_problem(await stage.ask("GET", "/v1/calls/cleaned/recording"), status, code)


# ── links ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_link_plays_without_a_key(stage: Stage) -> None:
    path = await link_to(stage, "whole", expires_in=60)
    for _ in range(2):
        part = await stage.client.get(path, headers={"Range": "bytes=-9"})
        assert (part.status_code, part.content) == (206, SOUND[-9:])
    whole = await stage.client.get(path)
    assert whole.content == SOUND and whole.headers["access-control-allow-origin"] == "*"
    assert (await stage.client.head(path)).headers["content-length"] == str(len(SOUND))


async def test_a_link_names_the_host_that_was_asked_and_its_end(stage: Stage) -> None:
    headers = {"Host": "voice.example:8443", "X-Forwarded-Proto": "https"}
    made = await stage.ask("POST", "/v1/calls/whole/recording-links", headers=headers, json={"expires_in": 60})
    assert made.json()["url"].startswith("https://voice.example:8443/v1/recordings/")
    later = (await stage.ask("POST", "/v1/calls/whole/recording-links", json={"expires_in": 3600})).json()
    assert 3500 < later["expires_at"] - made.json()["expires_at"] < 3600
    for seconds in (0, -1, 10**9, "x", None):
        asked = await stage.ask("POST", "/v1/calls/whole/recording-links", json={"expires_in": seconds})
        assert check_problem(asked, 422, "invalid_field")["pointer"] == "/expires_in"


async def test_a_link_that_was_changed_opens_nothing(stage: Stage, tmp_path: Path) -> None:
    path = await link_to(stage, "whole")
    base, _, token = path.rpartition("/")
    head, body, signature = token.split(".")
    other = (await link_to(stage, "killed")).rpartition("/")[2].split(".")
    tokens = [
        "x",
        f"{head}.{body}.",
        f"{head}.{body}",
        f"{head}.{other[1]}.{signature}",
        f"{head}.{body}.{other[2]}",
        f"{token}x",
        mint_token(open_workspace(tmp_path), agent="a"),
        mint_recording_token(open_workspace(tmp_path / "elsewhere"), "whole", ttl=60, now=1e9),
        "x" * 5000,
    ]
    for wrong in tokens:
        check_problem(await stage.client.get(f"{base}/{wrong}"), 403, "link_invalid")
    for at in range(0, len(token) - 1, 7):
        letter = "A" if token[at] != "A" else "B"
        check_problem(await stage.client.get(f"{base}/{token[:at]}{letter}{token[at + 1 :]}"), 403, "link_invalid")
    assert (await stage.client.get(path)).is_success


async def test_a_link_ends_with_its_time_its_key_or_its_call(stage: Stage, tmp_path: Path) -> None:
    old = mint_recording_token(open_workspace(tmp_path), "whole", ttl=60, now=1e9)
    check_problem(await stage.client.get(f"/v1/recordings/{old}"), 403, "link_expired")
    path = await link_to(stage, "whole")
    assert stage.store.erase("whole", now=1.0) is not None
    check_problem(await stage.client.get(path), 410, "call_erased")
    path = await link_to(stage, "killed")
    rotate_signing_key(tmp_path, keep=0)
    check_problem(await stage.client.get(path), 403, "link_invalid")


async def test_a_link_to_a_recording_that_was_deleted(stage: Stage, folder: Path) -> None:
    path = await link_to(stage, "whole")
    (folder / "whole.ogg").unlink()
    check_problem(await stage.client.get(path), 404, "recording_not_found")
