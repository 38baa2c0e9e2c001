"""What one process of offhook is told when it starts."""

import os
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from offhook.protocol.errors import OffhookError

#: The roles a process can have, in the order they are shown.
ROLES = ("gateway", "voice", "records", "api")

#: Exit code of a role whose set-up is wrong, so that starting it again would not help (EX_CONFIG of sysexits.h).
BAD_SETUP_EXIT = 78


class BadSetup(OffhookError):
    """Something outside offhook is not as it must be; the message tells a person what to do about it."""


class Address(msgspec.Struct, frozen=True):
    """A host and a TCP port; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """The page a browser on this machine opens."""
        return f"http://{self._reachable()}" + ("" if self.port == 80 else f":{self.port}")

    def _reachable(self) -> str:
        if self.host in {"127.0.0.1", "::1", "0.0.0.0", "::", ""}:  # noqa: S104 - compared, not bound
            # Browsers give the microphone to localhost without https.
            return "localhost"
        return f"[{self.host}]" if ":" in self.host else self.host


def parse_address(text: str) -> Address:
    """``127.0.0.1:8080``, ``[::1]:8080`` or ``:8080`` (all interfaces). Raises ``ValueError`` with a sentence."""
    host, colon, digits = text.strip().rpartition(":")
    if not colon or not digits:
        raise ValueError(f"{text!r} has no port: write HOST:PORT, for example 127.0.0.1:8080.")
    if not (digits.isascii() and digits.isdigit()) or int(digits) > 65535:
        raise ValueError(f"{digits!r} in {text!r} is not a port: it must be a number from 0 to 65535.")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise ValueError(f"{text!r} is not an address: put an IPv6 address in brackets, for example [::1]:8080.")
    if any(character.isspace() or character in "/@[]" for character in host):
        raise ValueError(f"{text!r} is not an address: write HOST:PORT without a scheme or path.")
    return Address(host or "0.0.0.0", int(digits))  # noqa: S104 - what an empty host has always meant


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a role needs to know to start; the command line fills it in."""

    #: URL of the NATS server or, comma-separated, of the servers of a cluster.
    nats: str
    #: Folder for everything that is kept: database, keys, recordings, the embedded NATS server's files.
    data: Path
    #: The public port: signaling, pages and the API.
    http: Address = Address("127.0.0.1", 8080)
    #: Where the api role serves, behind the gateway.
    api: Address = Address("127.0.0.1", 8081)
    #: Address that media is offered on; None: every address of this machine.
    media_address: str | None = None
    #: Folder of agent documents; None: the agents that come with offhook.
    agents: Path | None = None
    #: Name of this process among all of the system.
    node: str = "local"
    #: STUN and TURN servers that callers are told of, such as ``turn:host:port?transport=udp``.
    ice: tuple[str, ...] = ()
    #: Secret shared with the TURN servers, from which short-lived credentials are made.
    turn_secret: str | None = None
    #: Database URL of the records; None: an SQLite file in the data folder.
    store: str | None = None
    #: Networks beside the public ones that webhooks may go to, such as ``10.1.0.0/16``.
    webhook_allow: tuple[str, ...] = ()
    #: Likewise for the models that analyses ask.
    model_allow: tuple[str, ...] = ()
    #: Networks of proxies, beside this machine, whose word on the visitor counts (``X-Forwarded-For`` and its kin).
    trusted_proxies: tuple[str, ...] = ()
    #: Days for which the logs of calls are kept, 0: for ever; None leaves it as it is.
    keep_logs: int | None = None
    #: Days for which recordings are kept, 0: for ever.
    keep_recordings: int = 0
    #: Bucket that finished recordings are moved into, as ``s3://BUCKET/PREFIX``, and the server it is on (None:
    #: Amazon's); None: they stay in the data folder.
    recordings: str | None = None
    recordings_endpoint: str | None = None
    #: Where Prometheus may ask for figures; None: nowhere.
    metrics: Address | None = None
    #: File descriptor on which to say that the role serves.
    ready_fd: int | None = None
    #: End when stdin ends: whoever started the process is gone then.
    exit_with_stdin: bool = False
    #: Least important log lines that are written, and how (see ``logs``).
    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    log_format: Literal["text", "json"] = "text"


#: This machine, whose word on the visitor always counts.
THIS_MACHINE = ("127.0.0.0/8", "::1/128")


def recordings_folder(data: Path) -> Path:
    """Where the recordings of calls lie in a data folder, each as ``<call>.ogg``."""
    return data / "recordings"


def metrics_of(role: str, first: Address | None) -> Address | None:
    """Where ``role`` serves its figures when all roles run together: the ports of the roles follow one another."""
    if first is None:
        return None
    return Address(first.host, first.port + ROLES.index(role) if first.port else 0)


def encode_settings(settings: Settings) -> str:
    """Settings as JSON, for a process that is to be started."""
    return msgspec.json.encode(settings, enc_hook=str).decode()


def decode_settings(text: str) -> Settings:
    """What ``encode_settings`` wrote."""
    return msgspec.json.decode(text, type=Settings, dec_hook=lambda kind, value: kind(value))


def data_folder(environment: Mapping[str, str] | None = None) -> Path:
    """Where data is kept when nobody says otherwise (XDG Base Directory: ``$XDG_DATA_HOME/offhook``)."""
    environment = os.environ if environment is None else environment
    home = environment.get("XDG_DATA_HOME", "")
    # The specification asks to ignore a relative path.
    return (Path(home) if Path(home).is_absolute() else Path.home() / ".local" / "share") / "offhook"


def node_name(role: str) -> str:
    """A name for this process that no other has: role, machine, and chance (a restarted process is another node)."""
    machine = "".join(c if c.isalnum() or c == "-" else "-" for c in socket.gethostname()) or "machine"
    return f"{role}-{machine}-{secrets.token_hex(3)}"


def signal_ready(settings: Settings) -> None:
    """Tell whoever started this process that the role serves now; does nothing without ``ready_fd``. Once only."""
    if settings.ready_fd is None:
        return
    with open(settings.ready_fd, "wb", buffering=0) as pipe:
        pipe.write(b"ready\n")
