"""Pages of calls, read as a person or a program asks for them."""

import random
import statistics
import time
from collections.abc import Callable
from typing import Any

from measure.call_logs import AGENTS, BEGIN, RARE
from offhook.protocol.call import CallState, EndReason
from offhook.protocol.record import CallFilter
from offhook.services.store import Store


def questions(store: Store, dice: random.Random) -> dict[str, Callable[[], Any]]:
    """What is asked; each time with other values."""
    cursor = store.calls(limit=200).cursor
    newest = store.calls(limit=200).calls
    middle = newest[0].created_at / 2 + BEGIN / 2

    def ask(workspace: str = "main", **wanted: Any) -> Any:
        return store.calls(CallFilter(workspace=workspace, **wanted), limit=50)

    return {
        "newest 50": ask,
        "the page after 200": lambda: store.calls(limit=50, cursor=cursor),
        "one call": lambda: store.call(dice.choice(newest).id),
        "by the beginning of its id": lambda: store.call(dice.choice(newest).id[:13]),
        "agent": lambda: ask(agent=dice.choice(AGENTS)),
        "state": lambda: ask(state=CallState.ENDED),
        "reason, 2 % of calls": lambda: ask(reason=EndReason.FAILED),
        "channel": lambda: ask(channel="chat"),
        "a day": lambda: ask(since=middle, until=middle + 86_400 * dice.random()),
        "metadata, few": lambda: ask(metadata={"customer": str(dice.randrange(10_000))}),
        "metadata, half of all": lambda: ask(metadata={"plan": "gold"}),
        "text, few": lambda: ask(text=f"word{dice.randrange(RARE)}"),
        "text, most calls": lambda: ask(text=dice.choice(["hello", "goodbye", "opening hours"])),
        "text, 2.5 % of calls": lambda: ask(text="refund"),
        "text, nobody said it": lambda: ask(text="swordfish"),
        "text, beginning of a word": lambda: ask(text=f"word{dice.randrange(10, 50)}"),
        "text, few and most": lambda: ask(text=f"hello word{dice.randrange(RARE)}"),
        "text, few and metadata, half": lambda: ask(text=f"word{dice.randrange(RARE)}", metadata={"plan": "gold"}),
        "a workspace of 1 % of calls": lambda: ask("small"),
        "text, few, in it": lambda: ask("small", text=f"word{dice.randrange(RARE)}"),
        "text and agent and day": lambda: ask(text="monday", agent=dice.choice(AGENTS), since=middle),
    }


def read(store: Store, times: int, clock: Callable[[], float]) -> dict[str, tuple[float, float, float]]:
    """Median, 95th percentile and CPU of each question, milliseconds; the first time does not count."""
    found = {}
    for name, question in questions(store, random.Random(2)).items():
        question()
        took, used = list[float](), clock()
        for _ in range(times):
            begun = time.perf_counter()
            question()
            took.append(1000 * (time.perf_counter() - begun))
        found[name] = spread(took, 1000 * (clock() - used) / times)
    return found


def spread(took: list[float], cpu: float) -> tuple[float, float, float]:
    """The median and the 95th percentile of some times, and the CPU each took."""
    return round(statistics.median(took), 1), round(statistics.quantiles(took, n=20)[-1], 1), round(cpu, 1)
