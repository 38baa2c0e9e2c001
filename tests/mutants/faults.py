"""Faults to plant in the actors, one at a time: each a mistake that somebody could make."""

from pathlib import Path

import msgspec


class Fault(msgspec.Struct, frozen=True):
    """Replace ``old`` by ``new`` in ``file``; ``old`` stands there exactly once."""

    name: str
    #: Below ``actors/offhook/actors``.
    file: str
    #: What goes wrong then, in one sentence.
    story: str
    old: str
    new: str

    def plant(self, root: Path) -> None:
        """Put the fault into the tree at ``root``. Raises ``ValueError`` when its place is not there (any more)."""
        path = root / "actors/offhook/actors" / self.file
        text = path.read_text("utf-8")
        if text.count(self.old) != 1:
            raise ValueError(f"{self.name}: its place occurs {text.count(self.old)} times in {self.file}")
        path.write_text(text.replace(self.old, self.new), "utf-8")


FAULTS = (
    # ── session ────────────────────────────────────────────────────────────────────────────────────────────────
    Fault(
        "session-posts-effects-before-the-append",
        "session.py",
        "Orders go out for an event that may never stand in the log.",
        "            if not await self._append(entry):\n",
        """            for effect in effects:
                await self._post(effect)
            effects = []
            if not await self._append(entry):
""",
    ),
    Fault(
        "session-forgets-taken-reports",
        "session.py",
        "A rebuilt session takes a report again that its predecessor took.",
        "            if entry.number:\n",
        "            if False:\n",
    ),
    Fault(
        "session-takes-reports-twice",
        "session.py",
        "A report that comes twice is taken twice.",
        "if report.number and report.number <= known:",
        "if False:",
    ),
    Fault(
        "session-confirms-before-the-append",
        "session.py",
        "A reporter believes that its report was taken while the log does not have it yet.",
        "            if not await self._append(entry):\n",
        """            await self._confirm(report, accepted=True)
            if not await self._append(entry):
""",
    ),
    Fault(
        "session-writes-on-in-somebody-elses-log",
        "session.py",
        "A session that lost its call appends behind what the new owner wrote.",
        "                    return False\n",
        """                    self._revision = stored[-1].revision if stored else 0
                    continue
""",
    ),
    Fault(
        "session-never-repeats-its-orders",
        "session.py",
        "An order that got lost, on the bus or with an owner, is lost for good.",
        "for effect in standing(self.call):",
        "for effect in ():",
    ),
    Fault(
        "session-orders-in-the-name-of-the-first-owner",
        "session.py",
        "After an adoption the other actors refuse every order as stale.",
        "owner=self.owner, seq=self._seq, body=effect",
        "owner=1, seq=self._seq, body=effect",
    ),
    Fault(
        "session-lets-timeouts-pass",
        "session.py",
        "A state that waits for something that never comes is never left.",
        "until - self._clock.now()",
        "until + 100_000.0 - self._clock.now()",
    ),
    # ── registry and leases ────────────────────────────────────────────────────────────────────────────────────
    Fault(
        "registry-adopts-without-compare-and-set",
        "registry.py",
        "Two nodes adopt one orphan, each sure that it owns the call.",
        "revision = await self._bus.update(stored.subject, self._value(workspace), revision=stored.revision)",
        """latest = await self._bus.get(stored.subject) or stored
            revision = await self._bus.update(stored.subject, self._value(workspace), revision=latest.revision)""",
    ),
    Fault(
        "registry-takes-calls-from-living-owners",
        "registry.py",
        "Every node adopts the calls of every other.",
        "else owner.node not in gateways",
        "else True",
    ),
    Fault(
        "registry-never-adopts",
        "registry.py",
        "The calls of a dead node stay without an owner.",
        "if orphan and self._kept_off.get(call, 0.0) <= anyio.current_time():",
        "if False:",
    ),
    Fault(
        "registry-keeps-the-keys-of-ended-calls",
        "registry.py",
        "Ended calls are counted as living for ever.",
        """            try:
                await self._bus.delete(f"{OWNERS}{call}", revision=revision)
            except BusAway:
                await anyio.sleep(0.5)
""",
        """            try:
                await anyio.lowlevel.checkpoint()
            except BusAway:
                await anyio.sleep(0.5)
""",
    ),
    Fault(
        "registry-does-not-look-after-voice-nodes",
        "registry.py",
        "A call whose voice node died waits in silence for its longest duration.",
        "if node is not None and node not in voices",
        "if False and node is not None",
    ),
    Fault(
        "watch-never-buries-dead-nodes",
        "lease.py",
        "A node that was killed counts as living for ever.",
        "if looks >= self._looks and await self._bury(node, stored):",
        "if False:",
    ),
    Fault(
        "watch-takes-a-node-for-dead-that-renews-its-lease",
        "lease.py",
        "A node that shows that it lives while it is judged counts as dead.",
        "return await self._bus.get(stored.subject) is None",
        "return True",
    ),
    Fault(
        "watch-judges-by-what-it-did-not-see",
        "lease.py",
        "A watcher that stood still takes those for dead that stood still with it.",
        "if now - self._looked > PAUSE:",
        "if False:",
    ),
    Fault(
        "lease-waits-a-second-after-a-lost-answer",
        "lease.py",
        "A node whose renewal was not answered is late for good.",
        "due = anyio.current_time() + RETRY",
        "due = anyio.current_time() + RENEW",
    ),
    Fault(
        "watch-is-impatient-with-voice-nodes",
        "lease.py",
        "A voice node that stood still for a moment loses its calls.",
        "VOICE_LOOKS = 6",
        "VOICE_LOOKS = LOOKS",
    ),
    # ── reporter ───────────────────────────────────────────────────────────────────────────────────────────────
    Fault(
        "reporter-does-not-resend",
        "reporter.py",
        "A report that the bus lost holds up all that come after it.",
        "RESEND = 1.0",
        "RESEND = 100_000.0",
    ),
    Fault(
        "reporter-sends-without-waiting",
        "reporter.py",
        "Reports are sent once and believed to be taken.",
        """            while self._confirmed.number < number:
                try:""",
        """            self._confirmed = Taken(self._source, number)
            for _ in range(1):
                try:""",
    ),
    Fault(
        "reporter-takes-anybodys-confirmation",
        "reporter.py",
        "A report counts as taken because one of another actor was.",
        "body.source == self._source and ",
        "",
    ),
    # ── transcript ─────────────────────────────────────────────────────────────────────────────────────────────
    Fault(
        "transcript-skips-catch-up",
        "transcript.py",
        "Entries that come out of order are dropped.",
        "if await self._catch_up(subject, entry):",
        "if True:",
    ),
    Fault(
        "transcript-acks-before-the-write",
        "transcript.py",
        "An entry whose writer dies is in no record.",
        """                        await self._take(batch.messages)
                        await batch.ack()
""",
        """                        await batch.ack()
                        await self._take(batch.messages)
""",
    ),
    Fault(
        "transcript-gives-up-when-the-records-are-away",
        "transcript.py",
        "What is said while the database is away is in no record.",
        "            except RecordsAway:\n                pass\n",
        "            except RecordsAway:\n                return\n",
    ),
    # ── agent, mouth, ear, toolbox ─────────────────────────────────────────────────────────────────────────────
    Fault(
        "agent-speaks-on-hold",
        "agent.py",
        "The agent goes on talking to a caller on hold.",
        "            case do.HoldAgent():\n                self._mute()\n",
        "            case do.HoldAgent():\n                pass\n",
    ),
    Fault(
        "agent-leaves-without-its-last-line",
        "agent.py",
        "What the agent said before the caller hung up is not in the transcript.",
        "                self._mute()\n                return True\n",
        "                return True\n",
    ),
    Fault(
        "agent-repeats-the-caller",
        "agent.py",
        "What the caller said is in the transcript once for each answer.",
        "heard, self._heard = self._heard, None",
        "heard = self._heard",
    ),
    Fault(
        "agent-follows-dropped-thoughts",
        "agent.py",
        "The agent says what it thought before it was interrupted.",
        "number == self._mind.number:",
        "number:",
    ),
    Fault(
        "mouth-reports-what-was-generated",
        "mouth.py",
        "The transcript holds words that the caller never heard.",
        "if mark.sample >= played:",
        "if False:",
    ),
    Fault(
        "mouth-plays-on-after-the-cut",
        "mouth.py",
        "The agent talks into the caller's words.",
        "        self._link.clear()\n",
        "        self._link.resume()\n",
    ),
    Fault(
        "ear-forgets-the-first-half",
        "ear.py",
        "A caller who pauses in a sentence is understood from the pause on.",
        "        self._stop()\n        self.number += 1\n",
        "        self._stop()\n        self.settle()\n        self.number += 1\n",
    ),
    Fault(
        "toolbox-runs-before-the-log",
        "toolbox.py",
        "A tool runs although the call has no use for it any more, and nobody knows.",
        "if not await self._reporter.ask(ev.ToolCalled(id=use, name=name, arguments=text)):",
        "if self._reporter.report(ev.ToolCalled(id=use, name=name, arguments=text)):",
    ),
    Fault(
        "toolbox-drops-a-tool-that-runs",
        "toolbox.py",
        "A caller who speaks while a tool runs stops it half way.",
        "shield=True",
        "shield=False",
    ),
    # ── voice node, media, inbox ───────────────────────────────────────────────────────────────────────────────
    Fault(
        "voice-hides-a-broken-agent",
        "voice.py",
        "An agent that crashed leaves its caller in silence.",
        'The agent had to stop because of a fault on our side. Please call again."\n            reporter.report',
        '"\n            log.debug',
    ),
    Fault(
        "voice-hosts-a-call-twice",
        "voice.py",
        "An order that comes twice opens media and agent twice.",
        "                if known is not None and known.opening >= opening:\n",
        "                if False:\n",
    ),
    Fault(
        "voice-keeps-calls-that-others-have",
        "voice.py",
        "A node that was taken for dead goes on with its calls, which nobody hears any more.",
        "            hosted.lost = True\n            hosted.scope.cancel()\n",
        "            pass\n",
    ),
    Fault(
        "voice-does-not-say-that-it-lost-its-calls",
        "voice.py",
        "A call is silent whose owner did not see that its voice node was buried.",
        "                if hosted.lost:\n",
        "                if False:\n",
    ),
    Fault(
        "voice-does-not-let-go-of-an-earlier-opening",
        "voice.py",
        "A node that an owner gave up cannot take the call again, though it is the only one.",
        "if known is not None and known.opening >= opening:",
        "if known is not None:",
    ),
    Fault(
        "session-listens-to-earlier-openings",
        "session.py",
        "A frozen voice node wakes up and speaks into a call that goes on elsewhere.",
        "known = opening == str(self.call.opening) and self.call.node in {None, node}",
        "known = self.call.node in {None, node}",
    ),
    Fault(
        "agent-greets-when-it-takes-up",
        "agent.py",
        "A caller whose voice node died is greeted again, and has said nothing so far.",
        "tv.TakenUp() if memory.mind or memory.greeted else tv.Opened()",
        "tv.Opened()",
    ),
    Fault(
        "agent-numbers-its-lines-anew",
        "agent.py",
        "What is said after a voice node died is not written down.",
        "lines=order.lines)",
        "lines=0)",
    ),
    Fault(
        "agent-numbers-its-uses-anew",
        "agent.py",
        "Whoever runs tools takes the first use after a voice node died for one that it had already.",
        "uses=order.memory.uses,",
        "uses=0,",
    ),
    Fault(
        "agent-keeps-its-mind-too-late",
        "toolbox.py",
        "A tool is used twice, because nobody knows that the conversation had come to it.",
        "        self._keep_mind()\n        if not await",
        "        if not await",
    ),
    Fault(
        "agent-does-not-keep-what-was-cut",
        "agent.py",
        "An agent says again what was cut off when the voice node before had died.",
        "        self._keep_mind()\n        self._minutes.agent_said(self._mouth.cut())\n",
        "        self._minutes.agent_said(self._mouth.cut())\n",
    ),
    Fault(
        "media-closes-without-a-word",
        "media.py",
        "A call ends only when the time to close it is over.",
        "            self._reporter.report(ev.MediaClosed())\n",
        "",
    ),
    Fault(
        "media-lets-the-call-wait-without-music",
        "media.py",
        "A caller on hold hears nothing.",
        "self._hold(holding=True)",
        "self._hold(holding=False)",
    ),
    Fault(
        "media-closes-the-old-connection-first",
        "media.py",
        "A caller who comes back hears nothing until the new connection is up, and nothing at all if it fails.",
        "for connection in self._connections[1:]:",
        "for connection in self._connections:",
    ),
    Fault(
        "media-ignores-epochs",
        "inbox.py",
        "An owner that was frozen and replaced still gives orders.",
        "if envelope.owner < self._owner:",
        "if False:",
    ),
    Fault(
        "inbox-dies-of-a-bad-message",
        "inbox.py",
        "One message that cannot be read ends the actor.",
        "            except BadMessage as error:\n",
        "            except ZeroDivisionError as error:\n",
    ),
    Fault(
        "registry-forgets-whose-call-it-adopts",
        "registry.py",
        "A call that another gateway took over takes no line of its workspace any more.",
        "self._value(workspace), revision=stored.revision",
        'self._value(""), revision=stored.revision',
    ),
    Fault(
        "registry-lets-everybody-in",
        "registry.py",
        "A workspace has more calls at a time than it may have.",
        "return len(before) >= limit",
        "return False",
    ),
    Fault(
        "joining-lets-a-token-join-twice",
        "doorkeeper.py",
        "A session's token joins it as often as somebody likes.",
        "if await self._claims.claim(spent, session, ttl=self._left(grant)) is not None:",
        "if False:",
    ),
    Fault(
        "joining-takes-a-broken-socket-for-a-hang-up",
        "joining.py",
        "A page whose socket breaks loses its call, though its audio is fine.",
        "ev.CallerHungUp() if code in LEFT else ev.CallerDropped()",
        "ev.CallerHungUp()",
    ),
    Fault(
        "joining-does-not-say-that-the-page-left",
        "joining.py",
        "A visitor who closes the page stays in the call until its audio is missed.",
        "await self._part(code)",
        "pass",
    ),
)
