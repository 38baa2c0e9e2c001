"""``offhook run``: one role in the foreground."""

from pathlib import Path

import rich_click as click

from offhook.protocol.errors import OffhookError
from offhook.services.cli.options import (
    data_option,
    http_option,
    log_options,
    media_options,
    require_turn_secret,
    to_address,
)
from offhook.services.settings import BAD_SETUP_EXIT, ROLES, Address, Settings, node_name


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
@media_options
@click.option("--node", envvar="OFFHOOK_NODE", show_envvar=True, help="Name of this process. Default: a new one.")
@click.option(
    "--ready-fd", type=click.IntRange(min=0), help="Write 'ready' to this file descriptor when the role serves."
)
@click.option("--exit-with-stdin", is_flag=True, help="End when stdin ends.")
@log_options
@click.pass_context
def run(
    ctx: click.Context,
    role: str,
    nats: str,
    data: Path,
    http: Address,
    api: Address,
    media_address: str | None,
    ice: tuple[str, ...],
    turn_secret: str | None,
    agents: Path | None,
    node: str | None,
    ready_fd: int | None,
    exit_with_stdin: bool,
    verbose: bool,
    log_level: str,
    log_format: str,
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
    if exit_with_stdin:
        from offhook.services.lifetime import follow_stdin

        follow_stdin()
    from offhook.services.logs import set_up_logs

    set_up_logs(role=role, level="info" if verbose else log_level, format=log_format)  # type: ignore[arg-type]
    settings = Settings(
        nats=nats,
        data=data,
        http=http,
        api=api,
        media_address=media_address,
        agents=agents,
        node=node or node_name(role),
        ice=ice,
        turn_secret=turn_secret,
        ready_fd=ready_fd,
        exit_with_stdin=exit_with_stdin,
    )
    try:
        _start(role, settings)
    except OffhookError as error:
        click.echo(f"offhook: {role}: {error}", err=True)
        ctx.exit(BAD_SETUP_EXIT)


def _start(role: str, settings: Settings) -> None:
    from offhook.services import wiring

    {
        "gateway": wiring.run_gateway,
        "voice": wiring.run_voice,
        "records": wiring.run_records,
        "api": wiring.run_api,
    }[role](settings)
