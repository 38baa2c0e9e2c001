"""Agents kept with their history: versions, publishing, rolling back (A1). On both databases."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from offhook.protocol.agent import DocumentError
from offhook.protocol.agent.history import (
    KEPT_DRAFTS,
    AgentMoved,
    AgentNotStored,
    AgentTaken,
    NothingBefore,
    VersionNotStored,
    diff_texts,
)
from offhook.services.store import StoredAgents, open_stored_agents


@pytest.fixture(params=["sqlite", "postgresql"])
def agents(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[StoredAgents]:
    if request.param == "sqlite":
        place = str(tmp_path / "offhook.db")
    else:
        place = request.getfixturevalue("postgres").new_database()
    agents = open_stored_agents(place)
    yield agents
    agents.close()


def parrot(name: str = "Parrot", id_: str = "parrot") -> str:
    return f'id = "{id_}"\nname = "{name}"\n[brain]\nkind = "echo"\n'


def test_each_save_makes_a_version_and_none_ever_changes(agents: StoredAgents) -> None:
    first = agents.create("ws", parrot(), note="the first")
    assert (first.number, first.state, first.published_at, first.note) == (1, "draft", None, "the first")
    second = agents.save("ws", "parrot", parrot("Polly"))
    assert second.number == 2 and second.hash != first.hash
    assert agents.save("ws", "parrot", parrot("Polly")) == second
    stored = agents.get("ws", "parrot")
    assert (stored.name, stored.newest, stored.live, stored.sandbox) == ("Polly", 2, None, None)
    assert agents.version("ws", "parrot", 1) == first
    assert [version.number for version in agents.versions("ws", "parrot", limit=9)] == [2, 1]
    assert [version.number for version in agents.versions("ws", "parrot", limit=9, before=2)] == [1]
    changed = diff_texts(first.text, second.text, names=("1", "2"))
    assert '-name = "Parrot"\n+name = "Polly"' in changed and not diff_texts("a", "a", names=("1", "2"))


def test_a_document_with_mistakes_is_refused_with_the_place_of_each(agents: StoredAgents) -> None:
    agents.create("ws", parrot())
    wrong = parrot() + '[limits]\npatience = "long"\n[nodes.a]\nkind = "sya"\n'
    saves: list[Callable[[], object]] = [
        lambda: agents.create("ws", wrong),
        lambda: agents.save("ws", "parrot", wrong),
    ]
    for save in saves:
        with pytest.raises(DocumentError) as caught:
            save()
        assert [(problem.line, problem.path) for problem in caught.value.problems] == [
            (6, "limits.patience"), (8, "nodes.a.kind"),
        ]  # fmt: skip
    with pytest.raises(DocumentError, match="time zone"):
        agents.save("ws", "parrot", 'timezone = "Mars"\n' + parrot())
    with pytest.raises(DocumentError, match="not of `parrot`"):
        agents.save("ws", "parrot", parrot(id_="other"))
    assert agents.get("ws", "parrot").newest == 1


def test_publishing_and_rolling_back_point_an_environment_at_a_version(agents: StoredAgents) -> None:
    agents.create("ws", parrot("A"))
    for name in "BC":
        agents.save("ws", "parrot", parrot(name))
    with pytest.raises(NothingBefore):
        agents.roll_back("ws", "parrot")
    assert agents.publish("ws", "parrot", version=1).live == 1
    published = agents.version("ws", "parrot", 1)
    assert published.state == "published" and published.published_at is not None
    assert agents.publish("ws", "parrot", environment="sandbox").sandbox == 3
    assert agents.version("ws", "parrot", 3).state == "draft"
    assert agents.publish("ws", "parrot").live == 3
    assert agents.roll_back("ws", "parrot").live == 1
    with pytest.raises(NothingBefore):
        agents.roll_back("ws", "parrot")
    again = agents.publish("ws", "parrot", version=1)
    assert agents.version("ws", "parrot", 1) == published and again.sandbox == 3
    history = [(each.environment, each.version) for each in agents.publications("ws", "parrot")]
    assert history == [("live", 1), ("live", 1), ("live", 3), ("sandbox", 3), ("live", 1)]
    with pytest.raises(VersionNotStored):
        agents.publish("ws", "parrot", version=9)


def test_nobody_sees_the_agents_of_another_workspace(agents: StoredAgents) -> None:
    agents.create("ws", parrot())
    agents.create("other", parrot("Mine"))
    assert agents.get("other", "parrot").name == "Mine" and agents.get("ws", "parrot").name == "Parrot"
    agents.create("ws", parrot(id_="jay"))
    for ask in (
        lambda: agents.get("other", "jay"),
        lambda: agents.save("other", "jay", parrot(id_="jay")),
        lambda: agents.publish("other", "jay"),
        lambda: agents.roll_back("other", "jay"),
        lambda: agents.delete("other", "jay"),
        lambda: agents.versions("other", "jay", limit=1),
        lambda: agents.version("other", "jay", 1),
        lambda: agents.publications("other", "jay"),
    ):
        with pytest.raises(AgentNotStored):
            ask()
    assert [agent.id for agent in agents.page("other", limit=9)] == ["parrot"]
    assert set(agents.revisions("ws")) == {"parrot", "jay"}


def test_pages_are_stable_and_newest_first(agents: StoredAgents) -> None:
    for number in range(5):
        agents.create("ws", parrot(id_=f"a{number}"))
    first = agents.page("ws", limit=2)
    assert [agent.id for agent in first] == ["a4", "a3"]
    agents.create("ws", parrot(id_="new"))
    after = (first[-1].created_at, first[-1].id)
    assert [agent.id for agent in agents.page("ws", limit=9, after=after)] == ["a2", "a1", "a0"]


def test_a_deleted_agent_keeps_its_versions_and_its_numbers(agents: StoredAgents) -> None:
    agents.create("ws", parrot("A"))
    agents.publish("ws", "parrot")
    agents.delete("ws", "parrot")
    with pytest.raises(AgentNotStored):
        agents.get("ws", "parrot")
    assert agents.page("ws", limit=9) == [] and agents.revisions("ws") == {}
    assert agents.kept_version("ws", "parrot", 1).text == parrot("A")
    assert agents.create("ws", parrot("B")).number == 2
    assert agents.get("ws", "parrot").live is None
    with pytest.raises(AgentTaken):
        agents.create("ws", parrot())


def test_a_save_on_an_older_version_is_refused(agents: StoredAgents) -> None:
    agents.create("ws", parrot("A"))
    agents.save("ws", "parrot", parrot("B"), base=1)
    with pytest.raises(AgentMoved) as caught:
        agents.save("ws", "parrot", parrot("C"), base=1)
    assert caught.value.newest == 2 and agents.get("ws", "parrot").name == "B"


def test_old_drafts_go_and_what_was_served_stays(agents: StoredAgents) -> None:
    agents.create("ws", parrot("first"))
    agents.publish("ws", "parrot")
    for number in range(KEPT_DRAFTS + 1):
        agents.save("ws", "parrot", parrot(f"draft {number}"))
    kept = [version.number for version in agents.versions("ws", "parrot", limit=100)]
    assert kept[-1] == 1 and len(kept) == KEPT_DRAFTS + 1


def test_saves_at_the_same_time_get_numbers_of_their_own(agents: StoredAgents) -> None:
    agents.create("ws", parrot())
    before = agents.revisions("ws")["parrot"]
    saves = [
        threading.Thread(target=agents.save, args=("ws", "parrot", parrot(f"name {number}"))) for number in range(8)
    ]
    for save in saves:
        save.start()
    for save in saves:
        save.join()
    assert [version.number for version in agents.versions("ws", "parrot", limit=99)] == list(range(9, 0, -1))
    assert agents.revisions("ws")["parrot"] == before + 8
