"""The supervisor behind ``offhook up``: one child process per role, started together, restarted, ended together."""

from offhook.services.up.child import Child, Command
from offhook.services.up.embedded import keep_server
from offhook.services.up.limits import Limits, RoleGaveUp
from offhook.services.up.preflight import LOCK, hold_data_folder, require_free_port, unused_port
from offhook.services.up.supervise import supervise

__all__ = [
    "LOCK",
    "Child",
    "Command",
    "Limits",
    "RoleGaveUp",
    "hold_data_folder",
    "keep_server",
    "require_free_port",
    "supervise",
    "unused_port",
]
