"""What is kept of webhooks, as people are shown it."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from offhook.protocol.errors import OffhookError
from offhook.protocol.webhooks.events import WEBHOOK_EVENTS


class WebhookNotFound(OffhookError):
    """The workspace has no webhook, or no message of it, with this id."""


class WebhookUnfit(OffhookError):
    """A webhook cannot be made so; ``field`` says where, the message why."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """A place that is told of calls. Times are seconds since the epoch."""

    id: str
    workspace: str
    url: str
    #: The events it gets; empty: all.
    events: tuple[str, ...] = ()
    state: Literal["enabled", "disabled"] = "enabled"
    #: Why it was disabled.
    notice: str | None = None
    created_at: float
    #: Since when nothing has come through; None after a delivery that has.
    failing_since: float | None = None


class MadeWebhook(Webhook, frozen=True, kw_only=True):
    """A webhook with its secret, which is shown when it is made and when it changes."""

    secret: str


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message on its way to one webhook."""

    #: The ``webhook-id``.
    message: str
    webhook: str
    call: str
    event: str
    state: Literal["pending", "delivered", "failed"]
    attempts: int
    #: When the event happened, and when the next attempt is due while it is pending.
    at: float
    next_at: float
    #: Of the last attempt: the status of the answer, what went wrong, and the seconds it took.
    status: int | None = None
    error: str | None = None
    took: float | None = None


class DueMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message to be sent now."""

    webhook: str
    message: str
    url: str
    body: str
    #: The secrets that sign it, the newest first.
    secrets: tuple[str, ...]
    attempts: int
    #: When the first attempt was due, seconds since the epoch.
    first_at: float


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """What came of sending one message once."""

    at: float
    took: float
    status: int | None = None
    error: str | None = None

    @property
    def came_through(self) -> bool:
        """Whether the receiver has it."""
        return self.status is not None and 200 <= self.status < 300


class SentDelivery(Delivery, frozen=True, kw_only=True):
    """A delivery with what is sent, and what came of each attempt, also of those before it was sent again."""

    #: The body of the request, JSON.
    body: str
    #: The newest first.
    history: tuple[Attempt, ...]


def check_events(events: Sequence[str]) -> tuple[str, ...]:
    """The events in their order, each once. Raises ``WebhookUnfit``."""
    unknown = [event for event in events if event not in WEBHOOK_EVENTS]
    if unknown:
        raise WebhookUnfit("events", f"{unknown[0]!r} is no event. Events: {', '.join(WEBHOOK_EVENTS)}.")
    return tuple(event for event in WEBHOOK_EVENTS if event in events)
