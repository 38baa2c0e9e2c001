"""``offhook open``: a link into the console."""

import os
import socket
import sys
from pathlib import Path

import rich_click as click

from offhook.services.cli.options import data_option, http_option
from offhook.services.cli.workspace import workspace_of
from offhook.services.settings import Address

#: Seconds in which a link has to be used.
TTL = 120


@click.command(name="open")
@click.argument("page", type=click.Choice(["calls", "agents", "keys"]))
@data_option
@http_option
@click.option("--print", "only_print", is_flag=True, help="Print the link and open nothing.")
def open_page(page: str, data: Path, http: Address, only_print: bool) -> None:
    """Open the console in the browser, signed in.

    \b
        offhook open calls
        offhook open calls --print

    The link works once, within two minutes, and signs you in for twelve hours. It is signed with the key in the data
    folder: use the folder and the address of the 'offhook up' that runs.
    """
    from offhook.services.tokens import mint_console_code

    if not _answers(http):
        raise click.ClickException(
            f"Nothing serves at {http.url}. Start 'offhook up', or name the address of the one that runs with --http."
        )
    # Behind the #: browsers do not send it, so no log of a server or proxy has it.
    link = f"{http.url}/console#/{page}?code={mint_console_code(workspace_of(data), ttl=TTL)}"
    if not only_print and _has_browser():
        import webbrowser

        if webbrowser.open(link):
            click.echo(f"The console is open in your browser: {http.url}/console")
            return
    click.echo(f"Open this link within two minutes; it works once:\n{link}")


def _answers(http: Address) -> bool:
    host = "127.0.0.1" if http.host in {"", "0.0.0.0", "::"} else http.host  # noqa: S104 - compared, not bound
    try:
        with socket.create_connection((host, http.port), timeout=2):
            return True
    except OSError:
        return False


def _has_browser() -> bool:
    """Whether a window can open; a browser inside of the terminal would not do."""
    if not sys.stdout.isatty():
        return False
    return sys.platform in {"darwin", "win32"} or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
