"""``offhook widgets``: what pages show for an agent, as data."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import rich_click as click

from offhook.protocol.keys import KeyUnfit
from offhook.protocol.widgets import Widget, WidgetFields
from offhook.services.cli.options import Function
from offhook.services.cli.tables import table_text
from offhook.services.cli.where import place_options
from offhook.services.cli.widget_place import open_place

_COLUMNS = ("code", "name", "agent", "kind", "domains", "changed")
#: What the server decides; a file may have it, as ``show --json`` prints it.
_ITS_OWN = frozenset(Widget.__struct_fields__) - frozenset(WidgetFields.__struct_fields__)

_code = click.argument("code", metavar="CODE")
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def _fields(function: Function) -> Function:
    """What a widget can be told, from a file and by options."""
    for option in (
        click.option(
            "--language", "languages", multiple=True, metavar="TAG",
            help="Language to offer, such as de-AT. Repeatable."
        ),
        click.option(
            "--domain", "domains", multiple=True, metavar="DOMAIN",
            help="Whose pages may show it: example.com, *.example.com. Repeatable; none: any page.",
        ),
        click.option(
            "--style", "style", multiple=True, metavar="NAME=VALUE",
            help="How it looks, such as primaryColor=#0066ff. Repeatable; NAME= takes it away.",
        ),
        click.option(
            "--text", "texts", multiple=True, metavar="NAME=VALUE",
            help="What it says, such as 'greeting=Talk to us'. Repeatable; NAME= takes it away.",
        ),
        click.option("--kind", type=click.Choice(["phone", "chat"]), help="Voice or text. Default: phone."),
        click.option("--agent", metavar="ID", help="The agent that it calls."),
        click.option("--name", help="What people call it."),
        click.option(
            "--file", type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="All of this from a file, TOML or JSON; options count more.",
        ),
    ):  # fmt: skip
        function = option(function)
    return function


@click.group()
def widgets() -> None:
    """Make, change and delete widgets: what pages show for an agent.

    \b
        offhook widgets create --name Shop --agent front-desk --domain shop.example
        offhook widgets update 0b5e3f6a9c21 --text "greeting=Talk to us"
        offhook widgets list --server https://calls.example.org --key sk_live_...
    """


@widgets.command(name="list")
@place_options
@_json
def list_(as_json: bool, **where: Any) -> None:
    """Show the widgets, newest first; with --json one object a line."""
    with open_place(**where) as place:
        found = place.widgets()
    if as_json:
        for one in found:
            click.echo(msgspec.json.encode(one))
        return
    none = "There are no widgets yet: offhook widgets create --help"
    click.echo(table_text(_COLUMNS, map(_row, found)) if found else none)


@widgets.command()
@_code
@place_options
@_json
def show(code: str, as_json: bool, **where: Any) -> None:
    """Show one widget. What --json prints can be changed and given to update --file.

    \b
        offhook widgets show 0b5e3f6a9c21 --json > widget.json
    """
    with open_place(**where) as place:
        _show(place.get(code), as_json)


@widgets.command()
@_fields
@place_options
@_json
def create(
    file: Path | None, server: str | None, key: str | None, data: Path, store: str | None, as_json: bool, **said: Any
) -> None:
    """Make a widget, from options or from a file.

    \b
        offhook widgets create --name Shop --agent front-desk --domain shop.example
        offhook widgets create --file shop.toml
    """
    wanted = _wanted({} if file is None else _read(file), said)
    with open_place(server, key, data, store) as place:
        _show(_said_clearly(lambda: place.create(wanted)), as_json)


@widgets.command()
@_code
@_fields
@place_options
@_json
def update(
    code: str,
    file: Path | None,
    server: str | None,
    key: str | None,
    data: Path,
    store: str | None,
    as_json: bool,
    **said: Any,
) -> None:
    """Change a widget: what the options say, or with --file all of it. Its code stays.

    \b
        offhook widgets update 0b5e3f6a9c21 --style primaryColor=#aa3300
        offhook widgets update 0b5e3f6a9c21 --file widget.json
    """
    with open_place(server, key, data, store) as place:
        before = msgspec.to_builtins(place.get(code)) if file is None else _read(file)
        wanted = _wanted(before, said)
        _show(_said_clearly(lambda: place.change(code, wanted)), as_json)


@widgets.command()
@_code
@place_options
def delete(code: str, **where: Any) -> None:
    """Take a widget away: pages that have its code show nothing any more."""
    with open_place(**where) as place:
        place.delete(code)
    click.echo(f"Deleted {code}.")


def _read(file: Path) -> dict[str, Any]:
    """What a file says of a widget. Raises a usage error where it is not TOML or JSON."""
    decode = msgspec.toml.decode if file.suffix == ".toml" else msgspec.json.decode
    try:
        return dict(decode(file.read_bytes(), type=dict[str, Any]))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{file} cannot be read as {file.suffix.strip('.') or 'json'}: {error}.") from None
    except OSError as error:
        raise click.UsageError(f"{file} cannot be read ({error.strerror}).") from None


def _wanted(before: Mapping[str, Any], said: Mapping[str, Any]) -> WidgetFields:
    """A widget as ``before``, but for what was said. Raises a usage error."""
    fields = {name: value for name, value in before.items() if name not in _ITS_OWN}
    for name in ("name", "agent", "kind", "domains", "languages"):
        if said[name]:
            fields[name] = said[name]
    for name in ("texts", "style"):
        if said[name]:
            fields[name] = _changed(fields.get(name, {}), name, said[name])
    for name in ("name", "agent"):
        if name not in fields:
            raise click.UsageError(f"A widget needs --{name}, or a --file that has it.")
    try:
        return msgspec.convert(fields, WidgetFields)
    except msgspec.ValidationError as error:
        raise click.UsageError(f"A widget cannot be so: {error}.") from None


def _changed(entries: Any, name: str, pairs: tuple[str, ...]) -> Any:
    if not isinstance(entries, dict):
        return entries
    changed = dict(entries)
    for pair in pairs:
        word, equals, value = pair.partition("=")
        if not equals:
            raise click.UsageError(f"--{name.removesuffix('s')} {pair!r} has no value: write NAME=VALUE.")
        if value:
            changed[word] = value
        else:
            changed.pop(word, None)
    return changed


def _said_clearly(act: Callable[[], Widget]) -> Widget:
    """The widget, or a usage error for a domain that is none."""
    try:
        return act()
    except KeyUnfit as unfit:
        raise click.UsageError(str(unfit)) from None


def _show(widget: Widget, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(widget), indent=2))
        return
    facts = {
        "code": widget.code,
        "name": widget.name,
        "agent": widget.agent,
        "kind": widget.kind,
        "domains": " ".join(widget.domains) or "any page",
        "languages": " ".join(widget.languages),
        **{f"text {name}": value for name, value in widget.texts.items()},
        **{f"style {name}": value for name, value in widget.style.items()},
    }
    click.echo(table_text(("", ""), [(name, value) for name, value in facts.items() if value]))


def _row(one: Widget) -> tuple[str, ...]:
    changed = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.changed_at))
    return (one.code, one.name, one.agent, one.kind, " ".join(one.domains) or "any page", changed)
