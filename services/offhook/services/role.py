"""One role in a process of its own: ``python -m offhook.services.role run voice 7``.

This is how ``offhook up`` starts each role; 7 is the file descriptor on which to say that it serves. The settings come
ready-made in the environment, where no process list shows them, so that no command line has to be understood: what
does that takes a tenth of a second of each start.
"""

import gc
import importlib
import os
import sys

import msgspec

from offhook.protocol.errors import OffhookError
from offhook.services.heap import share_heap
from offhook.services.settings import BAD_SETUP_EXIT, Settings, decode_settings, metrics_of, node_name

#: The environment variable with the settings.
VARIABLE = "OFFHOOK_SETTINGS"


def start_role(role: str, settings: Settings) -> int:
    """Run a role until it is asked to end; returns the process's exit code."""
    share_heap()
    if settings.exit_with_stdin:
        from offhook.services.lifetime import follow_stdin

        follow_stdin()
    # Imports make much and drop little: looking for garbage meanwhile takes a tenth of their time. Ends with ``serve``.
    gc.disable()
    from offhook.services.logs import set_up_logs

    set_up_logs(role=role, level=settings.log_level, format=settings.log_format)
    try:
        # A role loads what it needs and nothing of the others.
        importlib.import_module(f"offhook.services.roles.{role}").run(settings)
    except OffhookError as error:
        print(f"offhook: {role}: {error}", file=sys.stderr)
        return BAD_SETUP_EXIT
    return 0


def main() -> None:
    """Start the role that the arguments and the environment name."""
    _run, role, ready_fd = sys.argv[1:]
    settings = decode_settings(os.environ.pop(VARIABLE))
    own = {"node": node_name(role), "ready_fd": int(ready_fd), "metrics": metrics_of(role, settings.metrics)}
    sys.exit(start_role(role, msgspec.structs.replace(settings, **own)))


if __name__ == "__main__":
    main()
