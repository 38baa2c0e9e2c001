"""What offhook asks of JetStream: its stream, its key-value bucket, and the JSON requests it uses (NATS ADR-1, ADR-8,
ADR-31, ADR-37, ADR-43)."""

from datetime import datetime
from typing import Any

import msgspec

from offhook.actors.ports import BusAway, Stored
from offhook.protocol.subjects import ALL_LOGS, DEAD_LETTERS, DEAD_STREAM, LOG_STREAM
from offhook.services.bus.connection import Connection
from offhook.services.bus.exchange import Headers, Reply

BUCKET = "offhook"
KEY_STREAM = f"KV_{BUCKET}"
KEY_PREFIX = f"$KV.{BUCKET}."
#: Messages asked for in one batch of direct reads.
BATCH = 1000
#: Seconds the mark of a deleted key stays: longer than any request is under way.
MARK_TTL = "60s"
#: Dead letters are kept for so long, and so many bytes of them.
DEAD_DAYS = 14
DEAD_BYTES = 64 * 1024 * 1024
NS = 1_000_000_000
DAY = 86400 * NS

#: Error codes of the server.
WRONG_SEQUENCE = {10071, 10164}
NOT_FOUND = 10037
STREAM_DIFFERS = 10058


#: Direct reads in batches and the lifetime of single messages came with it.
OLDEST = (2, 11)


class JetStreamError(BusAway):
    """JetStream refused a request; ``code`` is its ``err_code``."""

    def __init__(self, code: int, description: str) -> None:
        super().__init__(f"JetStream: {description} ({code})")
        self.code = code


class _Error(msgspec.Struct):
    err_code: int = 0
    description: str = "no description"


class _Kept(msgspec.Struct):
    subject: str
    seq: int
    hdrs: bytes = b""


class _State(msgspec.Struct, frozen=True):
    first_seq: int = 0
    last_seq: int = 0
    #: Messages of each subject, where they were asked for.
    subjects: dict[str, int] | None = None


class _Answer(msgspec.Struct):
    error: _Error | None = None
    seq: int = 0
    message: _Kept | None = None
    purged: int = 0
    config: dict[str, Any] = {}
    state: _State = _State()
    #: How many subjects there are, where they were asked for; they come in pages.
    total: int = 0


async def ask(connection: Connection, verb: str, **body: Any) -> _Answer:
    """A request to the JetStream API. Raises ``JetStreamError``, ``BusAway``."""
    reply = await connection.request(f"$JS.API.{verb}", msgspec.json.encode(body) if body else b"")
    return _answer(reply)


def _answer(reply: Reply) -> _Answer:
    answer = msgspec.json.decode(reply.data, type=_Answer)
    if answer.error is not None:
        raise JetStreamError(answer.error.err_code, answer.error.description)
    return answer


async def ensure_streams(connection: Connection, replicas: int) -> None:
    """Make the streams and the key bucket. One that exists with other settings is the operator's, and stays."""
    if connection.version < OLDEST:
        raise BusAway(f"its version {'.'.join(map(str, connection.version))} is older than 2.11")
    common = {"storage": "file", "retention": "limits", "num_replicas": replicas, "allow_direct": True}
    log = {"name": LOG_STREAM, "subjects": [ALL_LOGS], **common}
    keys = {
        "name": KEY_STREAM,
        "subjects": [f"{KEY_PREFIX}>"],
        "max_msgs_per_subject": 1,
        "discard": "new",
        "allow_rollup_hdrs": True,
        "deny_delete": True,
        "allow_msg_ttl": True,
        **common,
    }
    dead = {
        "name": DEAD_STREAM,
        "subjects": [DEAD_LETTERS],
        "max_age": DEAD_DAYS * DAY,
        "max_bytes": DEAD_BYTES,
        "discard": "old",
        **common,
    }
    for stream in (log, keys, dead):
        try:
            await ask(connection, f"STREAM.CREATE.{stream['name']}", **stream)
        except JetStreamError as error:
            if error.code != STREAM_DIFFERS:
                raise


