"""``offhook token``: a token to start one call with."""

from pathlib import Path

import rich_click as click

from offhook.services.cli.options import agents_option, data_option, store_option
from offhook.services.cli.workspace import workspace_of


@click.command()
@click.option("--agent", required=True, metavar="ID", help="The agent the call is for, for example front-desk.")
@click.option(
    "--version", metavar="VERSION",
    help="The version that serves, published or not: its number, draft for the newest, or sandbox. "
    "Default: what is published.",
)  # fmt: skip
@click.option(
    "--preview", is_flag=True,
    help="The caller may name any version (agentVersionOverride), published or not; draft unless --version.",
)  # fmt: skip
@data_option
@store_option
@agents_option
@click.option(
    "--ttl",
    type=click.IntRange(1, 86400),
    default=300,
    show_default=True,
    help="Seconds in which a call can be started with it.",
)
@click.option("--reusable", is_flag=True, help="May start more than one call; for tests and load, not for web pages.")
def token(
    agent: str,
    version: str | None,
    preview: bool,
    data: Path,
    store: str | None,
    agents: Path | None,
    ttl: int,
    reusable: bool,
) -> None:
    """Make a token that starts a call with one agent.

    The last line of the output is the token alone:

    \b
        TOKEN=$(offhook token --agent front-desk | tail -n 1)
        offhook token --agent front-desk --version draft

    It is signed with the key in the data folder: use the folder of the 'offhook up' that is to take it.
    """
    import anyio

    from offhook.services.cli.agent_finding import check_agent
    from offhook.services.tokens import mint_token

    if version is None and preview:
        version = "draft"
    workspace = workspace_of(data)
    anyio.run(check_agent, agent, version, agents or data / "agents", data, store, workspace.id)
    click.echo(mint_token(workspace, agent=agent, ttl=ttl, reusable=reusable, version=version, drafts=preview))
