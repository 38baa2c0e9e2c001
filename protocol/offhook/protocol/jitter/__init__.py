"""The adaptive jitter buffer: packets as they come, in; what to do with each piece of time, out.

Two kinds of listener, two ways to play (docs/decisions/0010-one-buffer-two-paces.md):

- ``Prompt`` for a machine. Nothing has to come at an even pace, so a packet in order is handed on at once, and only
  behind a gap packets wait, for as long as packets have lately been out of order.
- ``Even`` for a person. Each piece of time gets its decision when it is due, behind a delay that follows the network.

Both are pure: time is an argument (seconds, from any clock that does not jump), audio is not touched.
"""

from offhook.protocol.jitter.decisions import Conceal, Decision, Decode, Quiet, Recover
from offhook.protocol.jitter.even import Even, loudest_to_drop
from offhook.protocol.jitter.prompt import Prompt
from offhook.protocol.jitter.waiting import Counts, sum_of

__all__ = ["Conceal", "Counts", "Decision", "Decode", "Even", "Prompt", "Quiet", "Recover", "loudest_to_drop", "sum_of"]
