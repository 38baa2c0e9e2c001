"""NATS URLs: ``nats://host:port`` or ``tls://host:port``, several of one cluster separated by commas."""

from urllib.parse import urlsplit

from offhook.services.bus.unavailable import NatsUnavailable


def servers_of(url: str) -> list[str]:
    """The servers of ``url``. Raises ``NatsUnavailable`` if it is not one."""
    servers = [server.strip() for server in url.split(",") if server.strip()]
    if not servers or not all(_is_server(server) for server in servers):
        raise NatsUnavailable(f"{public(url)!r} is not the URL of a NATS server. Write nats://host:4222.")
    return servers


def _is_server(server: str) -> bool:
    try:
        parts = urlsplit(server)
        return parts.scheme in {"nats", "tls"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def public(url: str) -> str:
    """``url`` without user, password and token, for messages."""
    return ",".join(_public(server) for server in url.split(","))


def _public(server: str) -> str:
    before, at, host = server.rpartition("@")
    return before.partition("://")[0] + "://" + host if at else server


def not_reachable(url: str, why: str) -> NatsUnavailable:
    """The error for a ``url`` that cannot be used."""
    return NatsUnavailable(
        f"NATS at {public(url)} cannot be used: {why}. Check the URL and that server (2.11 or later, with JetStream "
        "enabled), or give no URL to use the embedded one."
    )
