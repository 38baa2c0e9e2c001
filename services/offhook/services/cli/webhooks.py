"""``offhook webhooks``: who is told of calls."""

import time
from datetime import datetime
from typing import Any

import msgspec
import rich_click as click

from offhook.protocol.webhooks import WEBHOOK_EVENTS, Attempt, Delivery, MadeWebhook, Webhook
from offhook.services.cli.options import webhook_allow_option
from offhook.services.cli.rendering import plain, say_ago
from offhook.services.cli.tables import table_text
from offhook.services.cli.webhook_place import open_place
from offhook.services.cli.where import place_options

_id = click.argument("id_", metavar="ID")
_json = click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
_events = click.option(
    "--event", "events", multiple=True, type=click.Choice(WEBHOOK_EVENTS), help="Only this. May be repeated."
)

_COLUMNS = ("id", "state", "url", "told of", "notice")
_DELIVERY_COLUMNS = ("message", "event", "happened", "state", "attempts", "answer", "next attempt")


@click.group()
def webhooks() -> None:
    """Tell other servers of calls: signed messages (Standard Webhooks) that are sent until they come through.

    \b
        offhook webhooks create https://example.org/calls --event call.ended
        offhook webhooks list --server https://calls.example.org --key sk_live_...
    """


@webhooks.command()
@click.argument("url")
@_events
@place_options
@webhook_allow_option
@_json
def create(url: str, events: tuple[str, ...], as_json: bool, **where: Any) -> None:
    """Have URL told of calls; prints the secret that signs the messages, once.

    \b
        offhook webhooks create https://example.org/calls --event call.ended --event analysis.done
    """
    with open_place(**where) as place:
        _show_made(place.create(url, events), as_json)


@webhooks.command(name="list")
@place_options
@_json
def list_(as_json: bool, **where: Any) -> None:
    """List the webhooks; with --json one object a line."""
    with open_place(**where) as place:
        found = place.webhooks()
    if as_json:
        for one in found:
            click.echo(msgspec.json.encode(one))
        return
    none = "There are no webhooks yet: offhook webhooks create --help"
    click.echo(table_text(_COLUMNS, map(_row, found)) if found else none)


@webhooks.command()
@_id
@click.option("--url", help="Send to this address from now on.")
@_events
@click.option("--all-events", is_flag=True, help="Tell it of everything.")
@place_options
@webhook_allow_option
@_json
def change(id_: str, url: str | None, events: tuple[str, ...], all_events: bool, as_json: bool, **where: Any) -> None:
    """Change where a webhook leads, or what it is told of. Its secret stays.

    \b
        offhook webhooks change wh_... --url https://example.org/v2/calls
    """
    if events and all_events:
        raise click.UsageError("Either --event or --all-events.")
    if url is None and not events and not all_events:
        raise click.UsageError("Say what to change: --url, --event or --all-events.")
    with open_place(**where) as place:
        _show(place.change(id_, url=url, events=events if events or all_events else None), as_json)


@webhooks.command()
@_id
@place_options
def delete(id_: str, **where: Any) -> None:
    """Delete a webhook with its log of deliveries."""
    with open_place(**where) as place:
        place.delete(id_)
    click.echo(f"Deleted {id_}.")


@webhooks.command()
@_id
@place_options
@_json
def enable(id_: str, as_json: bool, **where: Any) -> None:
    """Send again to a webhook that was disabled, by you or because nothing came through for three days."""
    with open_place(**where) as place:
        _show(place.change(id_, state="enabled"), as_json)


@webhooks.command()
@_id
@place_options
@_json
def disable(id_: str, as_json: bool, **where: Any) -> None:
    """Send nothing to a webhook. What happens until it is enabled again, it is never told of."""
    with open_place(**where) as place:
        _show(place.change(id_, state="disabled"), as_json)


