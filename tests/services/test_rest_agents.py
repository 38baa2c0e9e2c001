"""``/v1/agents``: save, publish, roll back, compare (A1, G8)."""

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from api_stage import KEY, serving_api
from test_api import check_problem

import offhook.web
from offhook.protocol.agent.history import FileAgent
from offhook.services.store import StoredAgents, open_replies, open_stored_agents

pytestmark = pytest.mark.anyio

PARROT = 'id = "parrot"\nname = "Parrot"\n[brain]\nkind = "echo"\n'


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[dict[str, Any]]:
    with ExitStack() as stack:
        agents = stack.enter_context(closing(open_stored_agents(tmp_path / "offhook.db")))
        replies = stack.enter_context(closing(open_replies(tmp_path / "offhook.db")))
        yield {"agents": lambda: agents, "replies": replies}


class Api:
    """Asks as the workspace ``main``."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> httpx2.Response:
        return await self.client.request(method, f"/v1/agents{path}", headers=KEY | headers, json=body)


@pytest.fixture
async def api(opened: dict[str, Any]) -> AsyncIterator[Api]:
    async with serving_api(None, offhook.web.FOLDER, **opened) as client:
        yield Api(client)


async def test_an_agent_from_the_first_draft_to_a_roll_back(api: Api) -> None:
    made = await api("POST", "", {"text": PARROT, "note": "first"})
    assert made.status_code == 201
    assert {name: made.json()[name] for name in ("agent", "number", "state", "note", "text")} == {
        "agent": "parrot", "number": 1, "state": "draft", "note": "first", "text": PARROT,
    }  # fmt: skip
    assert (await api("POST", "/parrot/publish")).json()["live"] == 1
    saved = await api("PUT", "/parrot", {"text": PARROT.replace('"Parrot"', '"Polly"'), "base": 1})
    assert (saved.json()["number"], saved.json()["state"]) == (2, "draft")
    difference = (await api("GET", "/parrot/diff")).json()
    assert (difference["before"], difference["after"]) == (1, 2)
    assert '-name = "Parrot"\n+name = "Polly"\n' in difference["diff"]
    assert (await api("GET", "/parrot/diff?before=2&after=2")).json()["diff"] == ""
    assert (await api("POST", "/parrot/publish", {"version": 2})).json()["live"] == 2
    assert (await api("POST", "/parrot/rollback")).json()["live"] == 1
    check_problem(await api("POST", "/parrot/rollback"), 409, "nothing_to_roll_back")
    shown = (await api("GET", "/parrot")).json()
    assert (shown["name"], shown["newest"], shown["live"], shown["sandbox"]) == ("Polly", 2, 1, None)
    assert [each["version"] for each in shown["publications"]] == [1, 2, 1] and "Polly" in shown["text"]
    first = (await api("GET", "/parrot/versions/1")).json()
    assert (first["state"], first["text"]) == ("published", PARROT)
    page = (await api("GET", "/parrot/versions?limit=1")).json()
    assert [each["number"] for each in page["versions"]] == [2] and "text" not in page["versions"][0]
    assert [
        each["number"] for each in (await api("GET", f"/parrot/versions?cursor={page['cursor']}")).json()["versions"]
    ] == [1]
    assert (await api("DELETE", "/parrot")).status_code == 204
    check_problem(await api("GET", "/parrot"), 404, "agent_not_found")


async def test_a_document_with_mistakes_is_refused_with_each_place(api: Api) -> None:
    wrong = PARROT.replace("name", "nmae") + '[limits]\npatience = "long"\n'
    await api("POST", "", {"text": PARROT})
    for answer in (await api("POST", "", {"text": wrong}), await api("PUT", "/parrot", {"text": wrong})):
        problem = check_problem(answer, 422, "document_invalid")
        assert problem["pointer"] == "/text"
        assert [(each["line"], each["path"]) for each in problem["problems"]] == [(2, "nmae")]
        assert "did you mean `name`?" in problem["detail"]
    assert (await api("GET", "/parrot")).json()["newest"] == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "", {"text": PARROT}, 409, "agent_exists"),
        ("POST", "", {}, 422, "invalid_field"),
        ("POST", "", {"text": "x" * 200_001}, 422, "invalid_field"),
        ("PUT", "/parrot", {"text": PARROT.replace('"parrot"', '"jay"')}, 422, "document_invalid"),
        ("PUT", "/parrot", {"text": PARROT + "# new\n", "base": 7}, 409, "version_conflict"),
        ("PUT", "/parrot", {"text": PARROT, "workspace": "other"}, 422, "invalid_field"),
        ("PUT", "/nobody", {"text": PARROT}, 404, "agent_not_found"),
        ("POST", "/parrot/publish", {"version": 9}, 404, "version_not_found"),
        ("POST", "/parrot/publish", {"version": 0}, 422, "invalid_field"),
        ("POST", "/parrot/publish", {"environment": "moon"}, 422, "invalid_field"),
        ("POST", "/nobody/publish", {}, 404, "agent_not_found"),
        ("GET", "/parrot/versions/two", None, 404, "version_not_found"),
        ("GET", "/parrot/versions/99999999999999999999", None, 404, "version_not_found"),
        ("GET", "/parrot/diff?before=5", None, 404, "version_not_found"),
        ("GET", "?cursor=x", None, 400, "invalid_field"),
    ],
)
async def test_what_is_wrong_is_said(api: Api, method: str, path: str, body: Any, status: int, code: str) -> None:
    await api("POST", "", {"text": PARROT})
    check_problem(await api(method, path, body), status, code)


async def test_pages_of_agents(api: Api) -> None:
    for number in range(3):
        await api("POST", "", {"text": PARROT.replace("parrot", f"p{number}")})
    first = (await api("GET", "?limit=2")).json()
    rest = (await api("GET", f"?cursor={first['cursor']}")).json()
    assert [agent["id"] for agent in first["agents"] + rest["agents"]] == ["p2", "p1", "p0"] and rest["cursor"] is None


async def test_agents_of_files_stand_apart_and_are_marked(opened: dict[str, Any]) -> None:
    """Covers A1: files stay a first-class way, and whoever lists agents sees them."""
    files = (FileAgent(id="parrot", name="Parrot", version="ab12cd34"),)
    more: dict[str, Any] = {"agent_files": {"main": files}.get}
    async with serving_api(None, offhook.web.FOLDER, **opened, **more) as client:
        api = Api(client)
        for number in range(2):
            await api("POST", "", {"text": PARROT.replace("parrot", f"p{number}")})
        first = (await api("GET", "?limit=1")).json()
        shown = {"id": "parrot", "name": "Parrot", "version": "ab12cd34", "from_file": True}
        assert first["files"] == [shown] and [agent["id"] for agent in first["agents"]] == ["p1"]
        rest = (await api("GET", f"?cursor={first['cursor']}")).json()
        assert rest["files"] == [] and [agent["id"] for agent in rest["agents"]] == ["p0"]


async def test_the_same_save_twice_is_done_once(api: Api) -> None:
    once = {"Idempotency-Key": "make-parrot"}
    first = await api("POST", "", {"text": PARROT}, **once)
    again = await api("POST", "", {"text": PARROT}, **once)
    assert again.status_code == 201 and again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"


async def test_an_agent_that_a_file_serves_is_not_published_here(opened: dict[str, Any]) -> None:
    seen: list[str] = []

    async def changed() -> None:
        seen.append("changed")

    more: dict[str, Any] = {"agents_changed": changed, "agent_from_folder": lambda agent: agent == "parrot"}
    async with serving_api(None, offhook.web.FOLDER, **opened, **more) as client:
        api = Api(client)
        await api("POST", "", {"text": PARROT})
        check_problem(await api("POST", "/parrot/publish"), 409, "agent_from_file")
        check_problem(await api("POST", "/parrot/rollback"), 409, "agent_from_file")
        await api("POST", "", {"text": PARROT.replace('"parrot"', '"jay"')})
        assert (await api("POST", "/jay/publish")).status_code == 200
    assert len(seen) == 3
    agents: StoredAgents = opened["agents"]()
    assert agents.get("main", "parrot").live is None


async def test_a_token_for_a_draft_needs_a_secret_key(opened: dict[str, Any]) -> None:
    """Covers G8: which version a token is made for."""
    async with serving_api(None, offhook.web.FOLDER, **opened) as client:
        for body, made in (
            ({}, "token for a at None"),
            ({"version": "7"}, "token for a at None, version 7"),
            ({"preview": True}, "token for a at None, version draft or any"),
            ({"preview": True, "version": "7"}, "token for a at None, version 7 or any"),
        ):
            answer = await client.post("/v1/call-tokens", headers=KEY, json={"agent_id": "a", **body})
            assert answer.json()["token"] == made
