"""``offhook agents push`` and its kin: agents that are kept with their versions."""

import time
from pathlib import Path
from typing import Any, cast

import msgspec
import rich_click as click

from offhook.protocol.agent.history import Environment, FileAgent, StoredAgent
from offhook.services.cli.agent_place import open_place
from offhook.services.cli.keys import json_option
from offhook.services.cli.tables import table_text
from offhook.services.cli.where import place_options

_COLUMNS = ("id", "name", "newest", "live", "sandbox", "changed")

_id = click.argument("agent", metavar="ID")
_environment = click.option(
    "--environment", type=click.Choice(["live", "sandbox"]), default="live", show_default=True,
    help="live serves the public, sandbox what test keys start.",
)  # fmt: skip
_folder = click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))


@click.command()
@_folder
@click.option("--note", default="", help="What to say about these versions.")
@place_options
@json_option
def push(folder: Path, note: str, as_json: bool, **where: Any) -> None:
    """Save the documents in DIR (*.toml) as new versions. They are drafts: publish them next.

    All of them are checked before the first is saved. A document that is the newest version already makes none.

    \b
        offhook agents push ./agents --note "opening hours of December"
        offhook agents push ./agents --server https://calls.example.org --key sk_live_...
    """
    from offhook.services.agents.folder import read_folder

    if not folder.is_dir():
        raise click.UsageError(f"There is no folder {folder}.")
    files = zip(sorted(folder.glob("*.toml")), read_folder(folder), strict=True)
    texts = {document.id: file.read_text("utf-8") for file, document in files}
    if not texts:
        raise click.UsageError(f"There is no *.toml in {folder}.")
    with open_place(**where) as place:
        for id_, text in texts.items():
            made = place.push(id_, text, note)
            shown = {name: value for name, value in msgspec.structs.asdict(made).items() if name != "text"}
            click.echo(msgspec.json.encode(shown) if as_json else f"{id_}: version {made.number}, {made.state}")


@click.command()
@_folder
@place_options
def pull(folder: Path, **where: Any) -> None:
    """Write the newest version of each agent into DIR, as ID.toml; files of that name are written over."""
    with open_place(**where) as place:
        found = {agent.id: place.pull(agent.id) for agent in place.agents()}
    folder.mkdir(parents=True, exist_ok=True)
    for id_, text in found.items():
        (folder / f"{id_}.toml").write_text(text, encoding="utf-8", newline="")
        click.echo(folder / f"{id_}.toml")
    if not found:
        click.echo("There are no agents yet: offhook agents push --help")


@click.command(name="list")
@place_options
@json_option
def list_agents(as_json: bool, **where: Any) -> None:
    """Show the agents and which version serves, with --server also those of its files; --json: one object a line."""
    with open_place(**where) as place:
        found, files = place.agents(), place.files()
    if as_json:
        for agent in (*found, *files):
            click.echo(msgspec.json.encode(agent))
        return
    none = "There are no agents yet: offhook agents push --help"
    rows = [*map(_row, found), *map(_file_row, files)]
    click.echo(table_text(_COLUMNS, rows) if rows else none)


@click.command()
@_id
@click.option("--version", type=click.IntRange(min=1), help="This version. Default: the newest.")
@_environment
@place_options
@json_option
def publish(agent: str, version: int | None, environment: str, as_json: bool, **where: Any) -> None:
    """Have new calls of the agent ID get a version. Calls that run keep theirs; nothing is restarted.

    \b
        offhook agents diff front-desk
        offhook agents publish front-desk
    """
    with open_place(**where) as place:
        _say(place.publish(agent, version, cast(Environment, environment)), environment, as_json=as_json)


@click.command()
@_id
@_environment
@place_options
@json_option
def rollback(agent: str, environment: str, as_json: bool, **where: Any) -> None:
    """Have new calls of the agent ID get the version before."""
    with open_place(**where) as place:
        _say(place.roll_back(agent, cast(Environment, environment)), environment, as_json=as_json)


@click.command()
@_id
@click.option("--before", type=click.IntRange(min=1), help="Default: the version that is live.")
@click.option("--after", type=click.IntRange(min=1), help="Default: the newest version.")
@place_options
def diff(agent: str, before: int | None, after: int | None, **where: Any) -> None:
    """Show how two versions of the agent ID differ: what would change if the newest were published."""
    with open_place(**where) as place:
        changes = place.diff(agent, before, after)
    click.echo(changes or "They are the same.", nl=not changes)


def _say(agent: StoredAgent, environment: str, *, as_json: bool) -> None:
    version = agent.live if environment == "live" else agent.sandbox
    click.echo(msgspec.json.encode(agent) if as_json else f"{agent.id}: version {version} serves {environment} now.")


def _row(agent: StoredAgent) -> tuple[str, ...]:
    changed = time.strftime("%Y-%m-%d %H:%M", time.localtime(agent.changed_at))
    live, sandbox = (str(number or "-") for number in (agent.live, agent.sandbox))
    return (agent.id, agent.name, str(agent.newest), live, sandbox, changed)


def _file_row(agent: FileAgent) -> tuple[str, ...]:
    return (agent.id, agent.name, "a file", agent.version, "-", "-")


COMMANDS = (push, pull, list_agents, publish, rollback, diff)
