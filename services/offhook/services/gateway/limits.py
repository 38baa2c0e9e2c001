"""How much one visitor may ask of the public port."""

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the public port; times in seconds, sizes in bytes."""

    #: From the accepted connection to a complete request head or handshake.
    handshake_seconds: float = 5.0
    #: Connections of one address that are not that far yet.
    half_open: int = 20
    #: The head of a request.
    head_bytes: int = 16 * 1024
    #: One WebSocket message, all of its fragments.
    message_bytes: int = 64 * 1024
    #: Fragments of one message, and the time for all of them.
    fragments: int = 64
    message_seconds: float = 5.0
    messages_per_second: int = 30
    #: Pings and pongs together.
    pings_per_second: int = 20
    #: A caller who does not take a frame within this time is dropped.
    send_seconds: float = 10.0
    #: Quiet time between pings of ours, and the time for a pong; two missed ones drop the caller.
    ping_seconds: float = 15.0
    #: The wait for the caller's Close frame, and for the end of its connection.
    close_seconds: float = 1.0
    #: A forwarded request without a byte in either direction for so long is given up.
    idle_seconds: float = 75.0
