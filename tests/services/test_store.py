"""The store agrees with the logs, whatever was delivered twice and wherever it broke off."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import given, settings
from hypothesis import strategies as st
from postgres import PostgresServer
from sqlalchemy import Engine, event, inspect, text

from offhook.protocol.call import CallState, LogEntry
from offhook.protocol.call import events as ev
from offhook.protocol.quality import Quality
from offhook.protocol.record import (
    AmbiguousCall,
    BadCursor,
    CallFilter,
    CallNotFound,
    OutOfOrder,
    RecordsAway,
    fold_record,
)
from offhook.services.store import SchemaTooNew, Store, open_store
from offhook.services.store.cleaning import clean
from offhook.services.store.engine import WRITES, open_engine
from offhook.services.store.schema import upgrade
from offhook.services.store.tables import HEAD, metadata
from offhook.simulation.call_logs import call_logs

CALL = "6f1c2d3e-0000-4000-8000-000000000001"


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new store can be opened, on each database."""
    if request.param == "sqlite":
        return str(tmp_path / "data" / "offhook.db")
    url: str = request.getfixturevalue("postgres").new_database()
    return url


@pytest.fixture
def store(place: str) -> Iterator[Store]:
    store = open_store(place)
    yield store
    store.close()


def log_of(call: str, *happened: ev.CallEvent, begin: float = 1.0) -> list[LogEntry]:
    return [LogEntry(call=call, seq=seq, at=begin + seq, owner=1, event=event) for seq, event in enumerate(happened, 1)]


def offer(**more: Any) -> ev.Offered:
    return ev.Offered(**{"agent": "a", "version": "1", "workspace": "main", "sdp": "v=0", "mode": "echo", **more})


def said(line: int, words: str) -> ev.Said:
    return ev.Said(role="caller", text=words, line=line, began=1.0, ended=2.0)


def answered(call: str, *lines: str) -> list[LogEntry]:
    spoken = [said(number, words) for number, words in enumerate(lines, 1)]
    return log_of(call, offer(), ev.MediaConnected(), ev.AgentAnswered(), *spoken)


class PowerCut(Exception):
    """What the test breaks the database off with."""


class Cutter:
    """Breaks off a database at one of the next statements."""

    def __init__(self, engine: Engine) -> None:
        self.left: int | None = None
        event.listen(engine, "before_cursor_execute", self._count)

    def _count(self, *_: object) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise PowerCut


# ── projecting ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def new_place(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Where a new store can be opened, as often as asked; given a folder that may be used."""
    if request.param == "sqlite":
        return lambda folder: str(Path(folder) / "offhook.db")
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.new_database()

    open_store(url).close()

    def emptied(_: str) -> str:
        engine = open_engine(url)
        with engine.begin() as connection:
            connection.execute(text("TRUNCATE calls CASCADE"))
        engine.dispose()
        return url

    return emptied


@settings(max_examples=40, deadline=None)
@given(entries=call_logs(CALL), data=st.data())
def test_projecting_agrees_with_folding(
    new_place: Callable[[str], str], entries: list[LogEntry], data: st.DataObject
) -> None:
    """Every entry may come again, from any earlier point on, and every transaction may break off at any statement."""
    with TemporaryDirectory() as folder, ExitStack() as stack:
        place = new_place(folder)
        open_store(place).close()
        engine = open_engine(place)
        # Closed when the test fails, too: PostgreSQL has few connections, and shrinking would use them up.
        cutter, store = Cutter(engine), stack.enter_context(closing(Store(engine)))
        furthest = position = 0
        while position < len(entries):
            cutter.left = data.draw(st.sampled_from([None, None, None, 0, 1, 2, 3, 4, 5]))
            try:
                new = store.project(entries[position])
            except PowerCut:
                position = max(0, position - data.draw(st.integers(0, 3)))
                continue
            assert new is (position >= furthest)
            position += 1
            furthest = max(furthest, position)
        cutter.left = None
        if entries:
            assert store.call(CALL) == fold_record(CALL, map(clean, entries))
            assert [summary.id for summary in store.calls().calls] == [CALL]
        else:
            assert store.calls().calls == ()


def test_an_entry_that_comes_too_early_is_refused_and_taken_later(store: Store) -> None:
    entries = answered(CALL, "Hello")
    store.project(entries[0])
    with pytest.raises(OutOfOrder):
        store.project(entries[2])
    assert store.call(CALL) == fold_record(CALL, entries[:1])
    for entry in entries[1:]:
        assert store.project(entry)
    assert store.call(CALL) == fold_record(CALL, entries)


