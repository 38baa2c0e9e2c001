"""``offhook webhooks``: who is told of calls."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import rich_click as click

from offhook.protocol.webhooks import WEBHOOK_EVENTS, Delivery, MadeWebhook, Webhook, parse_networks
from offhook.services.cli.options import Function, data_option, store_option, webhook_allow_option
from offhook.services.cli.rendering import plain, say_ago

if TYPE_CHECKING:
    from offhook.services.store import Webhooks

_json = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")


def _place(function: Function) -> Function:
    return data_option(store_option(function))


@click.group()
def webhooks() -> None:
    """Tell other servers of calls: signed messages (Standard Webhooks) that are sent until they come through."""


@webhooks.command()
@click.argument("url")
@click.option("--event", "events", multiple=True, type=click.Choice(WEBHOOK_EVENTS), help="Only this. May be repeated.")
@_place
@webhook_allow_option
@_json
def create(
    url: str, events: tuple[str, ...], data: Path, store: str | None, webhook_allow: tuple[str, ...], as_json: bool
) -> None:
    """Have URL told of calls; prints the secret that signs the messages, once.

    \b
        offhook webhooks create https://example.org/calls --event call.ended --event analysis.done
    """
    import anyio

    from offhook.services.webhooks import check_webhook_url

    async def check() -> None:
        await check_webhook_url(url, allowed=parse_networks(webhook_allow))

    anyio.run(check)
    with _open(data, store) as (kept, workspace):
        _show_made(kept.create(workspace, url, events, now=time.time()), as_json)


@webhooks.command(name="list")
@_place
@_json
def list_(data: Path, store: str | None, as_json: bool) -> None:
    """List the webhooks."""
    with _open(data, store) as (kept, workspace):
        found = kept.page(workspace)
    for one in found:
        click.echo(msgspec.json.encode(one) if as_json else _say(one))
    if not found and not as_json:
        click.echo("No webhooks.")


@webhooks.command()
@click.argument("id_", metavar="ID")
@_place
def delete(id_: str, data: Path, store: str | None) -> None:
    """Delete a webhook with its log of deliveries."""
    with _open(data, store) as (kept, workspace):
        kept.delete(workspace, id_)
    click.echo(f"Deleted {id_}.")


@webhooks.command()
@click.argument("id_", metavar="ID")
@_place
def enable(id_: str, data: Path, store: str | None) -> None:
    """Send again to a webhook that was disabled because nothing came through for three days."""
    with _open(data, store) as (kept, workspace):
        click.echo(_say(kept.enable(workspace, id_)))


@webhooks.command()
@click.argument("id_", metavar="ID")
@click.option("--state", type=click.Choice(["pending", "delivered", "failed"]), help="Only those.")
@click.option("--limit", type=click.IntRange(1, 10000), default=20, show_default=True, help="Newest ones to show.")
@_place
@_json
def deliveries(id_: str, state: str | None, limit: int, data: Path, store: str | None, as_json: bool) -> None:
    """List what a webhook was told, newest first, and what came of it."""
    with _open(data, store) as (kept, workspace):
        found = kept.deliveries(workspace, id_, state=state, limit=limit)
    for one in found:
        click.echo(msgspec.json.encode(one) if as_json else _say_delivery(one))
    if not found and not as_json:
        click.echo("No deliveries.")


@webhooks.command()
@click.argument("id_", metavar="ID")
@click.option("--message", metavar="MESSAGE", help="This message, whether it came through or not.")
@click.option("--since", metavar="TIME", help="All since then that were given up, such as 2026-11-20.")
@_place
def replay(id_: str, message: str | None, since: str | None, data: Path, store: str | None) -> None:
    """Send messages again, each with the id it had."""
    if (message is None) == (since is None):
        raise click.UsageError("Either --message or --since.")
    try:
        begin = None if since is None else datetime.fromisoformat(since).timestamp()
    except ValueError:
        raise click.UsageError(f"--since {since!r} is no time, such as 2026-11-20 or 2026-11-20T09:30.") from None
    with _open(data, store) as (kept, workspace):
        count = kept.replay(workspace, id_, message=message, since=begin, now=time.time())
    click.echo(f"Sending {count} messages again.")


@webhooks.command()
@click.argument("id_", metavar="ID")
@click.option(
    "--overlap",
    type=click.IntRange(0, 30 * 24),
    default=24,
    show_default=True,
    metavar="HOURS",
    help="For so long both secrets sign.",
)
@_place
@_json
def rotate(id_: str, overlap: int, data: Path, store: str | None, as_json: bool) -> None:
    """Give a webhook a new secret, and print it."""
    now = time.time()
    with _open(data, store) as (kept, workspace):
        _show_made(kept.rotate(workspace, id_, overlap=overlap * 3600.0, now=now), as_json)


@contextmanager
def _open(data: Path, place: str | None) -> Iterator[tuple["Webhooks", str]]:
    """The webhooks, and the workspace of the data folder."""
    from offhook.services.store import open_store, store_file
    from offhook.services.tokens import open_workspace

    workspace = open_workspace(data).id
    store = open_store(place or store_file(data))
    try:
        yield store.webhooks(), workspace
    finally:
        store.close()


def _show_made(made: MadeWebhook, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(made))
    else:
        click.echo(f"{_say(made)}\nThe secret, which is shown only now: {made.secret}")


def _say(one: Webhook) -> str:
    parts = (one.id, one.state, plain(one.url), ", ".join(one.events) or "all events", one.notice)
    return "  ".join(filter(None, parts))


def _say_delivery(one: Delivery) -> str:
    last = one.error or (f"answered {one.status}" if one.status else "")
    tries = f"{one.attempts} attempt{'' if one.attempts == 1 else 's'}"
    parts = (one.message, say_ago(one.at, time.time()), one.event, one.state, tries, plain(last))
    return "  ".join(filter(None, parts))
