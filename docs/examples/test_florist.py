"""A flow document of one's own, tested as it is."""

from offhook.simulation.kit import Simulation


async def test_a_bouquet_is_ordered(simulation: Simulation) -> None:
    florist = simulation.agent("florist.toml")
    florist.tool("order", returns={"number": 12}, takes=2.0)

    call = await simulation.dial(florist, variables={"visitor": "Ann"})
    await call.hears("hello Ann")
    await call.says("i need roses for friday")
    await call.hears("roses for friday")
    await call.says("yes")
    await call.expects_tool("order", within=3, flowers="roses", day="friday", visitor="Ann")
    await call.hears("your number is 12", within=6)
    await call.says("that's all")
    await call.hears("goodbye")

    record = await call.ended()
    assert record.reason == "agent_completed"
    assert [line.text for line in record.transcript if line.role == "caller"] == [
        "i need roses for friday",
        "yes",
        "that's all",
    ]


async def test_an_order_book_that_is_closed(simulation: Simulation) -> None:
    florist = simulation.agent("florist.toml")
    order = florist.tool("order", fails="the book is closed")

    call = await simulation.dial(florist)
    await call.says("tulips for monday")
    await call.hears("shall i order them")
    await call.says("yes")
    await call.hears("could not order that")
    assert len(order.uses) == 1


async def test_words_that_were_not_understood(simulation: Simulation) -> None:
    florist = simulation.agent("florist.toml")

    call = await simulation.dial(florist)
    await call.says("i need a poses", heard_as="i need a bouncer")
    await call.hears("sorry")
    await call.says("roses", misheard=True)
    await call.hears("sorry")
    await call.types("roses for friday")
    await call.hears("shall i order them")
