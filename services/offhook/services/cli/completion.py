"""``offhook completion``: have a shell complete what is typed."""

import rich_click as click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes the Tab key complete commands, options and their values.

    Put one line into the file that your shell reads at its start, then open a new one:

    \b
        eval "$(offhook completion bash)"        in ~/.bashrc
        eval "$(offhook completion zsh)"         in ~/.zshrc, below compinit
        offhook completion fish | source         in ~/.config/fish/config.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "offhook", "_OFFHOOK_COMPLETE").source())
