"""Who says it: the actors of a call. They know anyio, the protocol and the ports; no loop, bus or codec by name."""
