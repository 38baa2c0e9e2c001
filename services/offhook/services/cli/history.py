"""``offhook calls``: the calls there were."""

from pathlib import Path

import rich_click as click

from offhook.services.cli.options import data_option, nats_option


@click.group(invoke_without_command=True)
@data_option
@click.option("--limit", type=click.IntRange(1, 10000), default=20, show_default=True, help="Newest calls to show.")
@click.option("--state", metavar="STATE", help="Only calls in this state: answered, held, ended ...")
@click.option("--agent", metavar="ID", help="Only calls of this agent.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of a table.")
@click.pass_context
def calls(ctx: click.Context, data: Path, limit: int, state: str | None, agent: str | None, as_json: bool) -> None:
    """List calls, newest first, or show one with its transcript.

    offhook calls --state ended --limit 5

    offhook calls show 1b4e28ba-2fa1-11d2-883f-0016d3cca427
    """
    ctx.obj = data
    if ctx.invoked_subcommand is None:
        from offhook.services.cli.calls import list_calls

        click.echo(list_calls(data, limit=limit, state=state, agent=agent, as_json=as_json))


@calls.command()
@click.argument("call", metavar="ID")
@click.option("--data", "own_data", type=click.Path(file_okay=False, path_type=Path), help="Data folder.")
@nats_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def erase(data: Path, call: str, own_data: Path | None, nats: str | None, yes: bool) -> None:
    """Erase one call for good: its log, its record and its transcript. Not one that still lives."""
    import anyio

    from offhook.services.cli.erasing import describe_call, erase_call

    data = own_data or data
    if not yes:
        click.confirm(f"Erase {anyio.run(describe_call, data, nats, call)}? This cannot be undone.", abort=True)
    click.echo(anyio.run(erase_call, data, nats, call))


@calls.command()
@click.argument("call", metavar="ID")
@click.option("--data", "own_data", type=click.Path(file_okay=False, path_type=Path), help="Data folder.")
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
@click.pass_obj
def show(data: Path, call: str, own_data: Path | None, as_json: bool) -> None:
    """Show one call and its transcript; the first characters of its ID are enough."""
    from offhook.services.cli.calls import show_call

    click.echo(show_call(own_data or data, call, as_json=as_json))
