"""What operators do with the streams. Asyncio only.

nats-py is imported by whoever needs it: many processes import this package and never connect in asyncio.
"""

import msgspec

from offhook.protocol.messages import DeadLetter
from offhook.protocol.subjects import ALL_LOGS, DEAD_LETTERS, DEAD_STREAM, LOG_STREAM

_letter = msgspec.msgpack.Decoder(DeadLetter)


class FoundLetter(msgspec.Struct, frozen=True):
    """A dead letter, and when it came (seconds since the epoch)."""

    at: float
    letter: DeadLetter


async def keep_logs(url: str, days: float) -> None:
    """Have the logs of calls dropped after ``days``; 0: never. Raises ``NatsUnavailable``, ``BusAway``."""
    from offhook.services.bus import jetstream as js
    from offhook.services.bus.nats import open_nats

    async with open_nats(url, name="offhook-retention") as bus:
        await js.keep_for(bus.connection, LOG_STREAM, days)


async def list_logs(url: str) -> list[str]:
    """The subjects of all logs that are kept, sorted. Raises ``NatsUnavailable``, ``BusAway``."""
    from offhook.services.bus import jetstream as js
    from offhook.services.bus.nats import open_nats

    async with open_nats(url, name="offhook-logs") as bus:
        return sorted(await js.subjects_of(bus.connection, LOG_STREAM, ALL_LOGS))


async def read_dead_letters(url: str, count: int) -> list[FoundLetter]:
    """The last ``count`` dead letters, oldest first. Raises ``NatsUnavailable``, ``BusAway``."""
    from offhook.services.bus import jetstream as js
    from offhook.services.bus.nats import open_nats

    async with open_nats(url, name="offhook-dead") as bus:
        stored = await js.read_newest(bus.connection, DEAD_STREAM, DEAD_LETTERS, count)
    return [FoundLetter(at, _read(message.data)) for at, message in stored]


def _read(data: bytes) -> DeadLetter:
    try:
        return _letter.decode(data)
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        # Anybody on the bus can write here, too.
        return DeadLetter(subject=DEAD_LETTERS, reason="malformed", detail=str(error), size=len(data), data=data)