def test_a_gap_can_be_gone_over(store: Store) -> None:
    store.project(log_of(CALL, offer())[0])
    end = LogEntry(call=CALL, seq=9, at=20.0, owner=1, event=ev.CallerHungUp())
    assert store.project(end, over_gap=True)
    assert store.call(CALL).state is CallState.ENDING


def test_a_gap_at_the_very_beginning_can_be_gone_over(store: Store) -> None:
    assert store.project(LogEntry(call=CALL, seq=4, at=20.0, owner=1, event=ev.CallerHungUp()), over_gap=True)
    assert store.call(CALL).state is CallState.ENDED


def test_what_changes_a_record_without_a_change_of_state_is_written(store: Store) -> None:
    entries = answered(CALL)
    entries += [LogEntry(call=CALL, seq=4, at=5.0, owner=1, event=ev.AudioMeasured(quality=Quality(received=7)))]
    for entry in entries:
        store.project(entry)
    assert store.call(CALL) == fold_record(CALL, entries)
    assert store.call(CALL).quality == Quality(received=7)


def test_two_processes_may_project_one_log(place: str) -> None:
    """Both take every entry; each is written by one of them."""
    entries = answered(CALL, *(f"line {number}" for number in range(30)))
    stores = [open_store(place) for _ in range(2)]
    written: list[int] = []
    failures: list[BaseException] = []

    def work(store: Store) -> None:
        try:
            for entry in entries:
                while True:
                    try:
                        if store.project(entry):
                            written.append(entry.seq)
                        break
                    except OutOfOrder:
                        continue
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert sorted(written) == [entry.seq for entry in entries]
    assert stores[0].call(CALL) == fold_record(CALL, entries)
    for store in stores:
        store.close()


@pytest.mark.parametrize("words", ["a\0b", "a\ud800b", "\udfff", "\0"])
def test_what_no_database_holds_is_replaced(store: Store, words: str) -> None:
    for entry in log_of(CALL, offer(metadata={words: words}), ev.MediaConnected(), ev.AgentAnswered(), said(1, words)):
        store.project(entry)
    clean = words.replace("\0", "\ufffd").replace("\ud800", "\ufffd").replace("\udfff", "\ufffd")
    record = store.call(CALL)
    assert record.metadata == {clean: clean}
    assert record.transcript[0].text == clean


@pytest.mark.parametrize("words", ["'; DROP TABLE calls; --", "😀 \u202e𝕏", "%s %(x)s :id ?", "\n\t\\"])
def test_other_text_is_kept_as_it_is(store: Store, words: str) -> None:
    for entry in [*answered(CALL, words)]:
        store.project(entry)
    assert store.call(CALL).transcript[0].text == words


