"""``offhook token``: a token to start one call with."""

from pathlib import Path

import rich_click as click

from offhook.services.cli.options import agents_option, data_option


@click.command()
@click.option("--agent", required=True, metavar="ID", help="The agent the call is for, for example front-desk.")
@data_option
@agents_option
@click.option(
    "--ttl",
    type=click.IntRange(1, 86400),
    default=300,
    show_default=True,
    help="Seconds in which a call can be started with it.",
)
@click.option("--reusable", is_flag=True, help="May start more than one call; for tests and load, not for web pages.")
def token(agent: str, data: Path, agents: Path | None, ttl: int, reusable: bool) -> None:
    """Make a token that starts a call with one agent.

    The last line of the output is the token alone:

    \b
        TOKEN=$(offhook token --agent front-desk | tail -n 1)

    It is signed with the key in the data folder: use the folder of the 'offhook up' that is to take it.
    """
    from offhook.services.agents import open_agents
    from offhook.services.tokens import mint_token, open_workspace

    known = open_agents(agents).ids()
    if agent not in known:
        raise click.UsageError(f"There is no agent {agent!r}. Agents here: {', '.join(known)}.")
    click.echo(mint_token(open_workspace(data), agent=agent, ttl=ttl, reusable=reusable))
