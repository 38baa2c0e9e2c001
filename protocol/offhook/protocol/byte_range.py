"""Which part of a file a ``Range`` header asks for (RFC 9110 14)."""

import re

from offhook.protocol.errors import OffhookError

_ONE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII | re.IGNORECASE)


class NoSuchRange(OffhookError):
    """The range begins behind the end."""


def read_range(header: str | None, size: int) -> range | None:
    """The bytes asked for, of a file of ``size`` bytes; None: all of it.

    What is no range, is counted in something else or names several parts is passed over, as RFC 9110 14.2 lets a server
    do. Raises ``NoSuchRange``.
    """
    found = _ONE.fullmatch((header or "").replace(" ", ""))
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found.groups()
    if not first:
        begin, end = max(0, size - int(last)), size
    else:
        begin, end = int(first), size if not last else min(int(last) + 1, size)
        if last and int(last) < begin:
            return None
    if begin >= size or begin >= end:
        raise NoSuchRange(f"The file has {size} bytes.")
    return range(begin, end)
