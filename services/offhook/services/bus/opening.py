"""Opening the bus, on whatever loop runs."""

from contextlib import AbstractAsyncContextManager

import sniffio

from offhook.actors.ports import Bus


def open_bus(
    url: str, *, name: str, replicas: int = 1, ack_wait: float = 30.0, wait: float = 15.0
) -> AbstractAsyncContextManager[Bus]:
    """The bus at ``url`` (``nats://[user:password@]host:port``, several servers of a cluster with commas between).

    Makes the stream of the call logs and the bucket of keys if they are missing, with ``replicas`` copies. Tries for
    ``wait`` seconds, then raises ``NatsUnavailable``; once open it reconnects for ever. ``name`` is what operators see.
    ``ack_wait``: seconds until a delivery of ``follow`` that is not acked comes again.
    """
    if sniffio.current_async_library() == "trio":
        from offhook.services.bus.bridge import open_bridge

        return open_bridge(url, name=name, replicas=replicas, ack_wait=ack_wait, wait=wait)
    from offhook.services.bus.nats import open_nats

    return open_nats(url, name=name, replicas=replicas, ack_wait=ack_wait, wait=wait)
