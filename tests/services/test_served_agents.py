"""The agents of a running node follow the folder and the store (A1, G8)."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from offhook.actors.ports import AgentNotFound, Agents, VariantNotFound
from offhook.protocol.agent import DocumentError, load_agent
from offhook.protocol.record import RecordsAway
from offhook.services.agents import ServedAgents
from offhook.services.agents.folder import read_demo
from offhook.services.store import StoredAgents, open_stored_agents

pytestmark = pytest.mark.anyio


class Clock:
    def now(self) -> float:
        return 1_795_217_400.0


def parrot(name: str = "Parrot", id_: str = "parrot", more: str = "") -> str:
    return f'id = "{id_}"\nname = "{name}"\n[brain]\nkind = "echo"\n{more}'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "agents"
    folder.mkdir()
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StoredAgents]:
    store = open_stored_agents(tmp_path / "offhook.db")
    yield store
    store.close()


def serving(folder: Path, store: StoredAgents, *, for_new_calls: bool = True) -> ServedAgents:
    return ServedAgents(folder, lambda: store, lambda: "ws", clock=Clock(), for_new_calls=for_new_calls)


def save(folder: Path, text: str, name: str = "parrot.toml") -> None:
    """Save a file, as an editor does: the new one takes the place of the old one at once."""
    draft = folder / f".{name}"
    draft.write_text(text)
    os.replace(draft, folder / name)


async def test_only_what_is_published_serves_the_public(folder: Path, store: StoredAgents) -> None:
    agents = serving(folder, store)
    port: Agents = agents
    store.create("ws", parrot("A"))
    await port.reach("parrot")
    with pytest.raises(AgentNotFound, match="not published"):
        agents.profile("parrot")
    draft = agents.profile("parrot", "draft")
    assert (draft.name, draft.version, draft.draft) == ("A", "1", True)
    store.publish("ws", "parrot")
    store.save("ws", "parrot", parrot("B"))
    await agents.refresh()
    assert (agents.profile("parrot").name, agents.profile("parrot").draft) == ("A", False)
    assert (agents.profile("parrot", "2").name, agents.profile("parrot", "2").draft) == ("B", True)
    assert agents.profile("parrot", "draft").version == "2"
    assert agents.profile("parrot", "sandbox").version == "1"
    store.publish("ws", "parrot", environment="sandbox")
    await agents.refresh()
    assert agents.profile("parrot", "sandbox").version == "2" and agents.profile("parrot").version == "1"
    store.publish("ws", "parrot")
    await agents.refresh()
    assert (agents.profile("parrot").version, agents.profile("parrot", "2").draft) == ("2", False)
    assert agents.profile("parrot", "1").name == "A"
    store.roll_back("ws", "parrot")
    await agents.refresh()
    assert agents.profile("parrot").version == "1"


async def test_a_version_of_long_ago_is_read_when_it_is_asked_for(folder: Path, store: StoredAgents) -> None:
    for number in range(1, 6):
        (store.create if number == 1 else lambda ws, text: store.save(ws, "parrot", text))("ws", parrot(f"N{number}"))
        store.publish("ws", "parrot")
    agents = serving(folder, store)
    await agents.refresh()
    with pytest.raises(AgentNotFound):
        agents.profile("parrot", "2")
    await agents.reach("parrot", "2")
    assert (agents.profile("parrot", "2").name, agents.profile("parrot", "2").draft) == ("N2", False)
    for unknown in ("9", "-1", "two", "٢", "9" * 50):
        await agents.reach("parrot", unknown)
        with pytest.raises(AgentNotFound):
            agents.profile("parrot", unknown)


async def test_a_deleted_agent_takes_no_new_calls_and_keeps_those_it_has(folder: Path, store: StoredAgents) -> None:
    store.create("ws", parrot())
    store.publish("ws", "parrot")
    gateway, voice = serving(folder, store), serving(folder, store, for_new_calls=False)
    for agents in (gateway, voice):
        await agents.reach("parrot")
    store.delete("ws", "parrot")
    for agents in (gateway, voice):
        await agents.refresh()
        with pytest.raises(AgentNotFound):
            agents.profile("parrot")
        await agents.reach("parrot", "1")
    assert voice.profile("parrot", "1").name == "Parrot"
    with pytest.raises(AgentNotFound):
        gateway.profile("parrot", "1")
    # A node that takes the call over has never seen the agent.
    late = serving(folder, store, for_new_calls=False)
    await late.reach("parrot", "1")
    assert late.profile("parrot", "1").name == "Parrot"


async def test_a_file_is_served_as_soon_as_it_is_saved(folder: Path, store: StoredAgents) -> None:
    save(folder, parrot("A"))
    agents = serving(folder, store)
    first = agents.profile("parrot")
    save(folder, parrot("Bea"))
    save(folder, parrot("Jay", "jay"), "jay.toml")
    await agents.refresh()
    assert (agents.profile("parrot").name, agents.profile("jay").name) == ("Bea", "Jay")
    assert agents.profile("parrot", first.version).name == "A"
    assert not agents.profile("parrot", "draft").draft
    (folder / "jay.toml").unlink()
    await agents.refresh()
    assert agents.ids() == ["front-desk", "parrot"]


async def test_a_file_with_a_mistake_keeps_the_old_one_and_says_so(
    folder: Path, store: StoredAgents, caplog: pytest.LogCaptureFixture
) -> None:
    save(folder, parrot("A"))
    agents = serving(folder, store)
    save(folder, parrot("B").replace("name", "nmae"))
    for _ in range(3):
        await agents.refresh()
    assert agents.profile("parrot").name == "A"
    told = [record.__dict__["why"] for record in caplog.records if "mistakes" in record.message]
    assert len(told) == 1 and "parrot.toml:2: nmae: there is no field `nmae` here; did you mean `name`?" in told[0]
    save(folder, parrot("C"))
    await agents.refresh()
    assert agents.profile("parrot").name == "C"


async def test_the_folder_counts_before_the_store_and_both_before_the_demo(folder: Path, store: StoredAgents) -> None:
    agents = serving(folder, store)
    demo = read_demo()
    store.create("ws", parrot("Mine", demo.id))
    await agents.refresh()
    assert agents.profile(demo.id).name == demo.name
    store.publish("ws", demo.id)
    await agents.refresh()
    assert agents.profile(demo.id).name == "Mine" and not agents.from_folder(demo.id)
    save(folder, parrot("File", demo.id))
    await agents.refresh()
    assert agents.profile(demo.id).name == "File" and agents.from_folder(demo.id)
    store.delete("ws", demo.id)
    (folder / "parrot.toml").unlink()
    await agents.refresh()
    assert agents.profile(demo.id).name == demo.name


class Away:
    """A store that does not answer."""

    def __getattr__(self, name: str) -> object:
        raise RecordsAway("The database does not answer.")


async def test_a_store_that_is_away_changes_nothing(
    folder: Path, store: StoredAgents, caplog: pytest.LogCaptureFixture
) -> None:
    store.create("ws", parrot())
    store.publish("ws", "parrot")
    there: list[Any] = [store]
    agents = ServedAgents(folder, lambda: there[0], lambda: "ws", clock=Clock(), for_new_calls=True)
    await agents.refresh()
    there[0] = Away()
    for _ in range(3):
        await agents.refresh()
    await agents.reach("parrot", "7")
    assert agents.profile("parrot").version == "1"
    assert len([record for record in caplog.records if "store does not answer" in record.message]) == 1


async def test_a_stored_document_that_cannot_be_read_is_told_of_once(
    folder: Path, store: StoredAgents, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.create("ws", parrot())
    store.publish("ws", "parrot")
    agents = serving(folder, store)
    await agents.refresh()
    store.create("ws", parrot("Other", "other"))
    store.publish("ws", "other")
    store.save("ws", "parrot", text=parrot("Newer"))
    store.publish("ws", "parrot")
    with closing(sqlite3.connect(tmp_path / "offhook.db")) as database, database:
        database.execute("UPDATE agent_versions SET text = 'of = 1' WHERE agent = 'other' OR number = 2")
    for _ in range(3):
        await agents.refresh()
    told = [record for record in caplog.records if "cannot be read" in record.message]
    assert len(told) == 2, "once for each agent"
    assert agents.profile("parrot").name == "Parrot", "it stays as it was"
    with pytest.raises(AgentNotFound):
        agents.profile("other")
    store.save("ws", "parrot", text=parrot("Newest"))
    store.publish("ws", "parrot")
    await agents.refresh()
    assert agents.profile("parrot").name == "Newest"


async def test_nobody_serves_the_agents_of_another_workspace(folder: Path, store: StoredAgents) -> None:
    store.create("other", parrot())
    store.publish("other", "parrot")
    agents = serving(folder, store)
    await agents.reach("parrot", "1")
    with pytest.raises(AgentNotFound):
        agents.profile("parrot", "1")


VARIANTS = """greeting = "Hello {who}."
[variables]
who = "friend"
[variants.berlin]
name = "Papagei"
greeting = "Hallo {who}."
timezone = "Europe/Berlin"
variables = { who = "Freund" }
"""


async def test_a_variant_is_the_same_agent_with_other_words(folder: Path, store: StoredAgents) -> None:
    text = (
        parrot().replace("[brain]", VARIANTS.split("[variables]")[0] + "[brain]")
        + VARIANTS[VARIANTS.index("[variab") :]
    )
    save(folder, text)
    save(folder, parrot("Plain", "plain"), "plain.toml")
    agents = serving(folder, store)
    assert agents.profile("parrot", variant="berlin").name == "Papagei"
    assert agents.profile("parrot").name == "Parrot"
    with pytest.raises(VariantNotFound, match="it has: berlin"):
        agents.profile("parrot", variant="paris")
    # Without variants the name is for the record alone.
    assert agents.profile("plain", variant="paris").name == "Plain"
    wrong = text.replace("Hallo {who}", "Hallo {wer}").replace('name = "Papagei"', "name = 7")
    with pytest.raises(DocumentError) as caught:
        load_agent(wrong, file="x")
    assert caught.value.path == "variants.berlin.name"
    with pytest.raises(DocumentError) as caught:
        load_agent(wrong.replace("name = 7", 'name = "P"'), file="x")
    assert caught.value.path == "variants.berlin.greeting"


async def test_agents_of_files_are_told_apart(folder: Path, store: StoredAgents) -> None:
    """The demo gives way to what is published under its name; a file gives way to nothing."""
    demo = read_demo().id
    save(folder, parrot())
    store.create("ws", parrot("Kept"))
    store.publish("ws", "parrot")
    agents = serving(folder, store)
    await agents.refresh()
    assert [(agent.id, agent.name) for agent in agents.files("ws")] == [(demo, read_demo().name), ("parrot", "Parrot")]
    assert agents.files("ws")[1].version == agents.profile("parrot").version
    assert agents.files("other") == ()
    store.create("ws", parrot("Mine", demo))
    await agents.refresh()
    assert [agent.id for agent in agents.files("ws")] == [demo, "parrot"]
    store.publish("ws", demo)
    await agents.refresh()
    assert [agent.id for agent in agents.files("ws")] == ["parrot"]
