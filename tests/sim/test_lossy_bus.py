"""Messages get lost: orders are repeated, and what outlives its call is found out."""

import anyio
from parrot import Birds

from offhook.protocol import subjects
from offhook.protocol.call import EndReason
from offhook.protocol.call import effects as do
from offhook.protocol.messages import CallerTyped, Envelope, decode_envelope, encode
from offhook.simulation.bus import SimulatedBus
from offhook.simulation.world import open_world, run


class Deaf(SimulatedBus):
    """Loses the first messages with one of these bodies."""

    def __init__(self, lost: dict[type, int]) -> None:
        super().__init__()
        self.lost = lost

    def publish(self, subject: str, data: bytes) -> list[str]:
        if subject != subjects.DEAD_LETTERS:
            kind = type(decode_envelope(data).body)
            if self.lost.get(kind, 0) > 0:
                self.lost[kind] -= 1
                return []
        return super().publish(subject, data)


def test_orders_that_get_lost_are_given_again() -> None:
    async def scenario() -> None:
        bus = Deaf({do.OpenMedia: 1, do.RingAgent: 2, do.StartAgent: 1, do.StopAgent: 1})
        async with open_world(Birds(), bus=bus) as world:
            call = await world.dial("parrot")
            await call.hears("parrot")
            call.hang_up()
            record = await call.ended()
            assert record.reason == EndReason.CALLER_HANGUP
            assert bus.lost == dict.fromkeys(bus.lost, 0)

    run(scenario)


def test_a_call_that_was_never_told_to_close_closes() -> None:
    async def scenario() -> None:
        async with open_world(Birds(), bus=Deaf({do.CloseMedia: 9})) as world:
            call = await world.dial("parrot")
            await call.hears("parrot")
            call.hang_up()
            await call.ended()
            assert world.engine.open == 1
            await anyio.sleep(20)
            assert world.engine.open == 0
            voice = world.nodes["voice-1"].voice
            assert voice is not None
            assert not voice.calls

    run(scenario)


def test_an_offer_that_two_nodes_take_is_served_by_one() -> None:
    class Twice(SimulatedBus):
        def publish(self, subject: str, data: bytes) -> list[str]:
            if subject == subjects.OPEN_CALL:
                super().publish(subject, data)
            return super().publish(subject, data)

    async def scenario() -> None:
        async with open_world(Birds(), voices=2, bus=Twice()) as world:
            call = await world.dial("parrot")
            await call.hears("parrot")
            await anyio.sleep(1)
            assert world.engine.open == 1
            assert call.handset.words == ["Hello,", "this", "is", "the", "parrot."]
            await call.says("hello")
            await call.hears("you said hello")

    run(scenario)


def test_typed_words_that_come_twice_count_once() -> None:
    async def scenario() -> None:
        async with open_world(Birds()) as world:
            call = await world.dial("parrot")
            await call.hears("parrot")
            await anyio.sleep(1)
            bus = world.bus.client("somebody")
            typed = encode(Envelope(call=call.id, source="socket 1", number=1, body=CallerTyped("hello")))
            await bus.publish(subjects.agent(call.id), typed)
            await call.hears("you said hello")
            await bus.publish(subjects.agent(call.id), typed)
            await anyio.sleep(3)
            record = await world.record(call.id)
            assert record is not None
            assert [line.text for line in record.transcript if line.role == "caller"] == ["hello"]

    run(scenario)
