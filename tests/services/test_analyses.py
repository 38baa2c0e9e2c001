"""Analyses of ended calls: pending, then done or failed; the model is a stand-in on this machine."""

import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import anyio
import msgspec
import pytest
from processes import children_of
from test_store_search import log_of
from webhook_receiver import open_receiver

from offhook.protocol.agent.analysis import AnalysisWanted, ByModel, ByRules, ModelField, OutcomeRule
from offhook.protocol.analysis import Findings
from offhook.protocol.record import Analysis
from offhook.protocol.webhooks import parse_networks
from offhook.services.agents import ServedAgents
from offhook.services.analysis import matching, run_analyses
from offhook.services.analysis.asking import Ask
from offhook.services.roles.adapters import WallClock
from offhook.services.store import Store, StoreRecords, open_store, open_stored_agents, want_analyses
from offhook.services.webhooks import ask

pytestmark = pytest.mark.anyio

RULES = ByRules(outcomes=(OutcomeRule("polite", "please"),), otherwise="curt")


@pytest.fixture
def anyio_backend() -> str:
    return "trio"


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    place = str(tmp_path / "offhook.db")
    if request.param == "postgresql":
        place = request.getfixturevalue("postgres").new_database()
    store = open_store(place)
    yield store
    store.close()


def allowing(*networks: str) -> Ask:
    return partial(ask, allowed=parse_networks(networks), tls=ssl.create_default_context())


async def keep(store: Store, *spoken: str, call: str = "1", agent: str = "a") -> None:
    async def lookup(agent: str, version: str) -> AnalysisWanted | None:
        return RULES if (agent, version) == ("a", "1") else None

    records = StoreRecords(store, listeners=(want_analyses(lookup),))
    await records.project_all(log_of(call, *spoken, agent=agent))
    for entry in log_of(call, *spoken, agent=agent):
        await records.project(entry)


async def analysed(
    store: Store,
    wanted: AnalysisWanted | None,
    until: Callable[[Analysis], bool],
    open_to: tuple[str, ...] = ("127.0.0.1",),
) -> Analysis:
    async def lookup(_agent: str, _version: str) -> AnalysisWanted | None:
        return wanted

    found: Analysis | None = None
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run_analyses, store.analyses(), lookup, allowing(*open_to))
            while found is None or not until(found):
                await anyio.sleep(0.02)
                found = store.call("1").analysis
            tasks.cancel_scope.cancel()
    assert found is not None
    return found


async def test_rules_look_over_a_call_that_has_ended(store: Store) -> None:
    hook = store.webhooks().create("main", "https://a.example/", ["analysis.done"], now=0.0)
    await keep(store, "Roses, please")
    assert store.call("1").analysis == Analysis(state="pending")
    found = await analysed(store, RULES, lambda analysis: analysis.state != "pending")
    assert (found.state, found.outcome) == ("done", "polite") and "Roses, please" in (found.summary or "")
    (told,) = store.webhooks().deliveries("main", hook.id)
    assert (told.event, told.call) == ("analysis.done", "1")
    (due,) = store.outbox().take_due(now=time.time() + 1, limit=9)
    assert msgspec.json.decode(due.body)["data"]["analysis"]["outcome"] == "polite"
    store.analyses().finish("1", Findings(summary="another"), now=1.0)
    assert store.call("1").analysis == found, "what is done stays"
    assert store.rebuild("1", log_of("1", "Roses, please")) and store.call("1").analysis == found


async def test_only_calls_that_are_wanted_and_in_which_somebody_spoke(store: Store) -> None:
    await keep(store, "hello", call="other", agent="b")
    await keep(store, call="silent")
    assert store.call("other").analysis is None and store.call("silent").analysis is None
    assert store.analyses().take_due(now=1e10, limit=9) == []


async def test_each_call_is_looked_over_as_the_version_it_had_asks(tmp_path: Path) -> None:
    """Covers R3, G8: versions that neither serve nor are the newest, in a process that has not seen them before."""
    place = tmp_path / "offhook.db"
    store, stored = open_store(place), open_stored_agents(place)
    document = "id = 'a'\nname = 'A'\n[brain]\nkind = 'echo'\n"
    asks = "[analysis]\nkind = 'rules'\n[[analysis.outcomes]]\noutcome = '%s'\nsaid = 'hello'\n"
    for number, text in enumerate((asks % "first", asks % "second", "", asks % "fourth", ""), 1):
        (stored.create if number == 1 else partial(stored.save, id_="a"))("main", text=document + text)
        stored.publish("main", "a")
    agents = ServedAgents(tmp_path, lambda: stored, lambda: "main", clock=WallClock(), for_new_calls=False)
    records = StoreRecords(store, listeners=(want_analyses(agents.analysis_of),))
    for version in "12345":
        await records.project_all(log_of(version, "hello", version=version))
    agents = ServedAgents(tmp_path, lambda: stored, lambda: "main", clock=WallClock(), for_new_calls=False)
    with anyio.fail_after(60):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run_analyses, store.analyses(), agents.analysis_of, allowing())
            found = dict[str, Analysis | None]()
            while len(found) < 5 or any(one and one.state == "pending" for one in found.values()):
                await anyio.sleep(0.02)
                found = {call.id: store.call(call.id).analysis for call in store.calls().calls}
            tasks.cancel_scope.cancel()
    outcomes = {call: one and one.outcome for call, one in found.items()}
    assert outcomes == {"1": "first", "2": "second", "3": None, "4": "fourth", "5": None}
    store.close()
    stored.close()


