"""A server that commands work on over REST, instead of on the data folder of this machine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlsplit

import rich_click as click

from offhook.protocol.errors import OffhookError
from offhook.services.cli.options import Function, data_option, store_option

#: Seconds until a server has answered.
PATIENCE = 30.0
#: Most things on one page of an answer.
_PAGE = 200


def place_options(function: Function) -> Function:
    """``--server`` and ``--key``, or ``--data`` and ``--store``."""
    server = click.option(
        "--server", envvar="OFFHOOK_SERVER", show_envvar=True, metavar="URL",
        help="Work on this server, such as https://calls.example.org. Default: on the data folder.",
    )  # fmt: skip
    key = click.option(
        "--key", envvar="OFFHOOK_KEY", show_envvar=True, metavar="sk_...", help="Secret key for --server."
    )
    return server(key(data_option(store_option(function))))


class Server:
    """What a secret key may ask of a server."""

    def __init__(self, request: Callable[..., Any]) -> None:
        self._request = request

    def ask(self, method: str, path: str, **more: Any) -> Any:
        """The answer's JSON; None where it is empty. Raises ``OffhookError`` with the server's sentence."""
        import httpx2

        try:
            answer = self._request(method, path, **more)
            found = answer.json() if answer.content else None
        except httpx2.HTTPError as error:
            raise OffhookError(f"The server cannot be reached: {error}.") from None
        except ValueError:
            raise OffhookError("The server's answer is not one of offhook; look at --server.") from None
        if answer.is_success:
            return found
        raise OffhookError(str(found.get("detail", answer.status_code)) if isinstance(found, dict) else "refused")

    def every(self, path: str, name: str, *, most: int | None = None, **query: str) -> list[Any]:
        """The things called ``name`` of all pages of a list, or so many of them. Raises as ``ask``."""
        found: list[Any] = []
        asked: dict[str, Any] = dict(query)
        while most is None or len(found) < most:
            asked["limit"] = _PAGE if most is None else min(_PAGE, most - len(found))
            page = self.ask("GET", path, params=asked)
            found += page[name]
            if page["cursor"] is None:
                break
            asked["cursor"] = page["cursor"]
        return found


@contextmanager
def open_server(server: str, key: str | None) -> Iterator[Server]:
    """The server that the options name. Raises a usage error where they do not fit together."""
    if not key:
        raise click.UsageError("--server needs a secret key: --key sk_... or the variable OFFHOOK_KEY.")
    if urlsplit(server).scheme not in {"http", "https"} or not urlsplit(server).hostname:
        raise click.UsageError(f"--server {server!r} is no address, such as https://calls.example.org.")
    import httpx2

    with httpx2.Client(
        base_url=server.rstrip("/"), headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE
    ) as client:
        yield Server(client.request)


def one(path: str, id_: str) -> str:
    """The path of one thing of a list."""
    return f"{path}/{quote(id_, safe='')}"
