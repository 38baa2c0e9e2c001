"""Finding, exporting, erasing and rebuilding records, the same on both databases."""

import random
import re
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from offhook.protocol.call import CallState, EndReason, LogEntry
from offhook.protocol.call import events as ev
from offhook.protocol.record import BadCursor, CallFilter, CallLives, CallNotFound, fold_record
from offhook.services.store import Store, clean, finding, open_store
from offhook.services.store.tables import call_facts, calls, erasures, metadata, transcript_search
from offhook.simulation.call_logs import call_logs

DAY = 86_400.0


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    place = str(tmp_path / "offhook.db")
    if request.param == "postgresql":
        place = request.getfixturevalue("postgres").new_database()
    store = open_store(place)
    yield store
    store.close()


def log_of(call: str, *spoken: str, begin: float = 1.0, ended: bool = True, **offer: Any) -> list[LogEntry]:
    facts = {"agent": "a", "version": "1", "workspace": "main", "sdp": "v=0", "mode": "echo", **offer}
    happened: list[ev.CallEvent] = [ev.Offered(**facts), ev.MediaConnected(), ev.AgentAnswered()]
    for line, words in enumerate(spoken, 1):
        happened.append(ev.Said(role="caller", text=words, line=line, began=1.0, ended=2.0))
    if ended:
        happened += [ev.CallerHungUp(), ev.AgentStopped(), ev.MediaClosed()]
    return [LogEntry(call=call, seq=seq, at=begin + seq, owner=1, event=event) for seq, event in enumerate(happened, 1)]


def keep(store: Store, *logs: list[LogEntry]) -> None:
    store.project_all([entry for log in logs for entry in log])


def found(store: Store, **wanted: Any) -> list[str]:
    return [call.id for call in store.calls(CallFilter(**wanted)).calls]


# ── finding ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_calls_are_found_by_each_of_their_facts(store: Store) -> None:
    keep(
        store,
        log_of("1", begin=100.0, metadata={"plan": "gold", "page": "/"}),
        log_of("2", begin=200.0, channel="chat", metadata={"plan": "tin"}),
        log_of("3", begin=300.0, ended=False, workspace="other", metadata={"plan": "gold"}),
    )
    assert found(store) == ["3", "2", "1"]
    assert found(store, since=201.0) == ["3", "2"] and found(store, since=201.5, until=301.0) == []
    assert found(store, until=201.0) == ["1"]
    assert found(store, channel="chat") == ["2"]
    assert found(store, reason=EndReason.CALLER_HANGUP) == ["2", "1"]
    assert found(store, reason=EndReason.LOST) == []
    assert found(store, metadata={"plan": "gold"}) == ["3", "1"]
    assert found(store, metadata={"plan": "gold", "page": "/"}) == ["1"]
    assert found(store, metadata={"plan": "gol"}) == found(store, metadata={"": "plan"}) == []
    assert found(store, metadata={"plan": "gold"}, workspace="main", state=CallState.ENDED) == ["1"]


def test_ended_calls_are_found_by_their_words(store: Store) -> None:
    keep(
        store,
        log_of("1", "What are your OPENING hours?", "Thank you", begin=1.0),
        log_of("2", "Ein Straußenei kostet 12,50 €", begin=2.0),
        log_of("3", "Opening a shop", begin=3.0, ended=False),
        log_of("4", begin=4.0),
    )
    assert found(store, text="opening") == ["1"]
    assert found(store, text="thank hour") == ["1"], "in any order, each the beginning of a word"
    assert found(store, text="pening") == []
    assert found(store, text="STRAUSSENEI") == ["2"]
    assert found(store, text="12") == found(store, text="50 €") == ["2"]
    assert found(store, text="opening closing") == []
    for nothing in ("", " ", "?!", "€"):
        assert found(store, text=nothing) == []


@pytest.mark.parametrize(
    "text", ['"', "'", "a' OR 1=1", 'x" OR "y', "* AND", "NOT a", "a:b", "(", "\\", "a & !b", "%", "\0", "a\0b"]
)
def test_signs_of_a_query_language_mean_nothing(store: Store, text: str) -> None:
    keep(store, log_of("1", "hello"))
    assert found(store, text=text) == []


def test_a_filter_with_what_no_database_holds_finds_nothing(store: Store) -> None:
    keep(store, log_of("1", "hello"))
    assert found(store, agent="a\0") == found(store, agent="\ud800") == []
    assert found(store, metadata={"\0": "\ud800"}) == []
    with pytest.raises(CallNotFound):
        store.call("\0")


