"""The tables of the store, in types that SQLite and PostgreSQL share.

``migrations/versions`` makes the same tables step by step; a test holds the two together.
"""

from sqlalchemy import (
    DDL,
    JSON,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    event,
)
from sqlalchemy.dialects.postgresql import TSVECTOR

#: The migration that makes these tables.
HEAD = "0007"

metadata = MetaData()

calls = Table(
    "calls",
    metadata,
    Column("id", Text, primary_key=True),
    Column("channel", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text),
    Column("failure", Text),
    Column("agent", Text),
    Column("version", Text),
    Column("workspace", Text),
    Column("mode", Text),
    Column("caller", Text),
    Column("callee", Text),
    Column("call_sid", Text),
    Column("variant", Text),
    Column("variables", JSON, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("answered_at", Double),
    Column("ended_at", Double),
    Column("duration", Double, nullable=False),
    Column("recording", JSON),
    Column("quality", JSON),
    # Lists are newest first, and a page begins behind (created_at, id) of the page before. Nearly all are of one
    # workspace.
    Index("calls_by_time", "created_at", "id"),
    Index("calls_by_workspace", "workspace", "created_at", "id"),
    Index("calls_by_state", "workspace", "state", "created_at", "id"),
    Index("calls_by_agent", "workspace", "agent", "created_at", "id"),
    Index("calls_by_reason", "workspace", "reason", "created_at", "id"),
    Index("calls_by_channel", "workspace", "channel", "created_at", "id"),
)

call_states = Table(
    "call_states",
    metadata,
    Column("call", Text, ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    #: Position of the entry in the call's log.
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("because", Text, nullable=False),
)

transcript_lines = Table(
    "transcript_lines",
    metadata,
    Column("call", Text, ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("role", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("began", Double, nullable=False),
    Column("ended", Double, nullable=False),
    Column("interrupted", Boolean, nullable=False),
)

#: How far each call's log has been taken, and the call as it stood there (a ``Progress`` as msgpack).
call_log_position = Table(
    "call_log_position",
    metadata,
    Column("call", Text, ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("progress", LargeBinary, nullable=False),
)

#: Each name and value of a call's metadata, as one short word (``searching.fact``), to find calls by.
call_facts = Table(
    "call_facts",
    metadata,
    Column("call", Text, ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    Column("fact", Text, primary_key=True),
    Index("call_facts_by_fact", "fact", "call"),
)

#: The words of an ended call's transcript: in PostgreSQL a vector of them, in SQLite a text that an FTS5 table indexes.
transcript_search = Table(
    "transcript_search",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("call", Text, ForeignKey("calls.id", ondelete="CASCADE"), nullable=False, unique=True),
    Column("words", Text().with_variant(TSVECTOR(), "postgresql"), nullable=False),
)
# New words wait on a list that each search goes through: it is to be short (kB).
Index(
    "transcript_search_by_word", transcript_search.c.words, postgresql_using="gin",
    postgresql_with={"gin_pending_list_limit": 256},
).ddl_if(dialect="postgresql")  # fmt: skip

#: The index of ``transcript_search`` in SQLite (FTS5, "external content"), and what keeps the two in step. A word is
#: what ``searching.words_of`` makes; there is nothing to fold or split any more.
FTS5 = (
    """CREATE VIRTUAL TABLE transcript_words USING fts5(
        words, content='transcript_search', content_rowid='id', detail='none',
        tokenize='unicode61 remove_diacritics 0 tokenchars ''_'''
    )""",
    """CREATE TRIGGER transcript_search_added AFTER INSERT ON transcript_search BEGIN
        INSERT INTO transcript_words (rowid, words) VALUES (new.id, new.words);
    END""",
    """CREATE TRIGGER transcript_search_deleted AFTER DELETE ON transcript_search BEGIN
        INSERT INTO transcript_words (transcript_words, rowid, words) VALUES ('delete', old.id, old.words);
    END""",
)
for _statement in FTS5:
    _ddl = DDL(_statement)  # type: ignore[no-untyped-call]
    event.listen(transcript_search, "after_create", _ddl.execute_if(dialect="sqlite"))

#: Calls that were erased or are to be. What comes of their logs later is passed over; no word of the call is kept.
erasures = Table(
    "erasures",
    metadata,
    Column("call", Text, primary_key=True),
    Column("workspace", Text),
    Column("asked_at", Double, nullable=False),
    #: When the log and the files were gone, too; None until then.
    Column("done_at", Double),
    #: Names of files that go with it.
    Column("files", JSON, nullable=False),
    #: How much of each kind was deleted.
    Column("deleted", JSON, nullable=False),
    Index("erasures_by_end", "done_at"),
)

#: For how many days a workspace keeps its calls; without a row for ever.
retention = Table(
    "retention",
    metadata,
    Column("workspace", Text, primary_key=True),
    Column("days", Integer, nullable=False),
)

#: The analysis of an ended call, where its agent wants one. Not made from the log: it outlives a rebuilt record.
call_analyses = Table(
    "call_analyses",
    metadata,
    Column("call", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("workspace", Text),
    #: ``pending``, ``done`` or ``failed``.
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    #: When to try (again), seconds since the epoch.
    Column("next_at", Double, nullable=False),
    Column("summary", Text),
    Column("outcome", Text),
    Column("fields", JSON, nullable=False),
    Column("error", Text),
    Column("done_at", Double),
    Index("call_analyses_due", "state", "next_at"),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("url", Text, nullable=False),
    #: Names of the events it gets; empty: all.
    Column("events", JSON, nullable=False),
    #: ``enabled`` or ``disabled``, and why it was disabled.
    Column("state", Text, nullable=False),
    Column("notice", Text),
    Column("secret", Text, nullable=False),
    #: The secret before it, which signs too until then.
    Column("former_secret", Text),
    Column("former_until", Double),
    Column("created_at", Double, nullable=False),
    #: Since when no delivery has come through; None after one that has.
    Column("failing_since", Double),
    Index("webhooks_by_workspace", "workspace"),
)

#: What webhooks are told; written in the transaction that changes the record.
webhook_messages = Table(
    "webhook_messages",
    metadata,
    #: The ``webhook-id``: made from the call and the event, so that it is the same whatever is done twice.
    Column("id", Text, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("call", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("at", Double, nullable=False),
    Column("body", Text, nullable=False),
    Index("webhook_messages_by_call", "call"),
    Index("webhook_messages_by_time", "at"),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("webhook", Text, ForeignKey("webhooks.id", ondelete="CASCADE"), primary_key=True),
    Column("message", Text, ForeignKey("webhook_messages.id", ondelete="CASCADE"), primary_key=True),
    #: ``pending``, ``delivered`` or ``failed``.
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    #: When the first attempt was due, and the next one is.
    Column("first_at", Double, nullable=False),
    Column("next_at", Double, nullable=False),
    Index("webhook_deliveries_due", "state", "next_at"),
    Index("webhook_deliveries_by_message", "message"),
)

webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("webhook", Text, ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    Column("message", Text, ForeignKey("webhook_messages.id", ondelete="CASCADE"), nullable=False),
    Column("at", Double, nullable=False),
    #: Seconds it took.
    Column("took", Double, nullable=False),
    #: Status of the answer; None when there was none.
    Column("status", Integer),
    #: A word and a sentence for what went wrong; None when nothing did.
    Column("error", Text),
    Index("webhook_attempts_by_webhook", "webhook", "at"),
    Index("webhook_attempts_by_message", "message"),
)

#: Keys of workspaces; of the key itself only its hash (``protocol.keys.Key`` has the other fields).
keys = Table(
    "keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("hash", Text, nullable=False, unique=True),
    Column("workspace", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("hint", Text, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("domains", JSON, nullable=False),
    Column("per_minute", Integer),
    Column("per_day", Integer),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("last_used_at", Double),
    Column("replaced_by", Text),
    Index("keys_by_time", "workspace", "created_at", "id"),
)

#: How many call tokens a key has given on a day (UTC, days since the epoch).
key_days = Table(
    "key_days",
    metadata,
    Column("key", Text, ForeignKey("keys.id", ondelete="CASCADE"), primary_key=True),
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("tokens", Integer, nullable=False),
)

#: Answers to requests with an ``Idempotency-Key``, sealed with the key that asked; no status yet: in flight.
replies = Table(
    "replies",
    metadata,
    Column("id", Text, primary_key=True),
    Column("fingerprint", Text, nullable=False),
    Column("begun_at", Double, nullable=False),
    Column("status", Integer),
    Column("sealed", LargeBinary),
    Index("replies_by_time", "begun_at"),
)

#: Agents kept with their history; a deleted one keeps its versions, for the calls that have them.
agents = Table(
    "agents",
    metadata,
    Column("workspace", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    #: Numbers of versions.
    Column("newest", Integer, nullable=False),
    Column("live", Integer),
    Column("sandbox", Integer),
    #: Counts the changes, so that whoever serves the agent sees that there was one.
    Column("revision", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("changed_at", Double, nullable=False),
    Column("deleted_at", Double),
    Index("agents_by_time", "workspace", "created_at", "id"),
)

agent_versions = Table(
    "agent_versions",
    metadata,
    Column("workspace", Text, primary_key=True),
    Column("agent", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("published_at", Double),
)

#: What was served from when on, also after a roll back.
agent_publications = Table(
    "agent_publications",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("environment", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("at", Double, nullable=False),
    Index("agent_publications_by_agent", "workspace", "agent", "environment", "version"),
)

#: Widgets: what a page shows for an agent, by the code in its script tag.
widgets = Table(
    "widgets",
    metadata,
    Column("code", Text, primary_key=True),
    Column("workspace", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("texts", JSON, nullable=False),
    Column("style", JSON, nullable=False),
    Column("domains", JSON, nullable=False),
    Column("languages", JSON, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("changed_at", Double, nullable=False),
    Index("widgets_by_time", "workspace", "created_at", "code"),
)
