"""The command line: ``offhook``.

Command modules import what they run inside their functions, so that ``offhook --help`` answers at once.
"""

import io
import os
import sys
from collections.abc import Sequence

import rich_click as click

from offhook.protocol.errors import OffhookError
from offhook.services.cli.agents import agents
from offhook.services.cli.completion import completion
from offhook.services.cli.doctor import doctor
from offhook.services.cli.history import calls
from offhook.services.cli.keeping import export, keep, rebuild
from offhook.services.cli.keys import keys
from offhook.services.cli.opening import open_page
from offhook.services.cli.recording import recording
from offhook.services.cli.replay import dead, replay
from offhook.services.cli.run import run
from offhook.services.cli.simulate import simulate
from offhook.services.cli.token import token
from offhook.services.cli.up import up
from offhook.services.cli.webhooks import webhooks
from offhook.services.cli.widgets import widgets

#: Exit codes: something failed; the command was written wrongly; Ctrl-C.
FAILED, MISUSED, INTERRUPTED = 1, 2, 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="offhook", message="offhook %(version)s")
def offhook() -> None:
    """Voice calls between a web page and an agent, on your own machines.

    Start everything on this machine, then open the address it prints:

    \b
        offhook up

    Every option can also be given as the environment variable its help names.
    """


for command in (
    up, run, token, keys, calls, open_page, replay, dead, agents, widgets, webhooks, doctor, completion, simulate
):  # fmt: skip
    offhook.add_command(command)
for command in (export, rebuild, keep, recording):
    calls.add_command(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """The console script. A mistake of the user is one sentence on stderr, never a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a letter shows something else in its place.
            stream.reconfigure(errors="replace")
    try:
        code = offhook.main(arguments, prog_name="offhook", standalone_mode=False)
        sys.stdout.flush()
    except click.UsageError as error:
        _complain(error.format_message())
        if error.ctx is not None:
            print(f"Try: {error.ctx.command_path} --help", file=sys.stderr)
        code = MISUSED
    except click.ClickException as error:
        _complain(error.format_message())
        code = FAILED
    except OffhookError as error:
        _complain(str(error))
        code = FAILED
    except (click.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has had enough (offhook calls | head). Nothing more can be written, at exit neither.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = FAILED
    sys.exit(code if isinstance(code, int) else 0)


def _complain(sentence: str) -> None:
    print(f"offhook: {sentence}", file=sys.stderr)