@webhooks.command()
@_id
@click.option("--state", type=click.Choice(["pending", "delivered", "failed"]), help="Only those.")
@click.option("--limit", type=click.IntRange(1, 10000), default=20, show_default=True, help="Newest ones to show.")
@place_options
@_json
def deliveries(id_: str, state: str | None, limit: int, as_json: bool, **where: Any) -> None:
    """List what a webhook was told, newest first, and what came of it; with --json one object a line."""
    with open_place(**where) as place:
        found = place.deliveries(id_, state=state, limit=limit)
    if as_json:
        for one in found:
            click.echo(msgspec.json.encode(one))
        return
    click.echo(table_text(_DELIVERY_COLUMNS, map(_delivery_row, found)) if found else "No deliveries.")


@webhooks.command()
@_id
@click.argument("message", metavar="MESSAGE")
@place_options
@_json
def delivery(id_: str, message: str, as_json: bool, **where: Any) -> None:
    """Show one message to a webhook: every attempt, and the body that is sent.

    
        offhook webhooks delivery wh_... msg_...
    """
    with open_place(**where) as place:
        found = place.delivery(id_, message)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found), indent=2))
        return
    attempts = table_text(("attempt", "took", "answer"), map(_attempt_row, found.history))
    click.echo(f"{found.event} of call {plain(found.call)}, {found.state}\n{attempts}\n")
    for line in msgspec.json.format(found.body.encode(), indent=2).decode().splitlines():
        click.echo(plain(line))


@webhooks.command()
@_id
@click.option("--message", metavar="MESSAGE", help="This message, whether it came through or not.")
@click.option("--since", metavar="TIME", help="All since then that were given up, such as 2026-11-20.")
@place_options
def replay(id_: str, message: str | None, since: str | None, **where: Any) -> None:
    """Send messages again, each with the id it had.

    \b
        offhook webhooks replay wh_... --since 2026-11-20
    """
    if (message is None) == (since is None):
        raise click.UsageError("Either --message or --since.")
    try:
        begin = None if since is None else datetime.fromisoformat(since).timestamp()
    except ValueError:
        raise click.UsageError(f"--since {since!r} is no time, such as 2026-11-20 or 2026-11-20T09:30.") from None
    with open_place(**where) as place:
        count = place.replay(id_, message=message, since=begin)
    click.echo(f"Sending {count} messages again.")


@webhooks.command()
@_id
@click.option(
    "--overlap",
    type=click.IntRange(0, 30 * 24),
    default=24,
    show_default=True,
    metavar="HOURS",
    help="For so long both secrets sign.",
)
@place_options
@_json
def rotate(id_: str, overlap: int, as_json: bool, **where: Any) -> None:
    """Give a webhook a new secret, and print it."""
    with open_place(**where) as place:
        _show_made(place.rotate(id_, overlap=overlap * 3600), as_json)


def _show(one: Webhook, as_json: bool) -> None:
    click.echo(msgspec.json.encode(one) if as_json else _say(one))


def _show_made(made: MadeWebhook, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(made))
    else:
        click.echo(f"{_say(made)}\nThe secret, which is shown only now: {made.secret}")


def _say(one: Webhook) -> str:
    parts = (one.id, one.state, plain(one.url), ", ".join(one.events) or "all events", one.notice)
    return "  ".join(filter(None, parts))


def _row(one: Webhook) -> tuple[str, ...]:
    return (one.id, one.state, one.url, " ".join(one.events) or "all events", one.notice or "")


def _delivery_row(one: Delivery) -> tuple[str, ...]:
    now = time.time()
    answer = _answer(one)
    due = f"in {max(0.0, one.next_at - now):.0f} s" if one.state == "pending" else ""
    return (one.message, one.event, say_ago(one.at, now), one.state, str(one.attempts), answer, due)


def _attempt_row(one: Attempt) -> tuple[str, ...]:
    return (time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.at)), f"{one.took:.2f} s", _answer(one))


def _answer(one: Attempt | Delivery) -> str:
    return one.error or ("" if one.status is None else f"answered {one.status}")
