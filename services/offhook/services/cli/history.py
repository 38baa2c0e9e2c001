"""``offhook calls``: the calls there were."""

import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import rich_click as click

from offhook.services.cli.filtering import Wanted, filter_options
from offhook.services.cli.options import (
    Function,
    data_option,
    nats_option,
    recordings_options,
    store_option,
    to_store_url,
)


class Place(NamedTuple):
    """Where calls are kept, as the group was told."""

    data: Path
    store: str | None

    def or_own(self, data: Path | None, store: str | None) -> "Place":
        """The same, or what the command itself was told."""
        return Place(data or self.data, store or self.store)


def own_place(function: Function) -> Function:
    """``--data`` and ``--store`` behind the command, where people write them, too."""
    for option in (
        click.option("--store", "own_store", callback=to_store_url, metavar="URL", help="Database with the records."),
        click.option("--data", "own_data", type=click.Path(file_okay=False, path_type=Path), help="Data folder."),
    ):
        function = option(function)
    return function


@click.group(invoke_without_command=True)
@data_option
@store_option
@click.option("--limit", type=click.IntRange(1, 10000), default=20, show_default=True, help="Newest calls to show.")
@filter_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of a table.")
@click.pass_context
def calls(ctx: click.Context, data: Path, store: str | None, limit: int, wanted: Wanted, as_json: bool) -> None:
    """List calls, newest first, or show one with its transcript.

    offhook calls --state ended --limit 5

    offhook calls --since 7d --text "opening hours" --metadata plan=gold

    offhook calls show 1b4e28ba-2fa1-11d2-883f-0016d3cca427
    """
    ctx.obj = Place(data, store)
    if ctx.invoked_subcommand is None:
        from offhook.services.cli.calls import list_calls

        click.echo(list_calls(data, store=store, limit=limit, wanted=wanted(time.time()), as_json=as_json))


def _give_order(order: str, place: Place, call: str, nats: str | None) -> None:
    import anyio

    from offhook.services.cli.operating_calls import order_call

    click.echo(anyio.run(partial(order_call, place.data, nats, call, order, store=place.store)))


@calls.command()
@click.argument("call", metavar="ID")
@own_place
@nats_option
@click.pass_obj
def hold(place: Place, call: str, own_data: Path | None, own_store: str | None, nats: str | None) -> None:
    """Put the caller of a call on hold: it hears hold audio, the agent hears nothing, the page shows it."""
    _give_order("hold", place.or_own(own_data, own_store), call, nats)


@calls.command()
@click.argument("call", metavar="ID")
@own_place
@nats_option
@click.pass_obj
def resume(place: Place, call: str, own_data: Path | None, own_store: str | None, nats: str | None) -> None:
    """Take the caller of a call off hold: agent and caller go on."""
    _give_order("resume", place.or_own(own_data, own_store), call, nats)


@calls.command()
@click.argument("call", metavar="ID")
@own_place
@nats_option
@click.pass_obj
def end(place: Place, call: str, own_data: Path | None, own_store: str | None, nats: str | None) -> None:
    """End a call that goes on; the caller is told, and what was said is kept."""
    _give_order("end", place.or_own(own_data, own_store), call, nats)


@calls.command()
@click.argument("call", metavar="ID")
@own_place
@nats_option
@recordings_options
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def erase(
    place: Place,
    call: str,
    own_data: Path | None,
    own_store: str | None,
    nats: str | None,
    recordings: str | None,
    recordings_endpoint: str | None,
    yes: bool,
) -> None:
    """Erase one call for good: log, record, transcript and recording. Not one that still lives."""
    import anyio

    from offhook.services.cli.erasing import describe_call, erase_call
    from offhook.services.recordings import open_recordings

    data, store = place.or_own(own_data, own_store)
    if not yes:
        what = anyio.run(partial(describe_call, data, nats, call, store=store))
        click.confirm(f"Erase {what}? This cannot be undone.", abort=True)
    files = open_recordings(data, recordings, recordings_endpoint)
    try:
        click.echo(anyio.run(partial(erase_call, data, nats, call, store=store, files=files)))
    except OSError as error:
        raise click.ClickException(
            f"The record is erased, its recording is not yet: {error} 'offhook up' goes on with it."
        ) from error


@calls.command()
@click.argument("call", metavar="ID")
@own_place
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
@click.pass_obj
def show(place: Place, call: str, own_data: Path | None, own_store: str | None, as_json: bool) -> None:
    """Show one call and its transcript; the first characters of its ID are enough."""
    from offhook.services.cli.calls import show_call

    data, store = place.or_own(own_data, own_store)
    click.echo(show_call(data, call, store=store, as_json=as_json))
