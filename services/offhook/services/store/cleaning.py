"""What a database cannot hold is replaced before it gets there."""

from typing import Any

import msgspec

from offhook.protocol.call import LogEntry

#: NUL (PostgreSQL refuses it in text) and surrogates that stand alone (no encoding has them) become U+FFFD.
_FORBIDDEN = {0: "\ufffd", **dict.fromkeys(range(0xD800, 0xE000), "\ufffd")}


def clean(entry: LogEntry) -> LogEntry:
    """The entry with text that every database can hold."""
    try:
        # Nearly every entry is clean, and this finds out in no time: JSON writes NUL so, and has no lone surrogates.
        if b"\\u0000" not in msgspec.json.encode(entry):
            return entry
    except UnicodeEncodeError:
        pass
    return msgspec.convert(clean_value(msgspec.to_builtins(entry)), LogEntry)


def clean_value(value: Any) -> Any:
    """A text, or texts in lists and dicts, as every database can hold it."""
    match value:
        case str():
            return value.translate(_FORBIDDEN)
        case dict():
            return {clean_value(key): clean_value(item) for key, item in value.items()}
        case list() | tuple():
            return [clean_value(item) for item in value]
        case _:
            return value