# ── reading ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_pages_hold_every_call_once_newest_first(store: Store) -> None:
    # Three calls of one moment: the cursor must not lose or repeat any of them.
    for number in range(10):
        store.project(log_of(f"call-{number}", offer(), begin=float(number // 3))[0])
    seen, cursor = [], None
    while True:
        page = store.calls(limit=3, cursor=cursor)
        seen += [(call.created_at, call.id) for call in page.calls]
        cursor = page.cursor
        if cursor is None:
            break
    assert len(seen) == 10
    assert seen == sorted(seen, reverse=True)


def test_a_page_that_is_just_full_is_the_last(store: Store) -> None:
    for number in range(3):
        store.project(log_of(f"call-{number}", offer())[0])
    assert store.calls(limit=3).cursor is None


def test_filters(store: Store) -> None:
    for call, facts in {"1": {"agent": "a"}, "2": {"agent": "b"}, "3": {"agent": "a", "workspace": "other"}}.items():
        store.project(log_of(call, offer(**facts))[0])
    store.project(LogEntry(call="4", seq=1, at=9.0, owner=1, event=ev.CallerHungUp()))

    def found(**wanted: Any) -> set[str]:
        return {call.id for call in store.calls(CallFilter(**wanted)).calls}

    assert found() == {"1", "2", "3", "4"}
    assert found(agent="a") == {"1", "3"}
    assert found(agent="a", workspace="main") == {"1"}
    assert found(state=CallState.ENDED) == {"4"}
    assert found(state=CallState.HELD) == set()


@pytest.mark.parametrize("cursor", ["", "x", "é", "W10", "WzEsMl0", "////", "WzEwMS4wLCJ"])
def test_a_foreign_cursor_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(BadCursor):
        store.calls(cursor=cursor)


def test_a_call_is_found_by_the_beginning_of_its_id(store: Store) -> None:
    for call in ("aab", "abb", "abbc", "a%c"):
        store.project(log_of(call, offer())[0])
    assert store.call("aa").id == "aab"
    # A whole id counts before those that begin with it, and signs of the query language mean themselves.
    assert store.call("abb").id == "abb"
    assert store.call("a%").id == "a%c"
    with pytest.raises(AmbiguousCall):
        store.call("ab")
    for start in ("", "b", "_", "%"):
        with pytest.raises(CallNotFound):
            store.call(start)
    with pytest.raises(CallNotFound):
        store.call("aa", exact=True)


def test_a_reader_is_not_kept_waiting_by_a_writer(tmp_path: Path) -> None:
    store = open_store(tmp_path / "offhook.db")
    store.project(answered(CALL)[0])
    writer = sqlite3.connect(tmp_path / "offhook.db", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    assert store.call(CALL).id == CALL
    writer.execute("ROLLBACK")
    writer.close()
    store.close()


# ── opening ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_written_is_there_after_opening_again(place: str) -> None:
    entries = answered(CALL, "Hello")
    for entry in entries:
        store = open_store(place)
        store.project(entry)
        store.close()
    store = open_store(place if "://" in place else f"sqlite:///{place}")
    assert store.call(CALL) == fold_record(CALL, entries)
    store.close()


def test_migrating_step_by_step_makes_the_same_tables(place: str) -> None:
    engine = open_engine(place)
    with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
        upgrade(connection)
    with engine.connect() as connection:
        options = {"compare_type": True, "target_metadata": metadata, "include_name": _is_ours}
        context = MigrationContext.configure(connection, opts=options)
        differences = compare_metadata(context, metadata)
        if engine.dialect.name == "sqlite":
            # There FTS5 is the index.
            differences = [one for one in differences if getattr(one[1], "name", "") != "transcript_search_by_word"]
        assert differences == []
        assert context.get_current_revision() == HEAD
        indexes = inspect(connection).get_indexes("calls")
        assert {index["name"] for index in indexes} == {index.name for index in metadata.tables["calls"].indexes}
    engine.dispose()


def _is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """FTS5 keeps tables of its own."""
    return kind != "table" or not (name or "").startswith("transcript_words")


def test_the_two_ways_to_a_new_store_make_the_same_search(tmp_path: Path) -> None:
    """What SQLite is told of FTS5 stands in the tables and in the migration."""
    said = []
    for name in ("stepwise", "at once"):
        engine = open_engine(tmp_path / name)
        with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
            upgrade(connection) if name == "stepwise" else metadata.create_all(connection)
            query = text("SELECT name, sql FROM sqlite_master WHERE name LIKE 'transcript_%' AND type <> 'index'")
            said.append({(row.name, " ".join(row.sql.split())) for row in connection.execute(query)})
        engine.dispose()
    stepwise, at_once = ({one for one in some if "CREATE TABLE" not in one[1]} for some in said)
    assert stepwise == at_once and len(stepwise) == 3


def test_a_database_of_a_newer_version_is_refused_and_left_alone(place: str) -> None:
    open_store(place).close()
    engine = open_engine(place)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaTooNew):
        open_store(place)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"
    engine.dispose()


def test_several_processes_may_open_a_new_store_at_once(place: str) -> None:
    stores: list[Store] = []
    threads = [threading.Thread(target=lambda: stores.append(open_store(place))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(stores) == 4
    for store in stores:
        store.close()


def test_a_store_at_head_opens_without_alembic(tmp_path: Path) -> None:
    """Alembic takes as long to import as the rest of a role takes to start."""
    open_store(tmp_path / "offhook.db").close()
    program = (
        "import sys; from offhook.services.store import open_store; open_store(sys.argv[1]).close();"
        "sys.exit('alembic' in sys.modules)"
    )
    for file in ("offhook.db", "new.db"):
        subprocess.run([sys.executable, "-c", program, str(tmp_path / file)], check=True, timeout=60)


def test_a_file_that_is_no_database_is_said_to_be_away(tmp_path: Path) -> None:
    (tmp_path / "offhook.db").write_bytes(b"this is not a database, " * 100)
    with pytest.raises(RecordsAway):
        open_store(tmp_path / "offhook.db")


def test_a_busy_database_is_away_and_then_is_not(tmp_path: Path) -> None:
    engine = open_engine(tmp_path / "offhook.db", busy=0.05)
    open_store(tmp_path / "offhook.db").close()
    store = Store(engine)
    blocker = sqlite3.connect(tmp_path / "offhook.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(RecordsAway):
        store.project(answered(CALL)[0])
    blocker.execute("ROLLBACK")
    blocker.close()
    assert store.project(answered(CALL)[0])
    store.close()
