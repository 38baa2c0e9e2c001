"""``offhook run``: one role in the foreground."""

from pathlib import Path
from typing import Literal

import rich_click as click

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
    to_address,
    trusted_proxy_option,
    webhook_allow_option,
)
from offhook.services.settings import ROLES, Address, Settings, node_name


@click.command()
@click.argument("role", type=click.Choice(ROLES))
@click.option(
    "--nats",
    required=True,
    envvar="OFFHOOK_NATS",
    show_envvar=True,
    metavar="URL",
    help="NATS server, such as nats://127.0.0.1:4222; several of a cluster with commas between.",
)
@data_option
@http_option
@click.option(
    "--api",
    callback=to_address,
    metavar="HOST:PORT",
    default="127.0.0.1:8081",
    envvar="OFFHOOK_API",
    show_envvar=True,
    show_default=True,
    help="Where the api role serves; gateways pass on to it everything that is not signaling.",
)
@store_option
@webhook_allow_option
@model_allow_option
@trusted_proxy_option
@media_options
@keep_logs_option(None)
@keep_recordings_option
@recordings_options
@click.option("--node", envvar="OFFHOOK_NODE", show_envvar=True, help="Name of this process. Default: a new one.")
@click.option(
    "--ready-fd", type=click.IntRange(min=0), help="Write 'ready' to this file descriptor when the role serves."
)
@click.option("--exit-with-stdin", is_flag=True, help="End when stdin ends.")
@metrics_option
@log_options
@click.pass_context
def run(
    ctx: click.Context,
    role: str,
    nats: str,
    data: Path,
    http: Address,
    api: Address,
    store: str | None,
    webhook_allow: tuple[str, ...],
    model_allow: tuple[str, ...],
    trusted_proxy: tuple[str, ...],
    media_address: str | None,
    ice: tuple[str, ...],
    turn_secret: str | None,
    agents: Path | None,
    keep_logs: int | None,
    keep_recordings: int,
    recordings: str | None,
    recordings_endpoint: str | None,
    node: str | None,
    ready_fd: int | None,
    exit_with_stdin: bool,
    metrics: Address | None,
    verbose: bool,
    log_level: Literal["debug", "info", "warning", "error"],
    log_format: Literal["text", "json"],
) -> None:
    """Start one ROLE in the foreground: gateway, voice, records or api.

    For more than one machine: the same NATS cluster for all, any number of each role.

    \b
        offhook run gateway --nats nats://10.0.0.5:4222 --http :8080 --api 10.0.0.6:8081
        offhook run voice --nats nats://10.0.0.5:4222 --media-address 203.0.113.7

    SIGTERM ends the role in good order. Exit code 78 means that its set-up is wrong and that starting it again would
    not help (systemd: RestartPreventExitStatus=78).
    """
    require_turn_secret(ice, turn_secret)
    from offhook.services.role import start_role

    settings = Settings(
        nats=nats,
        data=data,
        http=http,
        api=api,
        store=store,
        webhook_allow=webhook_allow,
        model_allow=model_allow,
        trusted_proxies=trusted_proxy,
        media_address=media_address,
        agents=agents,
        node=node or node_name(role),
        ice=ice,
        turn_secret=turn_secret,
        keep_logs=keep_logs,
        keep_recordings=keep_recordings,
        recordings=recordings,
        recordings_endpoint=recordings_endpoint,
        ready_fd=ready_fd,
        exit_with_stdin=exit_with_stdin,
        metrics=metrics,
        log_level="info" if verbose else log_level,
        log_format=log_format,
    )
    ctx.exit(start_role(role, settings))
