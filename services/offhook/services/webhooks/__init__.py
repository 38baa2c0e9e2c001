"""Sending webhooks: to public addresses only, signed, again and again until they come through."""

from offhook.services.webhooks.pinned import ask
from offhook.services.webhooks.resolving import check_webhook_url
from offhook.services.webhooks.sending import send
from offhook.services.webhooks.worker import run_webhooks

__all__ = ["ask", "check_webhook_url", "run_webhooks", "send"]
