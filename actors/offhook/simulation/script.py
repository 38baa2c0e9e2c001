"""A call as a script: what the caller does, and what the caller expects.

Each method that waits does so in virtual seconds. What was expected and did not come raises ``Unmet``, an
``AssertionError`` that tells the whole call so far.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import anyio

from offhook.protocol.call import CallState, LogEntry
from offhook.protocol.record import CallRecord
from offhook.simulation.media import FRAME
from offhook.simulation.speech import utter
from offhook.simulation.story import Moment, Word, show_time, tell
from offhook.simulation.tools import ToolUse
from offhook.simulation.world import PATIENCE, SimulatedCall, World

T = TypeVar("T")

#: Seconds of the agent's silence after which a polite caller begins to speak.
QUIET = 0.8
#: Seconds a polite caller waits for that silence.
POLITE = 120.0
#: Seconds between two looks at what does not tell by itself that it changed.
LOOK = 0.1


class Unmet(AssertionError):
    """What a test expected did not come."""


class CallRefused(AssertionError):
    """A call could not be set up; ``error`` is what the gateway said: ``code``, ``reason``, ``message``."""

    def __init__(self, agent: str, error: dict[str, Any]) -> None:
        super().__init__(f"the call to {agent!r} was refused: {error['code']}: {error['message']}")
        self.error = error
        self.reason: str = error["reason"]


class Call:
    """One call, seen and made by its caller."""

    def __init__(
        self,
        world: World,
        line: SimulatedCall,
        *,
        agent: str,
        began: float,
        variables: dict[str, str],
        uses: Callable[[str], list[ToolUse]],
    ) -> None:
        self.id = line.id
        #: When it was dialed, virtual seconds since the simulation began.
        self.began = began
        #: The caller's line: its socket and handset, for what the kit has no word for.
        self.line = line
        self._world = world
        self._uses = uses
        self._words: list[Word] = []
        self._next_word = 0
        self._next_info = 0
        self._expected: set[str] = set()
        self._news = anyio.Event()
        named = "".join(f", {name}={value!r}" for name, value in variables.items())
        self._done = [Moment(began, "caller", f"dials {agent}{named}")]

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
        token = next(
            frame["data"]["resumeToken"] for frame in self.line.frames if frame["type"] in {"answer", "resumed"}
        )
        self.line = await self._world.connect()
        self._next_info = 0
        self.line.socket.send_frame(
            {"type": "resume", "sessionId": self.id, "authToken": token, "data": {"seq": self._seen_seq}}
        )
        welcome = await self._wait("to come back to the call", within, self._welcome, lambda: f"{self.line.errors}")
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
        end = await self._wait(
            f"to hear {text!r}",
            within,
            lambda: self._find(wanted),
            lambda: f'heard "{self._unexpected()}"' if self._unexpected() else "heard nothing",
        )
        heard = " ".join(word.text for word in self._words[self._next_word : end])
        self._next_word = end
        return heard

    async def hears_nothing(self, seconds: float) -> None:
        """The agent stays silent for so long."""
        __tracebackhide__ = True
        before = len(self._words)
        await anyio.sleep(seconds)
        if len(self._words) > before:
            heard = " ".join(word.text for word in self._words[before:])
            raise Unmet(await self._explain("silence", seconds, f'heard "{heard}"'))

    async def expects_tool(self, name: str, /, *, within: float = PATIENCE, **arguments: Any) -> ToolUse:
        """Wait until the agent begins to use a tool with (at least) these arguments; each use is expected once."""
        __tracebackhide__ = True

        def look() -> ToolUse | None:
            for use in self._uses(self.id):
                if use.id not in self._expected and use.name == name and arguments.items() <= use.arguments.items():
                    self._expected.add(use.id)
                    return use
            return None

        given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        return await self._wait(f"the tool {name}({given})", within, look, self._other_uses)

    async def sees(self, name: str, *, within: float = PATIENCE) -> Any:
        """Wait until the page was told ``name`` (once more); returns its data."""
        __tracebackhide__ = True

        def look() -> tuple[Any] | None:
            infos = [event for event in self.line.events if event["event"] == "info"]
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

    # ── what there is to look at ───────────────────────────────────────────────────────────────────────────────

    @property
    def heard(self) -> str:
        """Everything the caller has heard so far."""
        return " ".join(word.text for word in self._words)

    @property
    def on_hold(self) -> bool:
        """Whether the caller hears the hold audio."""
        return self.line.handset.on_hold

    async def record(self) -> CallRecord:
        """The record of the call so far."""
        record = await self._world.record(self.id)
        assert record is not None, "a call that was answered has a log"
        return record

    async def log(self) -> Sequence[LogEntry]:
        """The call's log so far."""
        return await self._world.log(self.id)

    async def story(self) -> str:
        """The call so far, line by line with virtual times."""
        return tell(self.began, self._done, self._words, self._uses(self.id), await self.record(), await self.log())

    # ── inside ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def listen(self) -> None:
        """Note the words that are heard; until cancelled."""
        taken, handset = 0, self.line.handset
        while True:
            if handset is not self.line.handset:
                taken, handset = 0, self.line.handset
            if taken == len(handset.words):
                with anyio.move_on_after(LOOK):
                    await handset.wait_heard()
                continue
            self._words += [Word(anyio.current_time(), word) for word in handset.words[taken:]]
            taken = len(handset.words)
            self.notice()

    def notice(self) -> None:
        """Something has happened that a test may wait for."""
        self._news.set()

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

    async def _wait(self, what: str, within: float, look: Callable[[], T | None], instead: Callable[[], str]) -> T:
        __tracebackhide__ = True
        with anyio.move_on_after(within):
            while (found := look()) is None:
                self._news = anyio.Event()
                with anyio.move_on_after(LOOK):
                    await self._news.wait()
            return found
        raise Unmet(await self._explain(what, within, instead()))

    async def _explain(self, what: str, within: float, instead: str) -> str:
        at = show_time(anyio.current_time() - self.began)
        return (
            f"expected {what} within {within:g} s, until {at}; {instead}\n\n"
            f"The call so far, in virtual minutes and seconds:\n{await self.story()}"
        )

    def _note(self, what: str) -> None:
        self._done.append(Moment(anyio.current_time(), "caller", what))

    def _send(self, kind: str, data: dict[str, Any] | None) -> None:
        self.line.socket.send_frame({"type": kind, "sessionId": self.id} | ({"data": data} if data else {}))

    def _find(self, wanted: list[str]) -> int | None:
        """Index just behind the words ``wanted`` among those not yet expected."""
        heard = [(token, place) for place in range(self._next_word, len(self._words)) for token in self._tokens(place)]
        for start in range(len(heard) - len(wanted) + 1):
            piece = heard[start : start + len(wanted)]
            if [token for token, _place in piece] == wanted:
                return piece[-1][1] + 1
        return None

    def _tokens(self, place: int) -> list[str]:
        return plain(self._words[place].text)

    def _unexpected(self) -> str:
        return " ".join(word.text for word in self._words[self._next_word :])

    def _other_uses(self) -> str:
        others = [use for use in self._uses(self.id) if use.id not in self._expected]
        used = ", ".join(f"{use.name}({', '.join(f'{k}={v!r}' for k, v in use.arguments.items())})" for use in others)
        return f"it used {used}" if used else "it used none"

    @property
    def _seen_seq(self) -> int:
        return max((int(event["seq"]) for event in self.line.events), default=0)

    def _welcome(self) -> dict[str, Any] | None:
        return next((frame for frame in self.line.frames if frame["type"] == "resumed"), None)


def plain(text: str) -> list[str]:
    """Words in lower case, without punctuation."""
    return "".join(c if c.isalnum() or c == "'" else " " for c in text.lower()).split()
