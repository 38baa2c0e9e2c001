"""The tables of the store, in types that SQLite and PostgreSQL share.

``migrations/versions`` makes the same tables step by step; a test holds the two together.
"""

from sqlalchemy import JSON, Boolean, Column, Double, ForeignKey, Index, Integer, LargeBinary, MetaData, Table, Text

#: The migration that makes these tables.
HEAD = "0003"

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
    # Lists are newest first, and a page begins behind (created_at, id) of the page before.
    Index("calls_by_time", "created_at", "id"),
    Index("calls_by_state", "state", "created_at"),
    Index("calls_by_agent", "agent", "created_at"),
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
