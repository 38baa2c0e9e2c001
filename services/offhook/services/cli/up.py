"""``offhook up``: everything on this machine."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import rich_click as click

from offhook.protocol.errors import OffhookError
from offhook.services.cli.options import (
    data_option,
    http_option,
    keep_logs_option,
    keep_recordings_option,
    log_options,
    media_options,
    metrics_option,
    model_allow_option,
    recordings_options,
    require_turn_secret,
    store_option,
    trusted_proxy_option,
    webhook_allow_option,
)
from offhook.services.settings import ROLES, Address, Settings, encode_settings

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
@store_option
@webhook_allow_option
@model_allow_option
@trusted_proxy_option
@media_options
@keep_logs_option(30)
@keep_recordings_option
@recordings_options
@metrics_option
@log_options
def up(
    http: Address,
    data: Path,
    nats: str | None,
    store: str | None,
    webhook_allow: tuple[str, ...],
    model_allow: tuple[str, ...],
    trusted_proxy: tuple[str, ...],
    media_address: str | None,
    ice: tuple[str, ...],
    turn_secret: str | None,
    agents: Path | None,
    keep_logs: int,
    keep_recordings: int,
    recordings: str | None,
    recordings_endpoint: str | None,
    metrics: Address | None,
    verbose: bool,
    log_level: Literal["debug", "info", "warning", "error"],
    log_format: Literal["text", "json"],
) -> None:
    """Start everything on this machine and keep it running until Ctrl-C.

    An embedded NATS server, the gateway, the voice node, the records and the API, one process each; a process that
    dies is started again. Nothing needs a key, an account or the internet.

    \b
        offhook up
        offhook up --http :8080 --data /srv/offhook --agents ./agents
    """
    import anyio

    require_turn_secret(ice, turn_secret)
    settings = Settings(
        nats=nats or "",
        data=data.absolute(),
        http=http,
        store=store,
        webhook_allow=webhook_allow,
        model_allow=model_allow,
        trusted_proxies=trusted_proxy,
        media_address=media_address,
        agents=agents and agents.absolute(),
        ice=ice,
        turn_secret=turn_secret,
        keep_logs=keep_logs,
        keep_recordings=keep_recordings,
        recordings=recordings,
        recordings_endpoint=recordings_endpoint,
        exit_with_stdin=True,
        metrics=metrics,
        log_level="info" if verbose else log_level,
        log_format=log_format,
    )
    try:
        anyio.run(_up, settings)
    except BaseExceptionGroup as group:
        raise _sentence_in(group) from None


def _sentence_in(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one error of ours that task groups wrapped on its way here; the group itself if there is anything else."""
    ours, others = group.split(OffhookError)
    if ours is None or others is not None:
        return group
    error: BaseException = ours
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _up(settings: Settings) -> None:
    from offhook.services.lifetime import stop_signal
    from offhook.services.up import hold_data_folder, require_free_port, supervise, tell_bus_address, unused_port

    require_free_port(settings.http)
    _check_agents(settings.agents)
    with hold_data_folder(settings.data):
        async with stop_signal() as stopped, _open_nats(settings.nats, settings.data) as url:
            api = Address("127.0.0.1", unused_port())
            commands = _commands(msgspec.structs.replace(settings, nats=url, api=api))
            with tell_bus_address(settings.data, url):
                await supervise(commands, stopped=stopped, on_ready=lambda: _announce(settings), tell=_tell)


@asynccontextmanager
async def _open_nats(url: str, data: Path) -> AsyncIterator[str]:
    """The URL of the NATS server: the given one once it answers, or an embedded one that is kept running."""
    import anyio

    from offhook.services.bus import check_nats, nats_server
    from offhook.services.up import keep_server, unused_port

    if url:
        await check_nats(url)
        yield url
        return
    # The same port after a restart, so that everybody finds it again.
    address = Address("127.0.0.1", unused_port())
    async with anyio.create_task_group() as tasks:
        start = partial(nats_server, data / "nats", port=address.port)
        await tasks.start(partial(keep_server, "nats-server", address, start, tell=_tell))
        yield f"nats://{address}"
        tasks.cancel_scope.cancel()


def _check_agents(folder: Path | None) -> None:
    """Raise ``DocumentError`` with file, line and field when an agent document is wrong."""
    if folder is not None:
        from offhook.services.agents import open_agents

        open_agents(folder)


def _commands(settings: Settings) -> list["Command"]:
    from offhook.services.role import VARIABLE
    from offhook.services.up import Command

    environment = {VARIABLE: encode_settings(settings)}

    def command(role: str) -> Command:
        def arguments(ready_fd: int) -> list[str]:
            # -P: a file of the user's in the present folder must not take the place of a module.
            return [sys.executable, "-P", "-m", "offhook.services.role", "run", role, str(ready_fd)]

        return Command(name=role, arguments=arguments, environment=environment, last=role == "records")

    return [command(role) for role in ROLES]


def _announce(settings: Settings) -> None:
    click.echo(f"offhook is ready: {settings.http.url}\nData is in {settings.data}. Ctrl-C stops everything.")


def _tell(sentence: str) -> None:
    click.echo(f"offhook: {sentence}", err=True)
