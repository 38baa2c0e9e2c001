"""What is checked before anything is started, each with a sentence that says what to do."""

import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from offhook.services.settings import Address, BadSetup

#: Name of the file that says which process uses a data folder.
LOCK = "offhook.lock"


class FolderTaken(BadSetup):
    """A running offhook holds the data folder."""


def _bind(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # As servers do: a port whose last connections are still in TIME_WAIT is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address.host, address.port))
        listener.listen(1)
    except BaseException:
        listener.close()
        raise
    return listener


def unused_port(host: str = "127.0.0.1", *, beside: int = 0) -> int:
    """A port of ``host`` that nobody listens on now: the next after ``beside``, or one the system chooses."""
    for port in range(beside + 1, min(beside + 100, 65536)) if beside else ():
        with suppress(OSError), _bind(Address(host, port)):
            return port
    with _bind(Address(host, 0)) as listener:
        return int(listener.getsockname()[1])


def require_free_port(address: Address, option: str = "--http") -> None:
    """Raise ``BadSetup`` when ``address`` cannot be served."""
    try:
        _bind(address).close()
    except (socket.gaierror, UnicodeError):
        raise BadSetup(f"{address.host!r} is not an address of this machine. Choose another with {option}.") from None
    except OSError as error:
        raise BadSetup(_why_not(address, option, error)) from None


def _why_not(address: Address, option: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        other = Address(address.host, unused_port(address.host, beside=address.port))
        return (
            f"Port {address.port} on {address.host} is in use. "
            f"Stop the program that uses it, or choose another with {option} {other}."
        )
    if error.errno in {errno.EACCES, errno.EPERM}:
        return (
            f"Port {address.port} on {address.host} is reserved for the system administrator. "
            f"Choose one above 1023, for example {option} {Address(address.host, 8080)}."
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"{address.host} is not an address of this machine. Choose another with {option} 127.0.0.1:{address.port}."
        )
    return f"{address} cannot be served ({error.strerror}). Choose another address with {option}."


def require_writable(folder: Path) -> None:
    """Create ``folder`` if it is missing and see that a file can be written there. Raises ``BadSetup``."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = folder / f".writable-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise BadSetup(
            f"The data folder {folder} cannot be written ({error.strerror}). "
            "Give yourself the right to write there, or choose another with --data DIR."
        ) from None


@contextmanager
def hold_data_folder(folder: Path) -> Iterator[None]:
    """Keep ``folder`` for this process while the context is open. Raises ``FolderTaken``, ``BadSetup``.

    The lock (flock) goes with the process, however it ends; the file stays.
    """
    require_writable(folder)
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            raise FolderTaken(
                f"offhook is already running on the data folder {folder} (process {holder}). "
                "Stop it first, or choose another folder with --data DIR and another port with --http."
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
