"""Posting to the very address that was checked, as the host that the URL names; for webhooks, and for whoever else asks
a server that a stranger has named."""

import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import anyio
import httpx2

from offhook.protocol.errors import OffhookError
from offhook.protocol.webhooks import Target, read_target
from offhook.protocol.webhooks.address import Network
from offhook.services.webhooks.resolving import resolve


class NotAnswered(OffhookError):
    """No answer, or one that is too long; the message says which."""


async def ask(
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    allowed: Sequence[Network],
    tls: ssl.SSLContext,
    seconds: float,
    most: int,
) -> tuple[int, bytes]:
    """Post, and read the whole answer of ``most`` bytes within ``seconds``: its status and body.

    Raises ``UrlNotAllowed``, ``NotAnswered``, ``TimeoutError``.
    """
    target = read_target(url, allowed=allowed)
    answer = b""
    try:
        with anyio.fail_after(seconds):
            address = await resolve(target, allowed=allowed)
            async with open_answer(target, address, headers, body, tls=tls, seconds=seconds) as response:
                async for chunk in response.aiter_bytes():
                    answer += chunk
                    if len(answer) > most:
                        raise NotAnswered(f"the answer is longer than {most} bytes")
                return response.status_code, answer
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        if isinstance(error, TimeoutError):
            raise
        raise NotAnswered(f"it cannot be reached: {error or type(error).__name__}") from error


@asynccontextmanager
async def open_answer(
    target: Target, address: str, headers: Mapping[str, str], body: bytes, *, tls: ssl.SSLContext, seconds: float
) -> AsyncIterator[httpx2.Response]:
    """Post to ``address``; the answer, to be read. Raises ``httpx2.HTTPError``, ``httpx2.InvalidURL``, ``OSError``."""
    where = f"[{address}]" if ":" in address else address
    # No proxy and no credentials from the environment; one connection that ends with the attempt.
    async with httpx2.AsyncClient(verify=tls, trust_env=False, follow_redirects=False, timeout=seconds) as client:
        request = client.build_request(
            "POST",
            f"{target.scheme}://{where}:{target.port}{target.path}",
            content=body,
            headers={**headers, "host": target.authority, "content-type": "application/json"},
            # The certificate must be that of the name in the URL, not of the address.
            extensions={"sni_hostname": target.host},
        )
        response = await client.send(request, stream=True)
        try:
            yield response
        finally:
            await response.aclose()
