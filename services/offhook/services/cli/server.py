"""A server that commands work on over REST, instead of on the data folder of this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import msgspec
import rich_click as click

from offhook.protocol.errors import OffhookError

if TYPE_CHECKING:
    import httpx2

#: Seconds until a server has answered.
PATIENCE = 30.0
#: Most things on one page of an answer.
_PAGE = 200
_STRANGE = "The server's answer is not one of offhook; look at --server."


class Server:
    """What a secret key may ask of a server."""

    def __init__(self, client: "httpx2.Client") -> None:
        self._client = client

    def ask(self, method: str, path: str, **more: Any) -> Any:
        """The answer's JSON; None where it is empty. Raises ``OffhookError`` with the server's sentence."""
        with _explained():
            answer = self._client.request(method, path, **more)
            return _read(answer)

    def every(self, path: str, name: str, *, most: int | None = None, **query: str) -> list[Any]:
        """The things called ``name`` of all pages of a list, or so many of them. Raises as ``ask``."""
        found: list[Any] = []
        asked: dict[str, Any] = dict(query)
        while most is None or len(found) < most:
            asked["limit"] = _PAGE if most is None else min(_PAGE, most - len(found))
            page = self.ask("GET", path, params=asked)
            if not isinstance(page, dict) or not isinstance(page.get(name), list):
                raise OffhookError(_STRANGE)
            found += page[name]
            if page.get("cursor") is None:
                break
            asked["cursor"] = page["cursor"]
        return found

    @contextmanager
    def stream(self, path: str, media_type: str, **query: str) -> Iterator[Iterator[bytes]]:
        """An answer that is no JSON, piece by piece. Raises as ``ask``, also while it is read."""
        with _explained(), self._client.stream("GET", path, params=query) as answer:
            if not answer.is_success:
                answer.read()
                _read(answer)
            if not answer.headers.get("content-type", "").startswith(media_type):
                raise OffhookError(_STRANGE)
            yield answer.iter_bytes()


@contextmanager
def open_server(server: str, key: str | None) -> Iterator[Server]:
    """The server that the options name. Raises a usage error where they do not fit together."""
    if not key:
        raise click.UsageError("--server needs a secret key: --key sk_... or the variable OFFHOOK_KEY.")
    if not key.isascii():
        raise click.UsageError("--key is no key: keys begin with sk_ and have letters and digits only.")
    if not _is_address(server):
        raise click.UsageError(f"--server {server!r} is no address, such as https://calls.example.org.")
    import httpx2

    with httpx2.Client(
        base_url=server.rstrip("/"), headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE
    ) as client:
        try:
            yield Server(client)
        except msgspec.ValidationError as error:
            raise OffhookError(f"The server's answer is not one of this version of offhook ({error}).") from None


def one(path: str, id_: str) -> str:
    """The path of one thing of a list."""
    return f"{path}/{quote(id_, safe='')}"


def _read(answer: "httpx2.Response") -> Any:
    """The JSON of a whole answer. Raises ``OffhookError`` with its sentence where it is a refusal."""
    try:
        found = answer.json() if answer.content else None
    except ValueError:
        raise OffhookError(_STRANGE) from None
    if answer.is_success:
        return found
    raise OffhookError(str(found.get("detail", answer.status_code)) if isinstance(found, dict) else "refused")


@contextmanager
def _explained() -> Iterator[None]:
    import httpx2

    try:
        yield
    except httpx2.HTTPError as error:
        raise OffhookError(
            f"The server cannot be reached: {error}. Does it run, and is --server its address?"
        ) from None


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
