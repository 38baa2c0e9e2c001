"""What happens to worlds: nodes die, freeze and are cut off, the bus loses and forgets, leases are stolen."""

import random
from collections.abc import Awaitable, Callable

import anyio
import msgspec

from offhook.actors.capacity import OWNERS, Owner
from offhook.actors.lease import GATEWAYS, VOICES
from offhook.simulation.faults import FaultyBus
from offhook.simulation.world import Node, World

#: Virtual seconds during which troubles happen.
TROUBLED = 30.0


class Troublemaker:
    """Does to the world what happens to worlds, until ``TROUBLED``; then all is mended."""

    def __init__(self, world: World, bus: FaultyBus, note: Callable[..., None], chance: random.Random) -> None:
        self._world = world
        self._bus = bus
        self._note = note
        self._chance = chance
        self._started = 0

    async def run(self) -> None:
        """Draw some troubles, and go through with them."""
        kinds: list[Callable[[], Awaitable[None]]] = [
            self._lossy_messages, self._shaky_operations, self._stale_keys, self._bus_away, self._disk_full,
            self._kill, self._kill_at_operation, self._freeze, self._partition, self._steal_lease, self._steal_owner,
        ]  # fmt: skip
        async with anyio.create_task_group() as tasks:
            for _ in range(self._chance.randint(1, 5)):
                kind = self._chance.choice(kinds)
                tasks.start_soon(self._later, kind, self._chance.uniform(0.0, TROUBLED - 12.0))

    async def _later(self, kind: Callable[[], Awaitable[None]], at: float) -> None:
        await anyio.sleep(at)
        await kind()

    def _pick(self, *kinds: str) -> Node | None:
        nodes = [node for node in self._world.nodes.values() if node.kind in kinds and node.well]
        return self._chance.choice(nodes) if nodes else None

    # ── the bus ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _lossy_messages(self) -> None:
        troubles = self._bus.troubles
        troubles.lose, troubles.double, troubles.delay = (self._chance.choice((0.0, 0.05, 0.3)) for _ in range(3))
        troubles.longest = self._chance.choice((0.05, 1.0, 3.0))
        self._note(f"messages: lost {troubles.lose}, doubled {troubles.double}, late {troubles.delay}")
        await anyio.sleep(self._chance.uniform(2.0, 12.0))
        troubles.lose = troubles.double = troubles.delay = 0.0
        self._note("messages: well again")

    async def _shaky_operations(self) -> None:
        troubles = self._bus.troubles
        troubles.fail, troubles.forget, troubles.drag = (self._chance.choice((0.0, 0.1, 0.4)) for _ in range(3))
        troubles.forget_ack = self._chance.choice((0.0, 0.3))
        troubles.longest = self._chance.choice((0.05, 0.5, 2.0))
        self._note(f"operations: fail {troubles.fail}, answer lost {troubles.forget}, slow {troubles.drag}")
        await anyio.sleep(self._chance.uniform(1.0, 8.0))
        troubles.fail = troubles.forget = troubles.drag = troubles.forget_ack = 0.0
        self._note("operations: well again")

    async def _stale_keys(self) -> None:
        self._bus.troubles.stale = self._chance.uniform(0.2, 2.5)
        self._note(f"keys are read as they were {self._bus.troubles.stale:.1f} s ago")
        await anyio.sleep(self._chance.uniform(1.0, 8.0))
        self._bus.troubles.stale = 0.0
        self._note("keys are read as they are")

    async def _bus_away(self) -> None:
        self._note("the bus is away")
        self._bus.troubles.away = True
        self._bus.change()
        await anyio.sleep(self._chance.uniform(0.5, 8.0))
        self._bus.troubles.away = False
        self._bus.change()
        self._note("the bus is back")

    async def _disk_full(self) -> None:
        self._note("the disk is full")
        self._bus.troubles.full = True
        await anyio.sleep(self._chance.uniform(0.5, 8.0))
        self._bus.troubles.full = False
        self._note("the disk has room")

    async def _steal_lease(self) -> None:
        node = self._pick("gateway", "voice")
        if node is not None:
            key = (GATEWAYS if node.kind == "gateway" else VOICES) + node.name
            if key in self._bus.kept:
                self._note("lease deleted by hand", node.name)
                self._bus.remove(key)

    async def _steal_owner(self) -> None:
        keys = sorted(key for key in self._bus.kept if key.startswith(OWNERS))
        thief = self._chance.choice([*(n.name for n in self._world.nodes.values() if n.kind == "gateway"), "ghost"])
        if keys:
            key = self._chance.choice(keys)
            self._note(f"owner key of {key[-4:]} given by hand to {thief}")
            self._bus.write(key, msgspec.msgpack.encode(Owner(thief)))

    # ── nodes ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _kill(self) -> None:
        node = self._pick("gateway", "voice", "records")
        if node is not None:
            self._note(f"kill -9 {node.name}", node.name)
            self._world.kill(node.name)
            await self._replace(node)

    async def _kill_at_operation(self) -> None:
        node = self._pick("gateway", "voice", "records")
        if node is not None:
            self._bus.troubles.doomed[node.name] = self._chance.randint(1, 60)
            with anyio.move_on_after(10):
                while not node.killed:  # noqa: ASYNC110 - in virtual time
                    await anyio.sleep(0.5)
            self._bus.troubles.doomed.pop(node.name, None)
            if node.killed:
                await self._replace(node)

    async def _replace(self, node: Node) -> None:
        """There is always one of a kind left or on its way, as an operator would see to it."""
        alone = not any(other.kind == node.kind and not other.killed for other in self._world.nodes.values())
        await anyio.sleep(0.5 if alone else self._chance.uniform(0.5, 8.0))
        self._started += 1
        name = f"{node.kind}-{2 + self._started}"
        self._note(f"{name} starts", name)
        # It may be killed while it starts.
        with anyio.move_on_after(10):
            if node.kind == "gateway":
                await self._world.start_gateway(name)
            elif node.kind == "voice":
                await self._world.start_voice(name)
            else:
                self._world.start_records(name)

    async def _freeze(self) -> None:
        node = self._pick("gateway", "voice", "records")
        if node is not None:
            self._note(f"{node.name} freezes", node.name)
            self._world.freeze(node.name)
            await anyio.sleep(self._chance.choice((0.5, 2.0, 4.0, 10.0)))
            if not node.killed:
                self._note(f"{node.name} goes on", node.name)
            self._world.thaw(node.name)

    async def _partition(self) -> None:
        node = self._pick("gateway", "voice", "records")
        if node is not None:
            self._note(f"{node.name} is cut off from the bus", node.name)
            node.bus.away = True
            await anyio.sleep(self._chance.choice((0.5, 2.0, 4.0, 10.0)))
            if not node.killed:
                node.bus.away = False
                self._note(f"{node.name} reaches the bus again", node.name)
