"""After calls, one after another and at once, everything is where it was before."""

from collections.abc import Iterator

import anyio
import pytest
from gateway_client import open_client
from usage import tasks_of, usage_below
from wire_stage import Speak, Stage

pytestmark = pytest.mark.anyio

#: Files of the connections that a role may have to the database when it needs them, and keeps: five, of three files
#: each. A file for each of the calls below would be more.
POOL = {"records": 15, "api": 15}
#: Worker threads with which a role looks into the database now and then, several looks at a time or one after another.
LOOKING = {"records": 3, "api": 3}
#: Seconds in which what calls used must be given back; idle threads of trio stay for ten.
PATIENCE = 40.0


@pytest.fixture
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A product without a past."""
    running = Stage(tmp_path_factory.mktemp("fresh"))
    yield running
    assert running.stop() == 0, running.log.read_text()


async def echo(stage: Stage) -> str:
    async with open_client(stage.signaling) as client:
        call = await client.call(stage.new_token(), mode="echo")
        await client.caller.wait_heard(10)
        await client.hang_up()
    return call


async def talk(stage: Stage, speak: Speak) -> str:
    async with open_client(stage.signaling) as client:
        call = await client.call(stage.new_token(), events=True)
        await client.hears("yes?")
        await client.say(speak("good bye"))
        await client.wait_event("ended")
        await client.wait_closed()
    return call


async def vanish(stage: Stage) -> str:
    """A caller who is there for a moment, and cut off while its call is set up."""
    async with open_client(stage.signaling) as client:
        await client.offer(stage.new_token())
        answer = await client.wait_frame("answer")
        client.drop()
    return str(answer["sessionId"])


async def many(stage: Stage, speak: Speak, *, one_by_one: int, at_once: int) -> None:
    """Calls of every kind, and their records."""
    calls = [await talk(stage, speak), await vanish(stage)]
    calls += [await echo(stage) for _ in range(one_by_one)]

    async def another() -> None:
        calls.append(await talk(stage, speak))

    async with anyio.create_task_group() as tasks:
        for _ in range(at_once):
            tasks.start_soon(another)
    for call in calls:
        await stage.ended(call)


Held = dict[str, tuple[int, int, int]]


def held(stage: Stage) -> Held:
    """Processes, threads and open files of each role; no threads of nats-server, as Go keeps idle ones."""
    found = usage_below(stage.process.pid)
    return {
        name: (used.processes, used.threads if name != "nats-server" else 0, used.files) for name, used in found.items()
    }


def grown(before: Held, after: Held) -> dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]]:
    """Who holds more of anything than before: what was held, and what is."""
    none = (0, 0, 0)
    found = {}
    for name, now in after.items():
        was = before.get(name, none)
        allowed = (was[0], was[1] + LOOKING.get(name, 0), was[2] + POOL.get(name, 0))
        if any(more > most for more, most in zip(now, allowed, strict=True)):
            found[name] = (was, now)
    return found


async def test_calls_leave_nothing_behind(fresh: Stage, speak: Speak) -> None:
    await many(fresh, speak, one_by_one=1, at_once=5)
    await anyio.sleep(12)
    before, nodes = held(fresh), (await fresh.keys("node.")).keys()
    tasks = tasks_of(fresh)
    await many(fresh, speak, one_by_one=12, at_once=5)
    with anyio.move_on_after(PATIENCE):
        while grown(before, held(fresh)):
            await anyio.sleep(0.5)
    assert grown(before, held(fresh)) == {}
    assert {role: count for role, count in tasks_of(fresh).items() if count > tasks[role]} == {}
    assert (await fresh.keys("node.")).keys() == nodes
    assert await fresh.keys("owner.") == {}