async def store(connection: Connection, subject: str, data: bytes, *, last: int, headers: Headers | None = None) -> int:
    """Write a message whose subject must end at sequence ``last``; its sequence. Raises ``JetStreamError``."""
    expected = {"Nats-Expected-Last-Subject-Sequence": str(last), **(headers or {})}
    return _answer(await connection.request(subject, data, headers=expected)).seq


async def purge(connection: Connection, stream: str, subject: str) -> int:
    """Delete all messages of a subject; how many there were."""
    return (await ask(connection, f"STREAM.PURGE.{stream}", filter=subject)).purged


async def keep_for(connection: Connection, stream: str, days: float) -> None:
    """Have a stream drop its messages after so many days; 0: never."""
    config = (await ask(connection, f"STREAM.INFO.{stream}")).config
    max_age = int(days * DAY)
    if config["max_age"] != max_age:
        # Messages are found to be double within this window, which must not be longer.
        window = min(config["duplicate_window"], max_age or config["duplicate_window"])
        await ask(connection, f"STREAM.UPDATE.{stream}", **config | {"max_age": max_age, "duplicate_window": window})


async def read_newest(connection: Connection, stream: str, subject: str, count: int) -> list[tuple[float, Stored]]:
    """The last ``count`` messages of a stream of one subject, oldest first, with the time each came (epoch seconds)."""
    state = (await ask(connection, f"STREAM.INFO.{stream}")).state
    first = max(state.first_seq, state.last_seq - count + 1, 1)
    replies = await _read_from(connection, stream, subject, first)
    return [(datetime.fromisoformat(reply.headers["Nats-Time-Stamp"]).timestamp(), _stored(reply)) for reply in replies]


async def subjects_of(connection: Connection, stream: str, pattern: str) -> set[str]:
    """The subjects of a stream's messages that match."""
    found = set[str]()
    while True:
        answer = await ask(connection, f"STREAM.INFO.{stream}", subjects_filter=pattern, offset=len(found))
        more = set(answer.state.subjects or ())
        found |= more
        if not more or len(found) >= answer.total:
            return found


async def last_of(connection: Connection, stream: str, subject: str) -> _Kept | None:
    """The last message of a subject as the stream's leader has it: never stale."""
    try:
        return (await ask(connection, f"STREAM.MSG.GET.{stream}", last_by_subj=subject)).message
    except JetStreamError as error:
        if error.code != NOT_FOUND:
            raise
        return None


async def read_last(connection: Connection, stream: str, subject: str) -> Stored | None:
    """The last message of a subject from whatever replica answers; None if there is none or it marks a deletion."""
    reply = await connection.request(f"$JS.API.DIRECT.GET.{stream}.{subject}")
    return None if reply.status == "404" or _marks_deletion(reply) else _stored(reply)


async def read_all(connection: Connection, stream: str, pattern: str) -> list[Stored]:
    """All messages of the subjects that match, in order, from whatever replica answers; marks of deletion left out."""
    return [_stored(reply) for reply in await _read_from(connection, stream, pattern, 1) if not _marks_deletion(reply)]


async def _read_from(connection: Connection, stream: str, pattern: str, first: int) -> list[Reply]:
    found: list[Reply] = []
    pending = 1

    def take(reply: Reply) -> bool:
        nonlocal pending, first
        if reply.status:
            # 204 ends a batch and says how much is left; 404: nothing matches from there on.
            pending = int(reply.headers.get("Nats-Num-Pending", "0")) if reply.status == "204" else 0
            return True
        first = int(reply.headers["Nats-Sequence"]) + 1
        found.append(reply)
        return False

    while pending:
        body = msgspec.json.encode({"seq": first, "next_by_subj": pattern, "batch": BATCH})
        await connection.gather(f"$JS.API.DIRECT.GET.{stream}", body, take)
    return found


def _marks_deletion(reply: Reply) -> bool:
    return "KV-Operation" in reply.headers


def _stored(reply: Reply) -> Stored:
    return Stored(reply.headers["Nats-Subject"], reply.data, int(reply.headers["Nats-Sequence"]))
