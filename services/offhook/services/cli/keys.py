"""``offhook keys``: the keys of the workspace."""

import time
from pathlib import Path
from typing import Any, cast

import msgspec
import rich_click as click

from offhook.protocol.errors import OffhookError
from offhook.protocol.keys import SCOPES, Key, KeyKind, KeyMode, KeyUnfit, MadeKey, NewKey, Scope
from offhook.services.cli.key_place import open_place
from offhook.services.cli.options import data_option
from offhook.services.cli.tables import table_text
from offhook.services.cli.where import data_folder_only, place_options

_COLUMNS = ("id", "kind", "name", "ends with", "for", "last used", "state")

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


@click.group()
def keys() -> None:
    """Make, list, rotate and revoke keys.

    A secret key (sk_...) stays on your server and can do what its scopes allow. A publishable key (pk_...) stands in
    your page: it starts calls from the domains it is bound to, and nothing else.

    \b
        offhook keys create --kind secret --name backend
        offhook keys create --kind publishable --name site --domain example.com
        offhook keys list --server https://calls.example.org --key sk_live_...
    """


@keys.command()
@click.option("--kind", type=click.Choice(["secret", "publishable"]), required=True, help="Which kind of key.")
@click.option("--name", required=True, help="What people call it, for example the program that uses it.")
@click.option("--mode", type=click.Choice(["live", "test"]), default="live", show_default=True, help="What it is for.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="What a secret key may do; may be repeated. Default: everything.",
)
@click.option(
    "--domain",
    "domains",
    multiple=True,
    metavar="DOMAIN",
    help="Whose pages may use a publishable key: example.com, *.example.com (one level), http://localhost:3000. "
    "May be repeated.",
)
@click.option("--per-minute", type=click.IntRange(min=1), help="Calls a publishable key starts in a minute at most.")
@click.option("--per-day", type=click.IntRange(min=1), help="Calls a publishable key starts in a day (UTC) at most.")
@place_options
@json_option
def create(
    kind: str,
    name: str,
    mode: str,
    scopes: tuple[str, ...],
    domains: tuple[str, ...],
    per_minute: int | None,
    per_day: int | None,
    as_json: bool,
    **where: Any,
) -> None:
    """Make a key and print it. It is not shown again: only its hash is kept."""
    wanted = NewKey(
        kind=cast(KeyKind, kind),
        name=name,
        mode=cast(KeyMode, mode),
        scopes=cast(tuple[Scope, ...], scopes),
        domains=domains,
        per_minute=per_minute,
        per_day=per_day,
    )
    with open_place(**where) as place:
        try:
            made = place.create(wanted)
        except KeyUnfit as unfit:
            raise click.UsageError(str(unfit)) from None
    _show_made(made, as_json=as_json)


@keys.command(name="list")
@place_options
@json_option
def list_keys(as_json: bool, **where: Any) -> None:
    """Show the keys, newest first; with --json one object a line."""
    with open_place(**where) as place:
        found = place.keys()
    if as_json:
        for key in found:
            click.echo(msgspec.json.encode(key))
        return
    click.echo(table_text(_COLUMNS, map(_row, found)) if found else "There are no keys yet: offhook keys create --help")


@keys.command()
@click.argument("key_id", metavar="ID")
@click.option(
    "--overlap",
    type=click.IntRange(0, 30 * 86400),
    default=86400,
    show_default=True,
    metavar="SECONDS",
    help="How long the old key counts beside the new one.",
)
@place_options
@json_option
def rotate(key_id: str, overlap: int, as_json: bool, **where: Any) -> None:
    """Make a key like the one with this ID, and let the old one run out."""
    with open_place(**where) as place:
        made = place.rotate(key_id, overlap=overlap)
    _show_made(made, as_json=as_json)


@keys.command()
@click.argument("key_id", metavar="ID")
@place_options
@json_option
def revoke(key_id: str, as_json: bool, **where: Any) -> None:
    """Make a key worthless at once."""
    with open_place(**where) as place:
        key = place.revoke(key_id)
    click.echo(msgspec.json.encode(key) if as_json else f"The key {key.name!r} does not count any more.")


@keys.command(name="rotate-signing")
@click.option("--drop-old", is_flag=True, help="Tokens that are out already stop to count at once.")
@data_folder_only
@data_option
def rotate_signing(drop_old: bool, data: Path) -> None:
    """Sign call tokens with a new key.

    Running processes take it up within a second. Tokens that the key before has signed count until they expire. Not on
    a server: where OFFHOOK_SERVER names one, name the folder with --data.
    """
    from offhook.services.tokens import rotate_signing_key

    try:
        rotate_signing_key(data, keep=0 if drop_old else 1)
    except OSError as error:
        raise OffhookError(f"The data folder {data} cannot be used: {error.strerror}.") from None
    click.echo("Call tokens are signed with a new key from now on.")


def _show_made(made: MadeKey, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(made))
        return
    click.echo(f"Key {made.id} ({made.name}). Copy it now, it is not shown again:\n{made.key}")


def _row(key: Key) -> tuple[str, ...]:
    state = "revoked" if key.revoked_at else "counts" if key.counts(time.time()) else "run out"
    used = "never" if key.last_used_at is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(key.last_used_at))
    return (key.id, f"{key.kind} {key.mode}", key.name, key.hint, " ".join(key.domains or key.scopes), used, state)
