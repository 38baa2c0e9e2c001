"""A call as a script: what the caller does, and what the caller expects. Each wait is in virtual seconds."""

import json
from typing import Any

import anyio

from offhook.protocol.call import CallState
from offhook.protocol.record import CallRecord
from offhook.simulation.calls import PATIENCE
from offhook.simulation.conversation import LOOK, Conversation, Unmet, plain
from offhook.simulation.handset import FRAME
from offhook.simulation.speech import utter
from offhook.simulation.tools import ToolUse

__all__ = ["Call", "CallRefused", "Unmet"]

#: Seconds of the agent's silence after which a polite caller begins to speak.
QUIET = 0.8
#: Seconds a polite caller waits for that silence.
POLITE = 120.0


class CallRefused(AssertionError):
    """A call could not be set up; ``error`` is what the gateway said: ``code``, ``reason``, ``message``."""

    def __init__(self, agent: str, error: dict[str, Any]) -> None:
        super().__init__(f"the call to {agent!r} was refused: {error['code']}: {error['message']}")
        self.error = error
        self.reason: str = error["reason"]


class Call(Conversation):
    """One call, seen and made by its caller."""

    #: Number of the information (A5) the test has looked at, and ids of the uses of tools it has expected.
    _next_info = 0
    _expected: frozenset[str] = frozenset()

    # ── what the caller does ───────────────────────────────────────────────────────────────────────────────────

    async def says(self, text: str, *, heard_as: str | None = None, misheard: bool = False) -> None:
        """Let the agent finish, then say a sentence to its end.

        The recognizer makes ``heard_as`` of it, if given; ``misheard``: it guesses, and does not trust its guess.
        """
        __tracebackhide__ = True
        quiet_since = anyio.current_time()
        with anyio.move_on_after(POLITE) as patience:
            while anyio.current_time() - quiet_since < QUIET:
                await anyio.sleep(LOOK)
                if self.line.handset.hears_voice:
                    quiet_since = anyio.current_time()
        if patience.cancelled_caught:
            raise Unmet(await self._explain(f"the agent to stop talking, to say {text!r}", POLITE, "it talks on"))
        await self._speak("says", text, heard_as, misheard)

    async def interrupts(
        self, text: str, *, within: float = PATIENCE, heard_as: str | None = None, misheard: bool = False
    ) -> None:
        """Say a sentence into the agent's words; waits until there are some."""
        __tracebackhide__ = True
        await self._wait(
            f"words to interrupt with {text!r}",
            within,
            lambda: self.line.handset.hears_voice or None,
            lambda: "the agent was silent",
        )
        await self._speak("interrupts", text, heard_as, misheard)

    async def coughs(self, seconds: float = 0.3) -> None:
        """Make a sound that is no speech."""
        self._note("coughs")
        await self.line.coughs(seconds)

    async def waits(self, seconds: float) -> None:
        """Do nothing for so long."""
        await anyio.sleep(seconds)

    async def presses(self, keys: str, *, pause: float = 0.3) -> None:
        """Press keys of the dialpad (DTMF), one after the other."""
        for key in keys:
            self._note(f"presses {key}")
            self._send("dtmf", {"digit": key})
            await anyio.sleep(pause)

    async def types(self, text: str) -> None:
        """Send a text in place of speech."""
        self._note(f'types "{text}"')
        self._send("text", {"text": text})
        await anyio.sleep(LOOK)

    async def shows(self, name: str, data: Any) -> None:
        """The page sends information to the agent; ``data`` is what JSON can hold."""
        self._note(f"the page sends {name} {data!r}")
        self._send("info", {"name": name, "data": data})
        await anyio.sleep(LOOK)

    def hang_up(self) -> None:
        """End the call."""
        self._note("hangs up")
        self._send("close", None)

    def vanish(self) -> None:
        """The caller's network is gone: no packets, no socket."""
        self._note("vanishes")
        self.line.vanish()

    async def comes_back(self, *, within: float = PATIENCE) -> None:
        """Back on the network, or with a reloaded page: a new socket and new media for the same call (G11)."""
        __tracebackhide__ = True
        if self.line.handset.present:
            self._note("reloads the page")
            self.line.vanish()
        else:
            self._note("comes back")
        tokens = [frame["data"]["resumeToken"] for frame in self.line.frames if frame["type"] in {"answer", "resumed"}]
        seen = max((int(event["seq"]) for event in self.events), default=0)
        self.lines.append(await self._world.connect())
        self.line.socket.send_frame(
            {"type": "resume", "sessionId": self.id, "authToken": tokens[-1], "data": {"seq": seen}}
        )
        welcome = await self._wait(
            "to come back to the call",
            within,
            lambda: next((frame for frame in self.line.frames if frame["type"] == "resumed"), None),
            lambda: f"{self.line.errors}",
        )
        offer = self._world.offer(self.line, welcome["data"]["resumeToken"], sessionId=self.id)
        self.line.socket.send_frame(offer)
        await self._wait(
            "an answer to the new media",
            within,
            lambda: any(frame["type"] == "answer" for frame in self.line.frames) or None,
            lambda: f"{self.line.errors}",
        )

    # ── what the caller expects ────────────────────────────────────────────────────────────────────────────────

    async def hears(self, text: str, *, within: float = PATIENCE) -> str:
        """Wait until the agent says the words ``text``; returns all that was heard since what was expected last.

        Case and punctuation do not count. The next ``hears`` looks behind these words.
        """
        __tracebackhide__ = True
        wanted = plain(text)
        if not wanted:
            raise ValueError("there are no words to wait for")
        return await self._wait(
            f"to hear {text!r}",
            within,
            lambda: self._hearing.find(wanted),
            lambda: f'heard "{self._hearing.unexpected}"' if self._hearing.unexpected else "heard nothing",
        )

    async def hears_nothing(self, seconds: float) -> None:
        """The agent stays silent for so long."""
        __tracebackhide__ = True
        before = len(self._hearing.words)
        await anyio.sleep(seconds)
        if len(self._hearing.words) > before:
            heard = " ".join(word.text for word in self._hearing.words[before:])
            raise Unmet(await self._explain("silence", seconds, f'heard "{heard}"'))

    async def expects_tool(self, name: str, /, *, within: float = PATIENCE, **arguments: Any) -> ToolUse:
        """Wait until the agent begins to use a tool with (at least) these arguments; each use is expected once."""
        __tracebackhide__ = True

        def look() -> ToolUse | None:
            for use in self._uses(self.id):
                if use.id not in self._expected and use.name == name and arguments.items() <= use.arguments.items():
                    self._expected |= {use.id}
                    return use
            return None

        given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        return await self._wait(f"the tool {name}({given})", within, look, self._other_uses)

    async def sees(self, name: str, *, within: float = PATIENCE) -> Any:
        """Wait until the page was told ``name`` (once more); returns its data."""
        __tracebackhide__ = True

        def look() -> tuple[Any] | None:
            infos = [event for event in self.events if event["event"] == "info"]
            for number, info in enumerate(infos[self._next_info :], self._next_info + 1):
                if info["name"] == name:
                    self._next_info = number
                    return (json.loads(info["data"]),)
            return None

        (data,) = await self._wait(f"the page to be told {name!r}", within, look, lambda: "it was not")
        return data

    async def reaches(self, state: CallState | str, *, within: float = PATIENCE) -> None:
        """Wait until the call is in a state (``held``, ``reconnecting`` ...)."""
        __tracebackhide__ = True
        with anyio.move_on_after(within):
            while True:
                if (await self.record()).state == state:
                    return
                await anyio.sleep(LOOK)
        is_now = (await self.record()).state
        raise Unmet(await self._explain(f"the call to be {state}", within, f"it is {is_now.value}"))

    async def ended(self, *, within: float = 120.0) -> CallRecord:
        """Wait until the call has ended; returns its record."""
        __tracebackhide__ = True
        await self.reaches(CallState.ENDED, within=within)
        return await self.record()

    # ── inside ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _speak(self, how: str, text: str, heard_as: str | None, misheard: bool) -> None:
        __tracebackhide__ = True
        frames = utter(text, heard_as=heard_as, trusted=not misheard)
        if (await self.record()).state is CallState.ENDED:
            raise Unmet(await self._explain(f"a call to say {text!r} in", 0, "it has ended"))
        as_what = f', heard as "{heard_as}"' if heard_as is not None else ""
        self._note(f'{how} "{text}"{as_what}{", misheard" if misheard else ""}')
        self.line.handset.say(frames)
        # A call that ends takes no more of the words.
        with anyio.move_on_after(len(frames) * FRAME + 1.0):
            await self.line.handset.wait_said()

    def _send(self, kind: str, data: dict[str, Any] | None) -> None:
        self.line.socket.send_frame({"type": kind, "sessionId": self.id} | ({"data": data} if data else {}))

    def _other_uses(self) -> str:
        others = [use for use in self._uses(self.id) if use.id not in self._expected]
        used = ", ".join(f"{use.name}({', '.join(f'{k}={v!r}' for k, v in use.arguments.items())})" for use in others)
        return f"it used {used}" if used else "it used none"
