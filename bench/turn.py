"""How soon the agent is there, and how soon it answers (aim: 0.7 s in the median).

A Python WebRTC caller talks with the demo agent of a real `offhook up` on 127.0.0.1, in sentences spoken by flite. All
times are taken at the caller's socket: from the packet with the last sound of the caller (-45 dBFS) to the first packet
with sound of the agent. A browser adds its own jitter buffer to that. Where the time goes is read from the voice
node's debug log. Commas in the caller's sentences are pauses of 0.35 s, in which the agent must not answer.

    python bench/turn.py [--calls 6] [--show]
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from measure.caller import MeasuredCaller, speak
from measure.figures import Progress, machine, print_result, row, summary

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "wire"))
from gateway_client import open_client, token_for
from product import Product

#: What callers say, a list for each call.
CONVERSATIONS = (
    ("what are your opening hours", "are you open on sunday", "where are you located", "no thank you"),
    ("book an appointment", "on tuesday", "at three pm", "yes"),
    ("book an appointment, on friday, at ten am", "yes please", "what did i book", "is there parking"),
    ("i would like, to book an appointment, on monday", "half past two", "no", "wednesday, at nine am"),
    ("how much, does it cost", "do you take, credit cards", "what services, do you offer", "when, do you open"),
    ("i want, to leave a message", "it is about, a payment", "five five five, one two three four", "yes"),
)
#: Seconds to wait for an answer.
PATIENCE = 15.0
#: What happens in a turn, from the last sound of the caller: the turn's event, and what the time up to it is.
PARTS = (
    ("VoiceEnded", "the caller has ended (network, pause)"),
    ("Understood", "recognizer"),
    ("ReplyBegan", "brain"),
    ("speech begins", "synthesizer"),
    ("heard", "pacing, network, silence before sound"),
)


@dataclass
class Times:
    """Everything that was measured, in seconds."""

    answer: list[float] = field(default_factory=list)
    packet: list[float] = field(default_factory=list)
    greeting: list[float] = field(default_factory=list)
    #: For each answered sentence: when its last sound was sent and when the agent was heard.
    turns: list[tuple[float, float]] = field(default_factory=list)
    cut: int = 0
    missed: int = 0
    #: Sentences that did not end as one line of the transcript.
    split: list[str] = field(default_factory=list)


async def converse(product: Product, sentences: tuple[str, ...], times: Times, *, show: bool) -> None:
    """One call."""
    async with open_client(product.signaling) as client:
        caller = MeasuredCaller(client)
        token = token_for(product.folder / "data")
        clicked = time.monotonic()
        sdp = await caller.offer_sdp()
        offered = time.monotonic()
        await client.offer(token, sdp=sdp, events=True)
        answer = await client.wait_frame("answer")
        times.answer.append(time.monotonic() - offered)
        client.session = answer["sessionId"]
        await client.caller.accept(answer["data"]["sdp"])
        greeted = await caller.wait_sound(offered, PATIENCE)
        assert greeted is not None, "no greeting"
        times.packet.append(caller.arrived[0][0] - offered)
        times.greeting.append(greeted - clicked)
        for said in sentences:
            await caller.wait_quiet()
            before = lines_of(client.frames)
            begun = time.monotonic()
            ended = await caller.say(speak(said))
            times.cut += caller.first_sound(begun) is not None
            heard = await caller.wait_sound(ended, PATIENCE)
            if heard is None:
                times.missed += 1
                continue
            times.turns.append((ended, heard))
            await asyncio.sleep(0.3)
            found = lines_of(client.frames)[len(before) :]
            if len(found) != 1:
                times.split.append(said)
            if show:
                print(f"  {1000 * (heard - ended):5.0f} ms  {said!r} -> {found}")
        await client.hang_up()


def lines_of(frames: list[dict[str, Any]]) -> list[str]:
    """What the caller said, as the transcript has it."""
    events = [frame["data"] for frame in frames if frame["type"] == "event"]
    return [event["text"] for event in events if event["event"] == "transcript" and event["role"] == "caller"]


def read_log(log: Path) -> list[tuple[float, str]]:
    """What the agents did and when (``time.monotonic``), oldest first."""
    offset = time.time() - time.monotonic()
    found = []
    for line in log.read_text().splitlines():
        if line.startswith('{"timestamp"'):
            entry = json.loads(line)
            what = entry.get("turn_event") or entry["event"]
            if entry["role"] == "voice":
                found.append((datetime.fromisoformat(entry["timestamp"]).timestamp() - offset, what))
    return sorted(found)


def parts_of(times: Times, log: list[tuple[float, str]]) -> dict[str, list[float]]:
    """Seconds of each part of each turn whose parts are all known."""
    parts: dict[str, list[float]] = defaultdict(list)
    for ended, heard in times.turns:
        marks = {what: at for at, what in log if ended < at < heard}
        if not all(what in marks for what, _ in PARTS[:-1]):
            continue
        at = [ended, *(marks[what] for what, _ in PARTS[:-1]), heard]
        for (_, name), (left, right) in zip(PARTS, pairwise(at), strict=True):
            parts[name].append(right - left)
    return parts


async def measure(calls: int, *, show: bool) -> dict[str, Any]:
    """Run the calls; prints and returns the figures."""
    times = Times()
    progress = Progress(calls)
    with tempfile.TemporaryDirectory() as folder:
        product = Product(Path(folder), "--log-level", "debug", "--log-format", "json")
        try:
            for number in range(calls):
                progress.step(f"call {number + 1}")
                await converse(product, CONVERSATIONS[number % len(CONVERSATIONS)], times, show=show)
        finally:
            product.stop()
        progress.end()
        parts = parts_of(times, read_log(product.log))
    waits = [heard - ended for ended, heard in times.turns]
    print(row("offer to answer", times.answer, "s", 3))
    print(row("offer to first audio packet", times.packet, "s", 3))
    print(row("click to first sound of the greeting", times.greeting, "s", 3))
    print(row("end of speech to sound of the agent", waits, "s", 3))
    for name, seconds in parts.items():
        print(row(f"  {name}", seconds, "s", 3))
    print(f"answered in a pause: {times.cut}; not answered: {times.missed}; not one line: {times.split}")
    return {
        "answer": summary(times.answer, 3),
        "first_packet": summary(times.packet, 3),
        "greeting": summary(times.greeting, 3),
        "turn": summary(waits, 3),
        "parts": {name: summary(seconds, 3) for name, seconds in parts.items()},
        "answered_in_a_pause": times.cut,
        "not_answered": times.missed,
        "not_one_line": times.split,
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, default=6, help="calls, of four turns each")
    parser.add_argument("--show", action="store_true", help="print each turn")
    options = parser.parse_args()
    before = machine()
    print_result("turn", before, asyncio.run(measure(options.calls, show=options.show)))


if __name__ == "__main__":
    main()
