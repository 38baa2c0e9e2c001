"""Many calls over the real wire: do all complete, and is everything given back?

Each call is a whole one: the agent greets, the caller says goodbye (flite), the agent ends the call; events, transcript
and record are checked. What the product holds is taken from /proc after a warm-up call, and again when the calls are
over and idle threads have had their time to leave.

With --minutes, calls that come and go instead, so many at any time, in the mixture of measure/crowd.py (most of them
cheap), and the memory of each process is followed: after a warm-up it should not grow.

    python bench/soak.py [--sequence 50] [--at-once 10]
    python bench/soak.py --minutes 60 --calls 20

With --utterances, nothing but the recognizer: does it grow with what it hears?

    python bench/soak.py --utterances 1000
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import anyio
import msgspec
from measure.caller import speak
from measure.figures import Progress, machine, print_result, row, summary
from measure.long_soak import soak_for
from measure.recognizer_soak import hear

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "wire"))
from gateway_client import open_client
from usage import Usage, tasks_of, usage_below
from wire_stage import Stage

#: Seconds for idle threads and sockets to go.
SETTLE = 15.0
WANTED = [("agent", "Hello. Yes?"), ("caller", "goodbye"), ("agent", "Goodbye.")]


class Soak:
    """The calls of one run, on one product."""

    def __init__(self, stage: Stage, goodbye: bytes) -> None:
        self._stage = stage
        self._goodbye = goodbye
        #: Seconds from the offer to audio, and of the whole call.
        self.setup: list[float] = []
        self.length: list[float] = []
        #: What went wrong, one sentence for each call that is not as it should be.
        self.trouble: list[str] = []

    async def call(self) -> None:
        """One call, and its record."""
        try:
            async with open_client(self._stage.signaling) as client:
                begun = time.monotonic()
                call = await client.call(self._stage.new_token(), events=True)
                self.setup.append(time.monotonic() - begun)
                await client.hears("yes?")
                await client.say(self._goodbye)
                await client.wait_event("ended")
                await client.wait_closed()
                self.length.append(time.monotonic() - begun)
            record = await self._stage.ended(call)
        except (AssertionError, TimeoutError, OSError) as error:
            self.trouble.append(repr(error))
            return
        lines = [(line["role"], line["text"]) for line in record["transcript"]]
        if record["reason"] != "agent_completed" or lines != WANTED:
            self.trouble.append(f"{call}: {record['reason']}, {lines}")


async def soak(stage: Stage, sequence: int, at_once: int) -> dict[str, Any]:
    """Run the calls; prints and returns the figures."""
    goodbye = bytes(1600) + speak("good bye") + bytes(1600)
    progress = Progress(sequence + 4)
    progress.step("warm-up")
    await Soak(stage, goodbye).call()
    await anyio.sleep(SETTLE)
    before, tasks_before = usage_below(stage.process.pid), tasks_of(stage)
    one_by_one, together = Soak(stage, goodbye), Soak(stage, goodbye)
    for number in range(sequence):
        progress.step(f"call {number + 1} of {sequence}")
        await one_by_one.call()
    progress.step(f"{at_once} at once")
    async with anyio.create_task_group() as tasks:
        for _ in range(at_once):
            tasks.start_soon(together.call)
    during = usage_below(stage.process.pid)
    progress.step("settling")
    await anyio.sleep(SETTLE)
    after, owned = usage_below(stage.process.pid), len(await stage.keys("owner."))
    tasks_after = tasks_of(stage)
    progress.end()
    _show_usage(before, during, after)
    for role, count in tasks_after.items():
        print(f"tasks of {role}: {tasks_before[role]} before, {count} after")
    print(f"\nleases of calls left: {owned}")
    figures: dict[str, Any] = {"owner_keys_left": owned, "tasks": {"before": tasks_before, "after": tasks_after}}
    for name, calls in (("one by one", one_by_one), ("at once", together)):
        print(row(f"{name}: offer to audio", calls.setup, "s", 3))
        print(row(f"{name}: whole call", calls.length, "s"))
        for sentence in calls.trouble:
            print(f"  NOT AS IT SHOULD BE: {sentence}")
        figures[name] = {
            "failed": len(calls.trouble),
            "setup_s": summary(calls.setup, 3),
            "length_s": summary(calls.length),
        }
    figures["usage"] = {"before": msgspec.to_builtins(before), "after": msgspec.to_builtins(after)}
    return figures


def _show_usage(before: dict[str, Usage], during: dict[str, Usage], after: dict[str, Usage]) -> None:
    print(f"{'before / right after the calls / settled':24} {'processes':>12} {'threads':>14} {'files':>16} {'MB':>20}")
    nothing = Usage()
    for name in sorted(before.keys() | after.keys()):
        three = [moment.get(name, nothing) for moment in (before, during, after)]
        print(
            f"{name:40}"
            f" {'/'.join(str(one.processes) for one in three):>12}"
            f" {'/'.join(str(one.threads) for one in three):>14}"
            f" {'/'.join(str(one.files) for one in three):>16}"
            f" {'/'.join(f'{one.memory:.0f}' for one in three):>20}"
        )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sequence", type=int, default=50, help="calls one after another")
    parser.add_argument("--at-once", type=int, default=10, help="calls at once")
    parser.add_argument("--minutes", type=float, help="let calls come and go for so long instead")
    parser.add_argument("--calls", type=int, default=20, help="calls at any time, with --minutes")
    parser.add_argument("--utterances", type=int, help="have the recognizer alone hear so many instead")
    parser.add_argument("--seed", type=int, default=1, help="draws the kinds, lengths and ends of calls")
    options = parser.parse_args()
    before = machine()
    if options.utterances is not None:
        print_result("soak", before, hear(options.utterances))
        return
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        try:
            if options.minutes is None:
                figures = anyio.run(soak, stage, options.sequence, options.at_once)
            else:
                figures = soak_for(stage, options.minutes * 60, options.calls, options.seed)
        finally:
            stage.stop()
    print_result("soak", before, figures)


if __name__ == "__main__":
    main()
