"""A folder of agent documents, and the demo in the box (A1)."""

from pathlib import Path
from typing import Any

import pytest

from offhook.actors.flow_brain import EchoBrain, FlowBrain
from offhook.actors.ports import AgentNotFound, Agents, ToolFailed
from offhook.protocol.agent import DocumentError
from offhook.protocol.speech import Heard, Say
from offhook.services.agents import DEMO, install_demo, open_agents

PARROT = 'id = "parrot"\nname = "Parrot"\n[brain]\nkind = "echo"\n[limits]\nmax_duration = 60\npatience = 5\n'


class Friday:
    def now(self) -> float:
        # 2026-11-20 23:30 UTC: Friday in London, Saturday in Berlin.
        return 1_795_217_400.0


def test_the_demo_is_always_there() -> None:
    agents: Agents = open_agents(None)
    assert agents.ids() == ["front-desk"]
    profile = agents.profile("front-desk")
    assert (profile.name, profile.version, profile.max_duration) == ("Riverside Studio", "1", 900)
    assert isinstance(agents.brain("front-desk", "1", variables={}, tools=NoTools()), FlowBrain)


def test_a_folder(tmp_path: Path) -> None:
    (tmp_path / "parrot.toml").write_text(PARROT)
    agents = open_agents(tmp_path)
    assert agents.ids() == ["front-desk", "parrot"]
    profile = agents.profile("parrot")
    assert (profile.patience, profile.max_duration) == (5, 60)
    assert len(profile.version) == 8
    assert isinstance(agents.brain("parrot", profile.version, variables={}, tools=NoTools()), EchoBrain)
    assert agents.document("parrot").version == profile.version


def test_unknown_agents_and_versions() -> None:
    agents = open_agents(None)
    for call in (
        lambda: agents.profile("nobody"),
        lambda: agents.profile("front-desk", "7"),
        lambda: agents.brain("front-desk", "7", variables={}, tools=NoTools()),
    ):
        with pytest.raises(AgentNotFound):
            call()


def test_the_demo_can_be_changed(tmp_path: Path) -> None:
    file = install_demo(tmp_path / "agents")
    assert file.name == DEMO
    file.write_text(file.read_text().replace("Riverside Studio", "Willow Studio"))
    assert install_demo(tmp_path / "agents") == file
    assert open_agents(tmp_path / "agents").profile("front-desk").name == "Willow Studio"


@pytest.mark.parametrize(
    ("text", "path", "line"),
    [
        (PARROT.replace("name =", "nmae ="), "nmae", 2),
        ('timezone = "Mars/Olympus"\n' + PARROT, "timezone", 1),
        (b"\xff\xfe", "", 1),
    ],
)
def test_wrong_documents(tmp_path: Path, text: str | bytes, path: str, line: int) -> None:
    file = tmp_path / "wrong.toml"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(DocumentError) as caught:
        open_agents(tmp_path)
    places = [(problem.path, problem.line) for problem in caught.value.problems]
    assert (path, line) in places
    assert caught.value.file == str(file)


def test_two_documents_of_one_id(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(PARROT)
    (tmp_path / "b.toml").write_text(PARROT)
    with pytest.raises(DocumentError, match="another document has the id `parrot`"):
        open_agents(tmp_path)


class NoTools:
    async def use(self, name: str, **arguments: Any) -> Any:
        raise ToolFailed(name)


@pytest.mark.anyio
@pytest.mark.parametrize(("zone", "closed"), [("Europe/London", False), ("Europe/Berlin", True)])
async def test_tomorrow_is_where_the_agent_lives(tmp_path: Path, zone: str, closed: bool) -> None:
    file = install_demo(tmp_path)
    file.write_text(file.read_text().replace('timezone = "UTC"', f'timezone = "{zone}"'))
    brain = open_agents(tmp_path, clock=Friday()).brain("front-desk", "1", variables={}, tools=NoTools())
    _ = [action async for action in brain.open()]
    said = [action async for action in brain.hear(Heard(text="book tomorrow"))]
    assert (said[0] == Say("I am sorry, we are closed on Sunday.")) is closed


async def count(*, number: str) -> dict[str, int]:
    return {"next": int(number) + 1}


async def refuse(**arguments: str) -> None:
    raise ToolFailed("the book is closed")


async def odd(**arguments: str) -> object:
    return object()


@pytest.mark.anyio
async def test_the_code_of_a_tool_is_run() -> None:
    agents = open_agents(None, tools={"count": count})
    assert await agents.run_tool("front-desk", "1", "count", '{"number": "6"}', use="x:1") == '{"next": 7}'


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("name", "arguments", "why"),
    [
        ("count", '{"number": "six"}', "the tool 'count' broke: ValueError"),
        ("count", "{}", "the tool 'count' broke: TypeError"),
        ("refuse", "{}", "the book is closed"),
        ("odd", "{}", "the tool 'odd' returned what JSON can not hold"),
        ("other", "{}", "nobody runs the tool 'other' of the agent 'front-desk'"),
    ],
)
async def test_a_tool_that_breaks_fails_and_nothing_else_does(name: str, arguments: str, why: str) -> None:
    agents = open_agents(None, tools={"count": count, "refuse": refuse, "odd": odd})
    with pytest.raises(ToolFailed, match=why):
        await agents.run_tool("front-desk", "1", name, arguments, use="x:1")