async def test_a_model_is_asked_again_until_its_answer_fits(store: Store) -> None:
    good = msgspec.json.encode({"summary": "Roses.", "fields": {"count": 12}}).decode()
    async with open_receiver() as stand_in:
        bodies = [b"oops", msgspec.json.encode({"choices": [{"message": {"content": good}}]})]
        stand_in.answers = [
            b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body)
            for body in bodies
        ]
        wanted = ByModel(url=stand_in.url("/v1"), model="m", fields={"count": ModelField("how many", "number")})
        await keep(store, "Twelve roses")
        first = await analysed(store, wanted, lambda analysis: analysis.error is not None)
        assert first.state == "pending" and "not what was asked for" in (first.error or "")
        found = await analysed(store, wanted, lambda analysis: analysis.state == "done")
        assert (found.summary, found.fields, found.error) == ("Roses.", {"count": 12.0}, None)
        asked = [msgspec.json.decode(one.body) for one in stand_in.received]
        assert [one.target for one in stand_in.received] == ["/v1/chat/completions"] * 2
        assert asked[0] == asked[1] and asked[0]["messages"][1]["content"] == "caller: Twelve roses"


async def test_what_cannot_be_done_has_failed_in_the_end(store: Store) -> None:
    await keep(store, "hello")
    analyses = store.analyses()
    for attempts in range(1, 6):
        analyses.fail("1", "no answer", attempts=attempts, now=100.0)
        found = store.call("1").analysis
        assert found is not None and (found.state, found.error) == ("pending", "no answer")
    analyses.fail("1", "no answer \0", attempts=6, now=100.0)
    assert store.call("1").analysis == Analysis(state="failed", error="no answer \ufffd", done_at=100.0)


async def test_a_key_that_is_missing_is_named_and_nothing_is_sent(store: Store) -> None:
    async with open_receiver() as stand_in:
        await keep(store, "hello")
        wanted = ByModel(url=stand_in.url("/v1"), model="m", key="OFFHOOK_KEY_127_0_0_1")
        found = await analysed(store, wanted, lambda analysis: analysis.error is not None)
        assert "OFFHOOK_KEY_127_0_0_1" in (found.error or "") and stand_in.connections == 0


async def test_a_key_goes_to_its_own_server_only(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFHOOK_KEY_127_0_0_1", "sesame")
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    async with open_receiver() as stand_in:
        await keep(store, "hello")
        # A document with the second key does not load; one that did would have the first sent all the same.
        wanted = ByModel(url=stand_in.url("/v1"), model="m", key="DATABASE_PASSWORD")
        await analysed(store, wanted, lambda analysis: analysis.error is not None)
        assert stand_in.received[0].headers["authorization"] == "Bearer sesame"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_model_inside_is_asked_only_where_the_operator_lets_it(store: Store, host: str) -> None:
    async with open_receiver() as stand_in:
        await keep(store, "hello")
        wanted = ByModel(url=stand_in.url("/v1").replace("127.0.0.1", host), model="m")
        found = await analysed(store, wanted, lambda analysis: analysis.error is not None, open_to=("10.0.0.0/8",))
        assert "--model-allow" in (found.error or "") and stand_in.connections == 0


async def test_an_expression_that_takes_too_long_is_stopped_and_stops_nobody(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(matching, "RULE_SECONDS", 2.0)
    # About ten seconds of tries.
    await keep(store, "a" * 28)
    slow = ByRules(outcomes=(OutcomeRule("an address", "([a-z]+)+@"),))
    looks, before = 0, set(children_of(os.getpid()))

    def looked(analysis: Analysis) -> bool:
        nonlocal looks
        looks += 1
        return analysis.error is not None

    found = await analysed(store, slow, looked)
    assert (found.state, found.outcome) == ("pending", None) and "regular expression" in (found.error or "")
    assert looks > 20, "the loop ran on while the rules did"
    assert set(children_of(os.getpid())) <= before


def test_an_expression_whose_owner_was_killed_ends_as_well() -> None:
    script = (
        "from offhook.services.analysis.matching import _find\n"
        "from offhook.protocol.agent.analysis import ByRules, OutcomeRule\n"
        "from offhook.protocol.record import CallRecord, TranscriptLine\n"
        "line = TranscriptLine(1, 'caller', 'a' * 28, 0.0, 1.0)\n"
        "record = CallRecord(id='1', transcript=(line,))\n"
        "_find(ByRules(outcomes=(OutcomeRule('x', '([a-z]+)+@'),)), record, 1)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False, text=True)
    assert done.returncode == -signal.SIGALRM, done.stderr


async def test_what_dies_with_its_process_each_time_has_failed_in_the_end(store: Store) -> None:
    await keep(store, "hello")
    analyses, now = store.analyses(), 1e10
    for attempts in range(1, 7):
        (due,) = analyses.take_due(now=now, limit=9)
        assert due.attempts == attempts and analyses.take_due(now=now + 1.0, limit=9) == []
        now += 1e6
    assert analyses.take_due(now=now, limit=9) == []
    found = store.call("1").analysis
    assert found is not None and (found.state, found.done_at) == ("failed", now) and "ended" in (found.error or "")


async def test_an_erased_call_is_not_analysed(store: Store) -> None:
    await keep(store, "hello")
    (due,) = store.analyses().take_due(now=1e10, limit=9)
    report = store.erase("1", now=50.0)
    assert report is not None and report.deleted["analyses"] == 1
    store.analyses().finish(due.record.id, Findings(summary="hello"), now=60.0)
    assert store.analyses().take_due(now=1e11, limit=9) == []
