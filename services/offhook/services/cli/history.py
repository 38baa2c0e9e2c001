"""``offhook calls``: the calls there were."""

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from offhook.services.cli.filtering import Wanted, filter_options
from offhook.services.cli.options import nats_option, recordings_options
from offhook.services.cli.where import Where, is_said, own_place, place_options, refuse_folder_options

if TYPE_CHECKING:
    from offhook.actors.operator import Order


@click.group(invoke_without_command=True)
@place_options
@click.option("--limit", type=click.IntRange(1, 10000), default=20, show_default=True, help="Newest calls to show.")
@filter_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of a table.")
@click.pass_context
def calls(
    ctx: click.Context,
    server: str | None,
    key: str | None,
    data: Path,
    store: str | None,
    limit: int,
    wanted: Wanted,
    as_json: bool,
) -> None:
    """List calls, newest first, or show one with its transcript.

    offhook calls --state ended --limit 5

    offhook calls --since 7d --text "opening hours" --metadata plan=gold

    offhook calls show 1b4e28ba-2fa1-11d2-883f-0016d3cca427

    On a server work this list, show, export, recording, erase, hold, resume and end. The others work beside a data
    folder only: where OFFHOOK_SERVER names a server they do nothing, unless --data names the folder.
    """
    where = ctx.obj = Where(data, store, server, key, said=is_said("server"))
    if ctx.invoked_subcommand is None:
        from offhook.services.cli.call_place import open_place
        from offhook.services.cli.calls import list_calls

        with open_place(where) as place:
            click.echo(list_calls(place, limit=limit, wanted=wanted(time.time()), as_json=as_json))


def _give_order(order: "Order", where: Where, call: str, nats: str | None) -> None:
    import anyio

    from offhook.services.cli.operating_calls import order_call, order_there

    if where.server is not None:
        refuse_folder_options("nats")
        click.echo(order_there(where.server, where.key, call, order))
        return
    click.echo(anyio.run(partial(order_call, where.data, nats, call, order, store=where.store)))


@calls.command()
@click.argument("call", metavar="ID")
@own_place
@nats_option
def hold(where: Where, call: str, nats: str | None) -> None:
    """Put the caller of a call on hold: it hears hold audio, the agent hears nothing, the page shows it."""
    _give_order("hold", where, call, nats)


@calls.command()
@click.argument("call", metavar="ID")
@own_place
@nats_option
def resume(where: Where, call: str, nats: str | None) -> None:
    """Take the caller of a call off hold: agent and caller go on."""
    _give_order("resume", where, call, nats)


@calls.command()
@click.argument("call", metavar="ID")
@own_place
@nats_option
def end(where: Where, call: str, nats: str | None) -> None:
    """End a call that goes on; the caller is told, and what was said is kept."""
    _give_order("end", where, call, nats)


@calls.command()
@click.argument("call", metavar="ID")
@own_place
@nats_option
@recordings_options
@click.option("--yes", is_flag=True, help="Do not ask.")
def erase(
    where: Where, call: str, nats: str | None, recordings: str | None, recordings_endpoint: str | None, yes: bool
) -> None:
    """Erase one call for good: log, record, transcript and recording. Not one that still lives."""
    import anyio

    from offhook.services.cli.erasing import describe_call, erase_call, erase_there
    from offhook.services.recordings import open_recordings

    def confirm(what: str) -> None:
        click.confirm(f"Erase {what}? This cannot be undone.", abort=True)

    if where.server is not None:
        refuse_folder_options("nats", "recordings", "recordings_endpoint")
        click.echo(erase_there(where.server, where.key, call, None if yes else confirm))
        return
    if not yes:
        confirm(anyio.run(partial(describe_call, where.data, nats, call, store=where.store)))
    files = open_recordings(where.data, recordings, recordings_endpoint)
    try:
        click.echo(anyio.run(partial(erase_call, where.data, nats, call, store=where.store, files=files)))
    except OSError as error:
        raise click.ClickException(
            f"The record is erased, its recording is not yet: {error} 'offhook up' goes on with it."
        ) from error


@calls.command()
@click.argument("call", metavar="ID")
@own_place
@recordings_options
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def show(where: Where, call: str, recordings: str | None, recordings_endpoint: str | None, as_json: bool) -> None:
    """Show one call and its transcript; the first characters of its ID are enough."""
    from offhook.services.cli.call_place import open_place
    from offhook.services.cli.calls import show_call

    if where.server is not None:
        refuse_folder_options("recordings", "recordings_endpoint")
    with open_place(where, (recordings, recordings_endpoint)) as place:
        click.echo(show_call(place, call, as_json=as_json))
