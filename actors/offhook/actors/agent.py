"""The agent actor: has the conversation of one call.

It owns the turn (who has the floor): news from ear, mouth and brain become turn events, the turn's table answers with
orders, and the actor carries them out. What was said is reported to the session line by line: the caller's line when
the agent begins to answer it, the agent's line when it was played, or as far as it was played when it is cut.
"""

import logging
from collections.abc import AsyncIterator, Callable

import anyio
from anyio.abc import TaskGroup

from offhook.actors.ear import Ear, EarNews, VoiceHeard, WordsHeard
from offhook.actors.inbox import Inbox
from offhook.actors.link import AudioLink
from offhook.actors.mailbox import Mailbox
from offhook.actors.mind import Mind, Thought, take_up
from offhook.actors.minutes import Minutes
from offhook.actors.mouth import Mouth, SpeechPlayed
from offhook.actors.ports import Brain, Bus, Clock, Informed, Profile, Recognizer, Synthesizer, Toolbox, VoiceDetector
from offhook.actors.reporter import Reporter, open_reporter
from offhook.actors.toolbox import CallToolbox, RunTool
from offhook.protocol import turn as turns
from offhook.protocol.call import EndReason
from offhook.protocol.call import effects as do
from offhook.protocol.call import events as ev
from offhook.protocol.messages import CallerDialed, CallerTyped, Envelope, InfoReceived
from offhook.protocol.speech import BrainAction, Finish, Heard, Say, Tell
from offhook.protocol.turn import Do, TurnState
from offhook.protocol.turn import events as tv

log = logging.getLogger("offhook.agent")

#: Seconds between the last sample sent and the report that the agent is done: what the browser still buffers.
LAST_WORDS = 0.4
#: Seconds to wait for the session to take the last reports.
FAREWELL = 10.0


Letter = Envelope | EarNews | SpeechPlayed | Thought


