"""A brain in Python: it asks a weather service, and streams what it says sentence by sentence."""

from collections.abc import AsyncIterator
from typing import Any

import anyio

from offhook.actors.ports import Toolbox, ToolFailed
from offhook.protocol.speech import BrainAction, Finish, Heard, Hints, Say, Tell


class WeatherBrain:
    def __init__(self, tools: Toolbox, variables: dict[str, str]) -> None:
        self._tools = tools
        self._town = variables.get("town", "Springfield")

    def hints(self) -> Hints:
        return Hints(sentences=("what is the weather", "will it rain", "goodbye"))

    async def open(self) -> AsyncIterator[BrainAction]:
        yield Say(f"This is the weather in {self._town}. What would you like to know?")

    async def hear(self, heard: Heard) -> AsyncIterator[BrainAction]:
        if not heard.trusted:
            yield Say("Pardon?")
        elif "goodbye" in heard.text:
            yield Say("Goodbye!")
            yield Finish()
        else:
            yield Say("Let me look.")
            try:
                weather = await self._ask_twice()
            except ToolFailed:
                yield Say("I can not reach the weather service right now.")
                return
            yield Tell("weather", f'"{weather["sky"]}"')
            yield Say(f"It is {weather['sky']}, at {weather['degrees']} degrees.")

    async def wait(self) -> AsyncIterator[BrainAction]:
        yield Say("Are you still there?")

    async def _ask_twice(self) -> Any:
        try:
            return await self._tools.use("weather", town=self._town)
        except ToolFailed:
            await anyio.sleep(1)
            return await self._tools.use("weather", town=self._town)
