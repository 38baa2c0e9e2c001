"""Where the bus of a running product is: a file in its data folder, for commands that run beside it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Name of the file. It may hold a password, so only its owner can read it.
BUS_ADDRESS = "nats.url"


@contextmanager
def tell_bus_address(folder: Path, url: str) -> Iterator[None]:
    """Say where the bus is while the context is open. What a killed product left behind is written over."""
    file = folder / BUS_ADDRESS
    file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "w", encoding="utf-8") as stream:
        stream.write(f"{url}\n")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def bus_address(folder: Path) -> str | None:
    """Where the bus of the product on ``folder`` is; None while it starts or stops. Only for one that runs."""
    try:
        return (folder / BUS_ADDRESS).read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None
