"""Webhooks (R6): what is told, how it is signed, when it is tried again, and where it may go. Pure."""

from offhook.protocol.webhooks.address import Target, UrlNotAllowed, check_address, parse_networks, read_target
from offhook.protocol.webhooks.events import WEBHOOK_EVENTS, Told, body_of, message_id, tell
from offhook.protocol.webhooks.kept import (
    Attempt,
    Delivery,
    DueMessage,
    MadeWebhook,
    SentDelivery,
    Webhook,
    WebhookNotFound,
    WebhookUnfit,
    check_events,
)
from offhook.protocol.webhooks.schedule import DISABLE_AFTER, GIVE_UP_AFTER, wait_after
from offhook.protocol.webhooks.signing import BadSignature, new_secret, sign, verify

__all__ = [
    "DISABLE_AFTER",
    "GIVE_UP_AFTER",
    "WEBHOOK_EVENTS",
    "Attempt",
    "BadSignature",
    "Delivery",
    "DueMessage",
    "MadeWebhook",
    "SentDelivery",
    "Target",
    "Told",
    "UrlNotAllowed",
    "Webhook",
    "WebhookNotFound",
    "WebhookUnfit",
    "body_of",
    "check_address",
    "check_events",
    "message_id",
    "new_secret",
    "parse_networks",
    "read_target",
    "sign",
    "tell",
    "verify",
    "wait_after",
]
