"""``offhook calls hold``, ``resume`` and ``end``: by the bus of this machine, or by a server."""

import secrets
from pathlib import Path

from offhook.actors.operator import Order, OrderRefused, give_order
from offhook.protocol.errors import OffhookError
from offhook.services.cli.call_place import open_remote
from offhook.services.cli.log_reading import open_archive
from offhook.services.cli.rendering import SHORT_ID

#: What has become of a call that followed an order.
_OUTCOMES: dict[Order, str] = {
    "hold": "is on hold: the caller hears hold audio. Go on with: offhook calls resume {}",
    "resume": "goes on.",
    "end": "was ended.",
}


class NotOrdered(OffhookError):
    """The call did not follow."""


async def order_call(data: Path, nats: str | None, start: str, order: Order, *, store: str | None = None) -> str:
    """Give an order to a call, by its id or the beginning of it; says what came of it.

    Raises ``NotOrdered``, ``OrderNotTaken``, ``CallNotFound``, ``AmbiguousCall``, ``NoBus``, ``NatsUnavailable``.
    """
    async with open_archive(data, nats, store) as archive:
        call = archive.find(start)
        try:
            await give_order(archive.bus, call, order, source=f"operator {secrets.token_hex(8)}")
        except OrderRefused as refused:
            raise NotOrdered(f"Call {call[:SHORT_ID]} {refused.why}") from refused
    return _said(call, order)


def order_there(server: str, key: str | None, start: str, order: Order) -> str:
    """The same with a call of a server. Raises ``OffhookError`` with a sentence."""
    with open_remote(server, key) as calls:
        call = calls.find(start)
        calls.order(call, order)
    return _said(call, order)


def _said(call: str, order: Order) -> str:
    name = call[:SHORT_ID]
    return f"Call {name} {_OUTCOMES[order].format(name)}"
