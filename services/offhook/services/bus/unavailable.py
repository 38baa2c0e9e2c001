"""The error for a person who starts the product and has no bus."""

from offhook.protocol.errors import OffhookError


class NatsUnavailable(OffhookError):
    """There is no NATS to work with; the message says why and what to do."""
