"""Making records anew from logs."""

from collections.abc import Callable, Sequence
from pathlib import Path

from offhook.actors.ports import Bus
from offhook.protocol import subjects
from offhook.protocol.call import LogEntry
from offhook.protocol.messages import BadMessage, decode_entry
from offhook.services.cli.data_bus import reach_bus

#: Times a log is read again when its record was ahead of it.
ATTEMPTS = 5
#: Told how many calls are done, and of how many.
Tell = Callable[[int, int], None]


async def rebuild_calls(
    data: Path, place: str | None, nats: str | None, ids: Sequence[str] = (), tell: Tell | None = None
) -> tuple[int, int]:
    """Rebuild the records of some calls, or of all with a log; how many were, and how many were left as they are.

    Raises ``NoBus``, ``NatsUnavailable``, ``RecordsAway``.
    """
    from offhook.services.bus import list_logs, open_bus
    from offhook.services.store import open_store, store_file

    built = 0
    async with reach_bus(data, nats) as url, open_bus(url, name="offhook-rebuild") as bus:
        calls = list(ids) or [subjects.call_of_log(log) for log in await list_logs(url)]
        store = open_store(place or store_file(data))
        try:
            for done, call in enumerate(calls, 1):
                for _ in range(ATTEMPTS):
                    entries = await _read(bus, call)
                    if not entries or store.erasure(call) is not None:
                        break
                    if store.rebuild(call, entries):
                        built += 1
                        break
                if tell is not None:
                    tell(done, len(calls))
        finally:
            store.close()
    return built, len(calls) - built


async def _read(bus: Bus, call: str) -> list[LogEntry]:
    entries = []
    for stored in await bus.read_log(subjects.log(call)):
        try:
            entries.append(decode_entry(stored.subject, stored.data))
        except BadMessage:
            # The records passed over it, too; `offhook dead` shows it.
            continue
    return entries