workspaces = (f"workspace-{number}" for number in count())


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_pages_are_the_same_whichever_way_they_are_found(
    data: st.DataObject, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Covers R2: what is sought may be with every call or with none, here or far back."""
    monkeypatch.setattr(finding, "LOOK", data.draw(st.integers(0, 3), label="looked at one by one"))
    monkeypatch.setattr(finding, "FEW", data.draw(st.integers(0, 3), label="are few"))
    workspace = next(workspaces)
    kinds = st.tuples(
        st.sampled_from("ab"),
        st.sets(st.sampled_from(["red", "redder", "blue"])),
        st.fixed_dictionaries({"plan": st.sampled_from("gt"), "to": st.sampled_from("xyz")}),
    )
    drawn = data.draw(st.lists(kinds, min_size=6, max_size=16), label="agent, words and metadata of calls")
    made = [(number // 2, f"{workspace}-{number:02}", *one) for number, one in enumerate(drawn)]
    for at, call, agent, said, facts in made:
        log = log_of(call, " ".join(said), begin=float(at), agent=agent, metadata=facts, workspace=workspace)
        keep(store, log)
    whose = data.draw(st.sampled_from([None, "a"]), label="agent")
    words = data.draw(st.sets(st.sampled_from(["re", "red", "redd", "blue"]), max_size=2), label="words")
    held = data.draw(st.sampled_from([{}, {"plan": "g"}, {"to": "x"}, {"plan": "t", "to": "y"}]), label="metadata")
    wanted = CallFilter(workspace=workspace, agent=whose, text=" ".join(words) or None, metadata=held or None)
    expected = [
        call
        for _, call, agent, said, facts in reversed(made)
        if whose in {None, agent}
        and held.items() <= facts.items()
        and all(any(one.startswith(word) for one in said) for word in words)
    ]
    seen, cursor, limit = list[str](), None, data.draw(st.integers(1, 4), label="limit")
    while True:
        page = store.calls(wanted, limit=limit, cursor=cursor)
        seen += [call.id for call in page.calls]
        assert seen == expected[: len(seen)]
        cursor = page.cursor
        if cursor is None:
            break
        assert len(page.calls) == limit
    assert seen == expected


@settings(max_examples=25)
@given(data=st.data())
def test_search_agrees_with_reading_every_line(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    store = open_store(tmp_path_factory.mktemp("search") / "offhook.db")
    words = st.sampled_from(["red", "redder", "blue", "green", "gréen", "Ünder_score", "1", "12"])
    texts = data.draw(st.lists(st.lists(words, min_size=1, max_size=4).map(" - ".join), min_size=1, max_size=8))
    keep(store, *(log_of(str(number), text, begin=float(number)) for number, text in enumerate(texts)))
    asked = data.draw(st.lists(words, min_size=1, max_size=3))
    expected = [
        str(number)
        for number, text in enumerate(texts)
        if all(any(word.startswith(one.casefold()) for word in re.findall(r"\w+", text.casefold())) for one in asked)
    ]
    assert found(store, text=" ".join(asked)) == expected[::-1]
    store.close()


@pytest.mark.parametrize("cursor", ["WzEuMCwiXHUwMDAwIl0", "W251bGwsIngiXQ"])
def test_a_cursor_that_cannot_be_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(BadCursor):
        store.calls(cursor=cursor)


def test_an_export_has_every_call_once(store: Store) -> None:
    logs = [log_of(f"{number:03}", "hello", begin=float(number % 7)) for number in range(450)]
    keep(store, *logs)
    exported = [record for some in store.export(CallFilter(agent="a")) for record in some]
    assert sorted(record.id for record in exported) == [f"{number:03}" for number in range(450)]
    assert [(record.created_at, record.id) for record in exported] == sorted(
        ((record.created_at, record.id) for record in exported), reverse=True
    )
    assert exported[0] == fold_record(exported[0].id, next(log for log in logs if log[0].call == exported[0].id))


# ── erasing ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_erased_call_is_gone_from_every_table_and_stays_so(store: Store, tmp_path: Path) -> None:
    gone = log_of("1", "swordfish", metadata={"name": "Zaphod"})
    keep(store, gone, log_of("2", "hello"))
    report = store.erase("1", now=50.0)
    assert report is not None and report.deleted == {
        "records": 1, "transcript_lines": 1, "analyses": 0, "webhook_messages": 0,
    }  # fmt: skip
    keep(store, gone)
    store.project(gone[0])
    assert found(store) == ["2"] and found(store, text="swordfish") == []
    with store.reading() as connection:
        for table in (calls, call_facts, transcript_search):
            rows = connection.execute(select(table)).all()
            assert not any("swordfish" in str(row) or "Zaphod" in str(row) for row in rows)
    assert store.erase("1", now=60.0) is None
    assert [one.call for one in store.open_erasures()] == ["1"]
    done = store.end_erasure("1", {"log_messages": 7}, now=70.0)
    assert done == store.erasure("1") and done is not None
    assert (done.done_at, done.deleted["log_messages"], done.deleted["records"]) == (70.0, 7, 1)
    assert store.open_erasures() == []
    assert store.erasure("1", workspace="other") is None


def test_no_word_of_an_erased_call_is_left_in_the_file(tmp_path: Path) -> None:
    store = open_store(tmp_path / "offhook.db")
    dice = random.Random(1)
    keep(store, *(log_of(str(number), "common words") for number in range(20)), log_of("1e", "swordfish"))
    # An index of more pages than are rewritten at one time.
    for number in range(20, 120):
        keep(store, log_of(str(number), " ".join(f"{dice.getrandbits(40):x}" for _ in range(800))))
    assert store.erase("1e", now=50.0) is not None
    store.forget_words()
    with store.writing() as connection:
        connection.exec_driver_sql("SELECT 1")
    store.close()
    written = b"".join(file.read_bytes() for file in tmp_path.glob("offhook.db*"))
    assert b"common" in written and b"swordfish" not in written


def test_open_erasures_are_found_page_by_page_and_by_call(store: Store) -> None:
    for call in ("1", "2", "3"):
        keep(store, log_of(call))
        assert store.erase(call, now=50.0 - int(call)) is not None
    first = store.open_erasures(limit=2)
    rest = store.open_erasures(after=first[-1].call, limit=2)
    assert ([one.call for one in first], [one.call for one in rest]) == (["1", "2"], ["3"])
    store.end_erasure("3", {}, now=60.0)
    assert (store.open_erasure("2"), store.open_erasure("3")) == (first[1], None)


def test_a_call_that_lives_is_not_erased(store: Store) -> None:
    keep(store, log_of("1", ended=False))
    with pytest.raises(CallLives):
        store.erase("1", now=50.0)
    assert found(store) == ["1"]
    assert store.erase("1", now=50.0, even_living=True) is not None


def test_each_file_of_a_recording_is_named_for_the_eraser(store: Store) -> None:
    log = log_of("1", "hello", ended=False)
    ends: list[ev.CallEvent] = [
        ev.RecordingBegan(key="x.ogg"), ev.RecordingBegan(key="x.2.ogg"), ev.CallerHungUp(), ev.AgentStopped(),
        ev.RecordingSaved(key="x.2.ogg", seconds=1.0, size=9), ev.MediaClosed(),
    ]  # fmt: skip
    more = [LogEntry(call="1", seq=5 + number, at=9.0, owner=1, event=event) for number, event in enumerate(ends)]
    keep(store, log + more)
    assert store.erase("1", now=50.0) is not None
    assert store.open_erasures()[0].files == ("x.ogg", "x.2.ogg")


def test_calls_are_kept_for_as_long_as_their_workspace_says(store: Store) -> None:
    keep(
        store,
        log_of("old", begin=0.0),
        log_of("new", begin=5 * DAY),
        log_of("living", begin=0.0, ended=False),
        log_of("other", begin=0.0, workspace="other"),
    )
    assert store.expire(now=100 * DAY) == 0, "off unless somebody sets it"
    store.keep_days("main", 3)
    assert store.kept_days("main") == 3
    assert store.expire(now=4 * DAY) == 1
    assert sorted(found(store)) == ["living", "new", "other"]
    store.keep_days("main", None)
    assert (store.kept_days("main"), store.expire(now=100 * DAY)) == (None, 0)


# ── rebuilding ─────────────────────────────────────────────────────────────────────────────────────────────────────


@settings(max_examples=25)
@given(logs=st.tuples(call_logs("a"), call_logs("b"), call_logs("c")))
def test_a_store_rebuilt_from_the_logs_equals_the_old_one(
    tmp_path_factory: pytest.TempPathFactory, logs: tuple[list[LogEntry], ...]
) -> None:
    folder = tmp_path_factory.mktemp("rebuilt")
    old, new = open_store(folder / "old.db"), open_store(folder / "new.db")
    for log in logs:
        for entry in log:
            old.project(entry)
    for store in (old, new):
        for log in logs:
            if log:
                assert store.rebuild(log[0].call, log)
    for log in logs:
        if log:
            assert new.call(log[0].call) == fold_record(log[0].call, map(clean, log)) == old.call(log[0].call)
    assert _dump(old) == _dump(new)
    old.close()
    new.close()


def _dump(store: Store) -> dict[str, list[str]]:
    tables = [table for table in metadata.sorted_tables if table.name.startswith(("call", "transcript"))]
    with store.reading() as connection:
        return {
            table.name: sorted(
                str(
                    [value for name, value in row._mapping.items() if (table.name, name) != ("transcript_search", "id")]
                )
                for row in connection.execute(select(table))
            )
            for table in tables
        }


def test_a_damaged_record_is_mended_and_one_that_is_ahead_is_left(store: Store) -> None:
    log = log_of("1", "hello", "goodbye")
    keep(store, log)
    with store.writing() as connection:
        connection.execute(calls.update().values(agent="somebody else"))
    assert not store.rebuild("1", log[:3])
    assert store.rebuild("1", log)
    assert store.call("1") == fold_record("1", log)
    assert found(store, text="goodbye") == ["1"]


def test_a_rebuilt_store_leaves_out_what_was_erased(store: Store) -> None:
    log = log_of("1", "hello")
    keep(store, log)
    store.erase("1", now=50.0)
    store.rebuild("1", log)
    assert found(store) == []
    with store.reading() as connection:
        assert len(connection.execute(select(erasures)).all()) == 1
