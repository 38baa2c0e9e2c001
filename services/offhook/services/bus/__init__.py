"""The bus on NATS: for asyncio and for trio, and the embedded server.

``open_bus(url, name=...)`` is the same call on both loops. In asyncio nats-py runs in the process's own loop; in trio
it runs in a thread behind ``bridge``.
"""

from offhook.services.bus.opening import open_bus
from offhook.services.bus.operating import FoundLetter, keep_logs, list_logs, read_dead_letters
from offhook.services.bus.server import check_nats, nats_server
from offhook.services.bus.unavailable import NatsUnavailable

__all__ = [
    "FoundLetter",
    "NatsUnavailable",
    "check_nats",
    "keep_logs",
    "list_logs",
    "nats_server",
    "open_bus",
    "read_dead_letters",
]
