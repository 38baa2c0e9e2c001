"""Logs of short calls, for what takes logs into records."""

import random
import uuid
from collections.abc import Iterator
from typing import Any

from offhook.protocol.call import LogEntry
from offhook.protocol.call import events as ev

#: What callers and agents say, over and over; and words of which each stands in few calls.
COMMON = (
    "hello this is the front desk how can I help you", "what are your opening hours", "we are open from nine to five",
    "I would like to book an appointment", "on which day does it suit you", "on monday please at ten", "goodbye",
)  # fmt: skip
RARE = 5000
AGENTS = tuple(f"agent-{number}" for number in range(20))
SDP = "v=0\r\n" + "a=candidate:1 1 udp 2130706431 192.0.2.7 40000 typ host\r\n" * 20
BEGIN = 1_760_000_000.0


def log_of(number: int, dice: random.Random) -> list[LogEntry]:
    """The log of one short call: 18 entries, 6 lines."""
    call, at = str(uuid.UUID(int=dice.getrandbits(128), version=4)), BEGIN + 300.0 * number
    lines = [dice.choice(COMMON) for _ in range(5)] + [f"my number is word{dice.randrange(RARE)}"]
    if dice.random() < 0.025:
        lines[0] = "refund"
    offer = ev.Offered(
        agent=dice.choice(AGENTS), version="1", workspace="main" if number % 100 else "small", sdp=SDP,
        mode="traditional", channel=dice.choice(["web", "web", "web", "chat"]), variables={"name": "Ada"},
        metadata={"plan": dice.choice(["tin", "gold"]), "customer": str(dice.randrange(10_000))},
    )  # fmt: skip
    happened: list[ev.CallEvent] = [offer, ev.MediaPrepared(sdp=SDP, node="voice-1"), ev.MediaConnected()]
    happened.append(ev.AgentAnswered())
    for line, words in enumerate(lines, 1):
        speaker: Any = "agent" if line % 2 else "caller"
        happened.append(ev.Said(role=speaker, text=words, line=line, began=at + line, ended=at + line + 1))
        happened.append(ev.FloorPassed(floor="listening" if line % 2 else "speaking"))
    lost = dice.random() < 0.02
    happened[-1:] = [ev.CallerHungUp(), ev.AgentStopped(), ev.MediaClosed()] if not lost else [
        ev.MediaFailed(reason="media_failed", message="gone"), ev.AgentStopped(), ev.MediaClosed(),
    ]  # fmt: skip
    return [LogEntry(call=call, seq=seq, at=at + seq, owner=1, event=event) for seq, event in enumerate(happened, 1)]


def side_by_side(calls: int, at_once: int, dice: random.Random) -> Iterator[list[LogEntry]]:
    """The entries of many calls, of which ``at_once`` go on side by side: one entry of each, then the next."""
    for first in range(0, calls, at_once):
        logs = [log_of(number, dice) for number in range(first, min(first + at_once, calls))]
        for position in range(max(map(len, logs))):
            yield [log[position] for log in logs if position < len(log)]
