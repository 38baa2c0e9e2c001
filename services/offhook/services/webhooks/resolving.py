"""From a URL to the one address that is connected to."""

import socket
from collections.abc import Sequence

import anyio

from offhook.protocol.webhooks import Target, UrlNotAllowed, check_address, read_target
from offhook.protocol.webhooks.address import Network

#: Seconds a name may take to be resolved.
RESOLVE_SECONDS = 5.0


class NotResolved(UrlNotAllowed):
    """The name of the host is not known, or not now."""


async def check_webhook_url(url: str, *, allowed: Sequence[Network]) -> Target:
    """A URL that may be saved: taken apart, its name resolved. Raises ``UrlNotAllowed``."""
    target = read_target(url, allowed=allowed)
    await resolve(target, allowed=allowed)
    return target


async def resolve(target: Target, *, allowed: Sequence[Network]) -> str:
    """The address to connect to. Raises ``UrlNotAllowed`` when any that the name has is not allowed."""
    try:
        with anyio.fail_after(RESOLVE_SECONDS):
            found = await anyio.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError) as error:
        raise NotResolved(f"The name {target.host} cannot be resolved. Is it written right?") from error
    addresses = [str(one[4][0]) for one in found]
    if not addresses:
        raise NotResolved(f"The name {target.host} has no address.")
    # One that leads inside among others that do not is no accident.
    checked = [check_address(address, allowed=allowed) for address in addresses]
    return str(checked[0])
