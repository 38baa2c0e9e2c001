"""The link that opens the console once: its code, what it becomes, and what does not count."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from api_stage import serving_api
from test_api import check_problem

import offhook.web
from offhook.protocol.errors import Reason, Refusal
from offhook.protocol.keys import NewKey
from offhook.services.store import Keys, open_keys, open_store
from offhook.services.tokens import (
    ConsoleCodes,
    Workspace,
    mint_console_code,
    mint_token,
    open_workspace,
    verify_console_code,
    verify_token,
)
from offhook.simulation.bus import SimulatedBus

pytestmark = pytest.mark.anyio
NOW = 1_800_000_000.0


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return open_workspace(tmp_path)


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[Keys]:
    opened = open_keys(tmp_path / "offhook.db")
    yield opened
    opened.close()


@pytest.fixture
async def client(tmp_path: Path, workspace: Workspace, keys: Keys) -> AsyncIterator[httpx2.AsyncClient]:
    store = open_store(tmp_path / "offhook.db")
    codes = ConsoleCodes(lambda: workspace, SimulatedBus().client("api"))
    async with serving_api(store, offhook.web.FOLDER, keys=keys, codes=codes) as client:
        yield client
    store.close()


async def knock(client: httpx2.AsyncClient, code: Any) -> httpx2.Response:
    return await client.post("/api/console/session", json={"code": code})


async def test_a_code_becomes_a_key_once(client: httpx2.AsyncClient, workspace: Workspace, keys: Keys) -> None:
    code = mint_console_code(workspace)
    made = (await knock(client, code)).json()
    found = keys.find(made["key"])
    assert found is not None and (found.id, found.workspace, found.scopes) == (made["id"], workspace.id, ("*",))
    assert found.expires_at == made["expires_at"]
    asked = await client.get("/v1/calls", headers={"Authorization": f"Bearer {made['key']}"})
    assert asked.status_code == 200
    check_problem(await knock(client, code), 401, "token_used")
    assert (await knock(client, mint_console_code(workspace))).status_code == 201


async def test_what_is_no_code_opens_nothing(client: httpx2.AsyncClient, workspace: Workspace, keys: Keys) -> None:
    before = len(keys.page(workspace.id, limit=10))
    stranger = Workspace(
        id=workspace.id,
        signing_keys=(type(workspace.signing_keys[0])(workspace.signing_keys[0].kid, b"x" * 32),),
        publishable_key="",
        secret_key_hash="",
        widget_code="",
    )
    for code, reason in (
        (mint_console_code(workspace, ttl=-1), "token_expired"),
        (mint_token(workspace, agent="a"), "token_wrong_audience"),
        (mint_console_code(stranger), "token_invalid"),
        (mint_console_code(workspace)[:-2], "token_invalid"),
        ("sk_live_x", "token_invalid"),
    ):
        check_problem(await knock(client, code), 401, reason)
    wrong: tuple[Any, ...] = ("", 7, "x" * 5000, None)
    for broken in wrong:
        check_problem(await knock(client, broken), 422, "invalid_field")
    assert len(keys.page(workspace.id, limit=10)) == before


async def test_nobody_tries_codes_for_long(client: httpx2.AsyncClient) -> None:
    answers = [(await knock(client, "x")).status_code for _ in range(40)]
    assert answers.count(401) >= 30 and answers[-1] == 429


def test_a_code_is_for_the_console_and_a_call_token_is_not(workspace: Workspace) -> None:
    code = mint_console_code(workspace, now=NOW, ttl=60)
    assert verify_console_code(workspace, code, now=NOW + 59)[1] == NOW + 60
    for refuse in (
        lambda: verify_console_code(workspace, code, now=NOW + 60),
        lambda: verify_console_code(workspace, mint_token(workspace, agent="a", now=NOW), now=NOW),
        lambda: verify_token(workspace, code, now=NOW),
    ):
        with pytest.raises(Refusal) as refused:
            refuse()
        assert refused.value.reason in {Reason.TOKEN_EXPIRED, Reason.TOKEN_WRONG_AUDIENCE}


def test_a_key_that_runs_out_is_replaced_by_one_that_runs_out(keys: Keys) -> None:
    made = keys.create("ws", NewKey(kind="secret", name="Console", expires_at=4e9))
    new = keys.rotate("ws", made.id, overlap=60)
    assert new.expires_at == 4e9
    assert keys.rotate("ws", made.id, overlap=60).expires_at == 4e9, "a second time, too"
    again = keys.rotate("ws", new.id, overlap=60)
    assert again.expires_at == keys.rotate("ws", new.id, overlap=60).expires_at == 4e9
    lasting = keys.create("ws", NewKey(kind="secret", name="backend"))
    keys.rotate("ws", lasting.id, overlap=60)
    assert keys.rotate("ws", lasting.id, overlap=60).expires_at is None


async def test_the_page_is_served_and_says_what_may_run(client: httpx2.AsyncClient) -> None:
    page = await client.get("/console")
    assert page.headers["content-type"].startswith("text/html")
    assert "require-trusted-types-for 'script'" in page.text
