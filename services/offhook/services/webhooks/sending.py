"""One attempt to send one message: resolve, check, connect to that very address, and read a little of the answer."""

import logging
import ssl
import time
from collections.abc import Sequence

import anyio
import httpx2

from offhook.protocol.webhooks import Attempt, Target, UrlNotAllowed, read_target, sign
from offhook.protocol.webhooks.address import Network
from offhook.services.webhooks.pinned import open_answer
from offhook.services.webhooks.resolving import resolve

log = logging.getLogger("offhook.webhooks")

#: Seconds for the whole attempt, and bytes that are read of an answer.
ATTEMPT_SECONDS = 10.0
MAX_ANSWER = 64 * 1024


async def send(
    url: str,
    *,
    id: str,  # noqa: A002 - the header's word
    body: str,
    secrets: Sequence[str],
    allowed: Sequence[Network],
    tls: ssl.SSLContext,
    seconds: float = ATTEMPT_SECONDS,
) -> Attempt:
    """Send once, within ``seconds``. Whatever goes wrong out there is in the attempt; nothing is raised."""
    at, begun = time.time(), time.monotonic()
    status: int | None = None
    error: str | None = None
    try:
        target = read_target(url, allowed=allowed)
        address = await resolve(target, allowed=allowed)
        with anyio.fail_after(seconds):
            status = await _post(target, address, id=id, body=body.encode(), secrets=secrets, at=int(at), tls=tls)
    except UrlNotAllowed as refused:
        error = f"webhook_url_not_allowed: {refused}"
    except TimeoutError:
        error = f"timeout: no complete answer within {seconds:g} s"
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as failure:
        error = f"connection_failed: {_why(failure)}"
    if status is not None and not 200 <= status < 300:
        # Redirects are not followed: they would lead past every check.
        error = f"http_{status}" + (": redirects are not followed" if 300 <= status < 400 else "")
    return Attempt(at=at, took=time.monotonic() - begun, status=status, error=error)


def _why(failure: BaseException) -> str:
    """What went wrong, in the words of the first error in the chain that has any."""
    name, error = type(failure).__name__, failure
    while not str(error):
        below = error.__cause__ or error.__context__
        if below is None:
            return name
        error = below
    return str(error)


async def _post(
    target: Target,
    address: str,
    *,
    id: str,  # noqa: A002
    body: bytes,
    secrets: Sequence[str],
    at: int,
    tls: ssl.SSLContext,
) -> int:
    """Post to ``address``, as the host that the URL names; returns the status."""
    headers = {**sign(secrets, id=id, at=at, body=body), "user-agent": "offhook-webhooks/1"}
    async with open_answer(target, address, headers, body, tls=tls, seconds=ATTEMPT_SECONDS) as response:
        await _read_little(response)
        return response.status_code


async def _read_little(response: httpx2.Response) -> None:
    """Read the answer, so that the receiver can finish; raw, for a small body may unpack to a large one."""
    left = MAX_ANSWER
    async for chunk in response.aiter_raw():
        left -= len(chunk)
        if left <= 0:
            return
