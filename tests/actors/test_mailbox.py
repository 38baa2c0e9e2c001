"""The mailbox: order, bounds, and the order to stop."""

from collections.abc import Awaitable, Callable

import anyio
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from offhook.actors.mailbox import Mailbox, MailboxFull, Stopped


def simulate(scenario: Callable[[], Awaitable[None]]) -> None:
    trio.run(scenario, clock=trio.testing.MockClock(autojump_threshold=0))


def test_full_hands_the_letter_back_and_keeps_the_others() -> None:
    async def scenario() -> None:
        mailbox: Mailbox[int] = Mailbox(3)
        for letter in (1, 2, 3):
            mailbox.put(letter)
        with pytest.raises(MailboxFull) as refused:
            mailbox.put(4)
        assert refused.value.letter == 4
        assert [await mailbox.get() for _ in range(3)] == [1, 2, 3]
        mailbox.put(5)
        assert await mailbox.get() == 5

    simulate(scenario)


def test_stop_overtakes_what_waits() -> None:
    async def scenario() -> None:
        mailbox: Mailbox[int] = Mailbox()
        mailbox.put(1)
        mailbox.stop()
        with pytest.raises(Stopped):
            await mailbox.get()
        with pytest.raises(Stopped):
            mailbox.put(2)
        with pytest.raises(Stopped):
            await mailbox.put_soon(2)

    simulate(scenario)


def test_stop_overtakes_a_full_mailbox_and_frees_who_waits_for_room() -> None:
    async def scenario() -> None:
        mailbox: Mailbox[int] = Mailbox(1)
        mailbox.put(1)
        freed = anyio.Event()

        async def write() -> None:
            with pytest.raises(Stopped):
                await mailbox.put_soon(2)
            freed.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write)
            await anyio.sleep(1)
            assert not freed.is_set()
            mailbox.stop()
            with anyio.fail_after(1):
                await freed.wait()

    simulate(scenario)


def test_a_reader_that_waits_is_stopped() -> None:
    async def scenario() -> None:
        mailbox: Mailbox[int] = Mailbox()
        async with anyio.create_task_group() as tasks:

            async def read() -> None:
                with pytest.raises(Stopped):
                    await mailbox.get()

            tasks.start_soon(read)
            await anyio.sleep(1)
            with anyio.fail_after(1):
                mailbox.stop()

    simulate(scenario)


@given(
    st.lists(st.lists(st.integers(), max_size=8), min_size=1, max_size=5),
    st.integers(1, 4),
    st.lists(st.integers(0, 3), max_size=20),
)
def test_each_writers_letters_come_out_once_and_in_order(
    written: list[list[int]], capacity: int, pauses: list[int]
) -> None:
    async def scenario() -> None:
        mailbox: Mailbox[tuple[int, int]] = Mailbox(capacity)
        got: list[tuple[int, int]] = []

        async def write(writer: int) -> None:
            for number, pause in enumerate(written[writer]):
                await anyio.sleep(pause % 3)
                await mailbox.put_soon((writer, number))

        async with anyio.create_task_group() as tasks:
            for writer in range(len(written)):
                tasks.start_soon(write, writer)
            for index in range(sum(map(len, written))):
                await anyio.sleep(pauses[index] if index < len(pauses) else 0)
                got.append(await mailbox.get())
        for writer, letters in enumerate(written):
            assert [number for who, number in got if who == writer] == list(range(len(letters)))
        statistics = mailbox.statistics()
        assert (statistics.waiting, statistics.total) == (0, len(got))
        assert statistics.highest <= capacity

    simulate(scenario)
