"""``offhook agents``: agent documents."""

from pathlib import Path

import rich_click as click


@click.group()
def agents() -> None:
    """Work on agent documents."""


@agents.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.pass_context
def check(ctx: click.Context, files: tuple[Path, ...]) -> None:
    """Check agent documents before they serve: one line per FILE, exit code 1 when one is wrong.

    offhook agents check agents/*.yaml
    """
    from offhook.services.agents import DocumentError, read_document

    wrong = False
    for file in files:
        try:
            document = read_document(file)
        except DocumentError as error:
            wrong = True
            click.echo(f"offhook: {error}", err=True)
        else:
            click.echo(f"{file}: ok, agent {document.id}")
    ctx.exit(1 if wrong else 0)
