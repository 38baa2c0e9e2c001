"""``offhook agents``: agent documents."""

from pathlib import Path

import rich_click as click

from offhook.services.cli.agent_versions import COMMANDS


@click.group()
def agents() -> None:
    """Check agent documents, and keep agents with their versions: push, publish, roll back.

    \b
        offhook agents push ./agents
        offhook agents diff front-desk
        offhook agents publish front-desk
    """


@agents.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@click.pass_context
def check(ctx: click.Context, files: tuple[Path, ...]) -> None:
    """Check agent documents before they serve; exit code 1 when one is wrong.

    Each problem is one line: file, line, field, what is wrong and what to do.

    \b
        offhook agents check agents/*.toml
    """
    wrong = [file for file in files if not _is_right(file)]
    ctx.exit(1 if wrong else 0)


def _is_right(file: Path) -> bool:
    from offhook.protocol.agent import DocumentError, load_agent

    try:
        agent = load_agent(file.read_text("utf-8"), file=str(file))
    except DocumentError as error:
        click.echo(str(error), err=True)
    except UnicodeDecodeError:
        click.echo(f"{file}: is not UTF-8 text; save it as UTF-8", err=True)
    except OSError as error:
        click.echo(f"{file}: cannot be read ({error.strerror})", err=True)
    else:
        click.echo(f"{file}: ok, agent {agent.id}")
        return True
    return False


for _command in COMMANDS:
    agents.add_command(_command)
