"""``offhook up``: everything on this machine."""

import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from offhook.services.cli.options import data_option, http_option, log_options, media_options
from offhook.services.settings import ROLES, Address, BadSetup

if TYPE_CHECKING:
    from offhook.services.up import Command


@click.command()
@http_option
@data_option
@click.option(
    "--nats",
    envvar="OFFHOOK_NATS",
    show_envvar=True,
    metavar="URL",
    help="Use this NATS server. Default: an embedded one, with its files in the data folder.",
)
@media_options
@log_options
def up(
    http: Address,
    data: Path,
    nats: str | None,
    media_address: str | None,
    ice: tuple[str, ...],
    turn_secret: str | None,
    agents: Path | None,
    verbose: bool,
    log_level: str,
    log_format: str,
) -> None:
    """Start everything on this machine and keep it running until Ctrl-C.

    An embedded NATS server, the gateway, the voice node, the records and the API, one process each; a process that
    dies is started again. Nothing needs a key, an account or the internet.

    \b
        offhook up
        offhook up --http :8080 --data /srv/offhook --agents ./agents
    """
    import anyio

    options = ["--log-level", "info" if verbose else log_level, "--log-format", log_format]
    if media_address:
        options += ["--media-address", media_address]
    if agents:
        options += ["--agents", str(agents)]
    for url in ice:
        options += ["--ice", url]
    secrets = {"OFFHOOK_TURN_SECRET": turn_secret} if turn_secret else {}
    anyio.run(_up, http, data.absolute(), nats, agents, options, secrets)


async def _up(
    http: Address, data: Path, nats: str | None, agents: Path | None, options: list[str], secrets: dict[str, str]
) -> None:
    from offhook.services.lifetime import stop_signal
    from offhook.services.up import hold_data_folder, require_free_port, supervise, unused_port

    require_free_port(http)
    _check_agents(agents)
    with hold_data_folder(data):
        async with AsyncExitStack() as stack:
            stopped = await stack.enter_async_context(stop_signal())
            url = await _open_nats(stack, nats, data)
            api = Address("127.0.0.1", unused_port())
            await supervise(
                _commands(http, api, data, options, {**secrets, "OFFHOOK_NATS": url}),
                stopped=stopped,
                on_ready=lambda: _announce(http, data),
                tell=lambda sentence: click.echo(f"offhook: {sentence}", err=True),
            )


async def _open_nats(stack: AsyncExitStack, url: str | None, data: Path) -> str:
    from offhook.services.bus.server import check_nats, nats_server

    if url is None:
        return await stack.enter_async_context(nats_server(data / "nats"))
    await check_nats(url)
    return url


def _check_agents(folder: Path | None) -> None:
    if folder is None:
        return
    from offhook.services.agents import open_agents

    if not open_agents(folder).ids():
        raise BadSetup(f"There is no agent document in {folder}. Put one there, or leave out --agents.")


def _commands(
    http: Address, api: Address, data: Path, options: Sequence[str], environment: dict[str, str]
) -> list["Command"]:
    from offhook.services.up import Command

    def command(role: str) -> Command:
        def arguments(ready_fd: int) -> list[str]:
            # -P: a file of the user's in the present folder must not take the place of a module.
            start = [sys.executable, "-P", "-m", "offhook.services.cli", "run", role]
            own = ["--ready-fd", str(ready_fd), "--exit-with-stdin"]
            return [*start, "--data", str(data), "--http", str(http), "--api", str(api), *options, *own]

        return Command(name=role, arguments=arguments, environment=environment)

    return [command(role) for role in ROLES]


def _announce(http: Address, data: Path) -> None:
    click.echo(f"offhook is ready: {http.url}\nData is in {data}. Ctrl-C stops everything.")
