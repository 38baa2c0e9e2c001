"""The bus goes away between two questions that belong together."""

import anyio

from offhook.actors.lease import GATEWAYS, Lease
from offhook.actors.ports import BusAway, Stored
from offhook.simulation.bus import SimulatedBus, SimulatedClient
from offhook.simulation.world import run


class Stutter(SimulatedClient):
    """Loses the answer to its first write, and then fails to read once."""

    failures = 2

    async def create(self, key: str, value: bytes, *, ttl: float | None = None) -> int:
        revision = await super().create(key, value, ttl=ttl)
        self._fail()
        return revision

    async def get(self, key: str) -> Stored | None:
        self._fail()
        return await super().get(key)

    def _fail(self) -> None:
        if self.failures:
            self.failures -= 1
            raise BusAway("the answer was lost")


def test_a_node_joins_though_the_answer_is_lost_and_the_bus_goes_away_again() -> None:
    async def scenario() -> None:
        bus = SimulatedBus()
        client = Stutter(bus, "gateway-1")
        lease = Lease(client, GATEWAYS, "gateway-1")
        with anyio.fail_after(5):
            await lease.join()
        await lease.renew()
        assert client.failures == 0
        assert GATEWAYS + "gateway-1" in bus.kept

    run(scenario)
