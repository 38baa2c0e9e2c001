"""How many calls a workspace may have at a time, and how many it has (R4).

The living calls are the ``owner.`` keys, of whatever channel: their number is derived, never counted up and down, so
nothing that dies can leave it wrong. The limit is a key of its own.
"""

import msgspec

from offhook.actors.ports import Bus, KeyTaken, Stored, WrongRevision

#: Prefix of the keys that say who owns a living call.
OWNERS = "owner."
_LIMITS = "limit."


class Owner(msgspec.Struct, frozen=True, omit_defaults=True):
    """Value of an ``owner.`` key."""

    node: str
    #: Whose call it is; empty where an older version wrote the key.
    workspace: str = ""


async def living_calls(bus: Bus, workspace: str) -> list[Stored]:
    """The ``owner.`` keys of a workspace. May be a moment old. Raises ``BusAway``."""
    return [
        stored
        for stored in await bus.keys(OWNERS)
        if msgspec.msgpack.decode(stored.data, type=Owner).workspace == workspace
    ]


async def read_limit(bus: Bus, workspace: str) -> int | None:
    """Calls that a workspace may have at a time; None: any number. Raises ``BusAway``."""
    stored = await bus.get(_LIMITS + workspace)
    return None if stored is None else msgspec.msgpack.decode(stored.data, type=int | None)


async def write_limit(bus: Bus, workspace: str, limit: int | None) -> None:
    """Set the limit, for calls that come from now on. Raises ``BusAway``."""
    value = msgspec.msgpack.encode(limit)
    while True:
        stored = await bus.get(_LIMITS + workspace)
        try:
            if stored is None:
                await bus.create(_LIMITS + workspace, value)
            else:
                await bus.update(_LIMITS + workspace, value, revision=stored.revision)
        except (KeyTaken, WrongRevision):
            # Somebody else sets it at the same time: the last one wins.
            continue
        return