class AgentActor:
    """Talks with one caller. ``think`` makes its brain; without it, it answers and stays silent (echo mode).

    ``order`` says what has become of the conversation so far, at voice nodes that are lost.
    """

    def __init__(
        self,
        call: str,
        order: do.OpenMedia,
        *,
        bus: Bus,
        clock: Clock,
        link: AudioLink,
        profile: Profile,
        think: Callable[[Toolbox], Brain] | None,
        run_tool: RunTool,
        node: str,
        recognizer: Recognizer,
        synthesizer: Synthesizer,
        detector: VoiceDetector,
    ) -> None:
        self.call = call
        self.turn = turns.Turn()
        self._order = order
        self._bus = bus
        self._clock = clock
        self._link = link
        self._profile = profile
        self._make_brain = think
        self._run_tool = run_tool
        self._node = node
        self._mind: Mind | None = None
        #: What of it was reported last.
        self._kept = ""
        self._minutes: Minutes
        self._recognizer = recognizer
        self._synthesizer = synthesizer
        self._detector = detector
        self._mailbox: Mailbox[Letter] = Mailbox()
        self._rung = False
        self._passed_on: set[tuple[str, int]] = set()
        self._entered = 0.0
        self._opened = False
        #: What the caller said and was not answered yet, and when (seconds of the loop's clock).
        self._heard: Heard | None = None
        self._voice_began = 0.0
        self._voice_ended = 0.0
        #: The first words of a reply, on their way to ``speaking``.
        self._first_words = ""
        self._finish: EndReason | None = None
        self._tasks: TaskGroup
        self._ear: Ear
        self._mouth: Mouth
        self._reporter: Reporter

    async def run(self, inbox: Inbox) -> None:
        """Follow the orders in ``inbox`` until told to stop and everything said was reported."""
        order = self._order
        async with open_reporter(self._bus, self.call, f"agent {self._node} {order.opening}") as self._reporter:
            self._minutes = Minutes(self._reporter, self._clock, lines=order.lines)
            async with anyio.create_task_group() as self._tasks:
                if self._make_brain is not None:
                    tools = CallToolbox(
                        self.call,
                        reporter=self._reporter,
                        run=self._run_tool,
                        keep_mind=self._keep_mind,
                        acting=self._answered,
                        uses=order.memory.uses,
                    )
                    self._mind = Mind(self._make_brain(tools), tell=self._mailbox.put_soon, tasks=self._tasks)
                self._ear = Ear(
                    self._link,
                    detector=self._detector,
                    recognizer=self._recognizer,
                    speaker=self.call,
                    tell=self._mailbox.put,
                    tasks=self._tasks,
                )
                self._mouth = Mouth(
                    self._link,
                    synthesizer=self._synthesizer,
                    voice=self._profile.voice,
                    tell=self._mailbox.put,
                    tasks=self._tasks,
                )
                self._tasks.start_soon(self._collect, inbox)
                self._tasks.start_soon(self._ear.listen)
                await self._converse()
                self._tasks.cancel_scope.cancel()
            self._reporter.report(ev.AgentStopped())
            with anyio.move_on_after(FAREWELL):
                await self._reporter.wait_confirmed()

    # ── letters ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _converse(self) -> None:
        stopped = False
        while not stopped:
            letter = await self._next()
            match letter:
                case Envelope():
                    stopped = self._obey(letter)
                case VoiceHeard(speaking=speaking, at=at):
                    self._hear_voice(speaking, at)
                case WordsHeard(number=number, heard=heard):
                    if number == self._ear.number:
                        self._hear_words(heard)
                case SpeechPlayed(number=number):
                    if number == self._mouth.number:
                        self._take(tv.PlaybackEnded())
                case Thought(number=number, action=action):
                    if self._mind is not None and number == self._mind.number:
                        self._think_on(action)
                case None:
                    self._take(tv.TurnTimedOut(state=self.turn.state, epoch=self.turn.epoch))

    async def _next(self) -> Letter | None:
        """The next letter; None when the time of the present turn state is over."""
        allowed = turns.TIMEOUTS.get(self.turn.state)
        if self.turn.state is TurnState.LISTENING:
            allowed = self._profile.patience
        if allowed is None:
            return await self._mailbox.get()
        with anyio.move_on_after(max(0.0, self._entered + allowed - anyio.current_time())):
            return await self._mailbox.get()
        return None

    async def _collect(self, inbox: Inbox) -> None:
        async for envelope in inbox:
            await self._mailbox.put_soon(envelope)

    def _obey(self, envelope: Envelope) -> bool:
        """Carry out an order; True when it was the last."""
        match envelope.body:
            case do.RingAgent():
                if not self._rung:
                    self._rung = True
                    self._reporter.report(ev.AgentAnswered())
            case do.StartAgent() | do.ResumeAgent():
                self._begin_or_go_on()
            case do.HoldAgent():
                self._mute()
            case do.StopAgent():
                self._mute()
                return True
            case CallerTyped() | CallerDialed() | InfoReceived() if self._is_repeated(envelope):
                log.debug("passed on twice", extra={"call": self.call})
            case CallerTyped(text=text) | CallerDialed(digit=text):
                self._heard = Heard(text=text)
                self._voice_began = self._voice_ended = anyio.current_time()
                self._take(tv.Typed())
            case InfoReceived(name=name, data=data):
                if self._mind is not None and isinstance(self._mind.brain, Informed):
                    self._mind.brain.inform(name, data)
                    self._keep_mind()
        return False

    def _is_repeated(self, envelope: Envelope) -> bool:
        """What is passed on past the session can come twice, and in another order."""
        known = (envelope.source, envelope.number)
        repeated = envelope.number > 0 and known in self._passed_on
        self._passed_on.add(known)
        return repeated

    def _begin_or_go_on(self) -> None:
        """Take the floor's table out of silence; orders are repeated, so this may be nothing new."""
        if self._mind is None or self.turn.state is not TurnState.SILENT:
            return
        if self._opened:
            self._ear.settle()
            self._take(tv.Unmuted())
        else:
            self._opened = True
            memory = self._order.memory
            self._take(tv.TakenUp() if memory.mind or memory.greeted else tv.Opened())

    def _mute(self) -> None:
        self._report_caller()
        # An utterance on its way to words would be reported a second time when it arrives.
        self._ear.shut()
        self._take(tv.Muted())

    def _hear_voice(self, speaking: bool, at: float) -> None:
        if speaking:
            self._voice_began = at
            self._take(tv.VoiceBegan())
        else:
            self._voice_ended = at
            self._take(tv.VoiceEnded())

    def _hear_words(self, heard: Heard | None) -> None:
        if self.turn.state is TurnState.SILENT:
            return
        if heard is None:
            log.warning("recognizer failed", extra={"call": self.call})
            heard = Heard(text="", trusted=False)
        elif not heard.text:
            self._ear.settle()
            self._take(tv.HeardNothing())
            return
        self._heard = heard
        self._take(tv.Understood())

    def _think_on(self, action: BrainAction | None) -> None:
        match action:
            case Say(text=text) if self.turn.state is TurnState.THINKING:
                self._first_words = text
                self._take(tv.ReplyBegan())
            case Say(text=text):
                self._mouth.say(text)
            case Tell(name=name, data=data):
                self._reporter.report(ev.InfoSent(name=name, data=data))
            case Finish(reason=reason):
                self._finish = reason
            case None if self.turn.state is TurnState.THINKING:
                self._answered()
                self._keep_mind()
                self._take(tv.ReplyWasEmpty())
                self._complete()
            case None:
                self._keep_mind(unheard=True)
                self._mouth.end()

    def _keep_mind(self, *, unheard: bool = False) -> None:
        """Report what another agent must know to go on, should this one be lost."""
        if self._mind is not None and (mind := self._mind.keep()) and (unheard or mind != self._kept):
            self._kept = mind
            self._reporter.report(ev.MindKept(mind=mind, unheard=unheard))

    # ── the turn ───────────────────────────────────────────────────────────────────────────────────────────────

    def _take(self, event: turns.AnyTurnEvent) -> None:
        log.debug("turn", extra={"call": self.call, "turn_event": type(event).__name__})
        before = self.turn
        try:
            self.turn, orders = turns.step(self.turn, event)
        except turns.NoTurnEdge as error:
            log.debug("turn event changes nothing", extra={"call": self.call, "why": str(error)})
            return
        if self.turn.epoch != before.epoch:
            self._entered = anyio.current_time()
        for order in orders:
            self._carry_out(order)
        self._minutes.pass_floor(agent_speaks=self.turn.state is TurnState.SPEAKING)

    def _carry_out(self, order: Do) -> None:
        orders: dict[Do, Callable[[], None]] = {
            Do.GREET: lambda: self._ask(lambda brain: brain.open()),
            Do.TAKE_UP: lambda: self._ask(lambda brain: take_up(brain, self._order.memory)),
            Do.OPEN_EAR: self._open_ear,
            Do.SHUT_EAR: lambda: self._ear.shut(),
            Do.RECOGNIZE: lambda: self._ear.finish(),
            Do.THINK: self._think,
            Do.PROMPT: lambda: self._ask(lambda brain: brain.wait()),
            Do.DROP_THOUGHT: self._drop_thought,
            Do.SPEAK: self._speak,
            Do.PAUSE_SPEECH: lambda: self._mouth.pause(),
            Do.RESUME_SPEECH: self._resume_speech,
            Do.CUT_SPEECH: self._cut_speech,
            Do.REPORT_LINE: self._report_line,
            Do.APOLOGIZE: self._apologize,
        }
        orders[order]()

    def _open_ear(self) -> None:
        assert self._mind is not None
        self._ear.open(self._mind.brain.hints())

    def _think(self) -> None:
        heard = self._heard
        assert heard is not None
        self._ask(lambda brain: brain.hear(heard))

    def _ask(self, question: Callable[[Brain], AsyncIterator[BrainAction]]) -> None:
        assert self._mind is not None
        self._finish = None
        self._mind.ask(question(self._mind.brain))

    def _drop_thought(self) -> None:
        """Stop the brain; what was understood is heard again with what follows (the ear keeps the audio)."""
        if self._mind is not None:
            self._mind.drop()

    def _speak(self) -> None:
        self._answered()
        self._mouth.begin()
        self._mouth.say(self._first_words)

    def _apologize(self) -> None:
        self._first_words = self._profile.apology
        self._take(tv.ReplyBegan())
        self._mouth.end()

    def _resume_speech(self) -> None:
        self._mouth.resume()
        # The line may have come to its end in the same moment as the voice that seemed to interrupt it.
        self._take(tv.PlaybackEnded() if self._mouth.played else tv.PlaybackResumed())

    def _cut_speech(self) -> None:
        self._drop_thought()
        self._finish = None
        self._keep_mind()
        self._minutes.agent_said(self._mouth.cut())

    def _report_line(self) -> None:
        self._minutes.agent_said(self._mouth.cut())
        self._complete()

    # ── reports ────────────────────────────────────────────────────────────────────────────────────────────────

    def _answered(self) -> None:
        """The agent answers: what the caller said is final."""
        self._report_caller()
        self._ear.settle()

    def _report_caller(self) -> None:
        heard, self._heard = self._heard, None
        if heard is not None and heard.text:
            self._minutes.caller_said(heard.text, self._voice_began, self._voice_ended)

    def _complete(self) -> None:
        """The line was played; if it was the last, say so once the caller has heard it."""
        if self._finish is not None:
            self._tasks.start_soon(self._complete_soon, self._finish)

    async def _complete_soon(self, reason: EndReason) -> None:
        await anyio.sleep(LAST_WORDS)
        self._reporter.report(ev.AgentCompleted(reason=reason))
