"""``offhook replay`` and ``offhook dead``: what the bus has kept."""

from pathlib import Path

import rich_click as click

from offhook.services.cli.options import data_option, nats_option, store_option
from offhook.services.cli.where import data_folder_only


@click.command()
@click.argument("call", metavar="CALL")
@data_folder_only
@data_option
@store_option
@nats_option
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
@click.pass_context
def replay(ctx: click.Context, call: str, data: Path, store: str | None, nats: str | None, as_json: bool) -> None:
    """Walk along the log of CALL: what happened, in which state, and what followed.

    Then the fold of the log is compared with the record in the store, field by field; exit code 1 if they differ. The
    first characters of the id are enough. Works beside a running offhook and without one, not on a server: where
    OFFHOOK_SERVER names one, name the folder with --data.

    \b
        offhook replay 1b4e28ba
        offhook replay 1b4e28ba --json | jq .proof
    """
    import anyio
    import msgspec

    from offhook.services.cli.calls import print_to_text
    from offhook.services.cli.log_reading import Story, open_archive
    from offhook.services.cli.replay_rendering import replay_json, replay_text

    async def read() -> Story:
        async with open_archive(data, nats, store) as archive:
            return await archive.read(archive.find(call))

    story = anyio.run(read)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(replay_json(story)), indent=2).decode())
    else:
        click.echo(print_to_text(replay_text(story)))
    ctx.exit(0 if story.proved else 1)


@click.command()
@data_folder_only
@data_option
@nats_option
@click.option("--limit", type=click.IntRange(1, 10000), default=20, show_default=True, help="Newest ones to show.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of text.")
def dead(data: Path, nats: str | None, limit: int, as_json: bool) -> None:
    """List the messages that no part of offhook could take, newest last, each with its reason.

    They are kept for two weeks. There should be none: each is a fault, or somebody else's message on the bus.
    Not on a server: where OFFHOOK_SERVER names one, name the folder with --data.
    """
    import anyio
    import msgspec

    from offhook.services.bus import FoundLetter, read_dead_letters
    from offhook.services.cli.data_bus import reach_bus
    from offhook.services.cli.rendering import spell_letter

    async def read() -> list[FoundLetter]:
        async with reach_bus(data, nats) as url:
            return await read_dead_letters(url, limit)

    found = anyio.run(read)
    if not found and not as_json:
        click.echo("No dead letters.")
    for one in found:
        click.echo(msgspec.json.encode(one) if as_json else spell_letter(one.at, one.letter))
