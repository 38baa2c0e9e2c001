"""The supervisor behind ``offhook up``: one child process per role, started together, restarted, ended together."""

from offhook.services.up.child import Child, Command
from offhook.services.up.embedded import keep_server
from offhook.services.up.limits import Limits, RoleGaveUp
from offhook.services.up.preflight import LOCK, FolderTaken, hold_data_folder, require_free_port, unused_port
from offhook.services.up.supervise import supervise
from offhook.services.up.whereabouts import bus_address, tell_bus_address

__all__ = [
    "LOCK",
    "Child",
    "Command",
    "FolderTaken",
    "Limits",
    "RoleGaveUp",
    "bus_address",
    "hold_data_folder",
    "keep_server",
    "require_free_port",
    "supervise",
    "tell_bus_address",
    "unused_port",
]
