"""What must hold in every run, whatever goes wrong, and the watcher that checks it after every step.

A step is an operation on the bus or a frame of the agent's voice; who owns what is looked at twice a second. Names:

``one_end``
    A log is a walk along the table, numbered without gaps, and nothing stands behind the entry that ended the call.
``one_owner``
    An owner's epoch is the revision of the key it wrote; only that node appends and orders under it, and a log's epochs
    never fall.
``owned``
    A living call whose owner is gone has another within ``ADOPTION`` seconds in which the bus is whole and some gateway
    is well all the time: one that has just started cannot know yet who is dead.
``answered``
    The agent is heard only after the call was answered, and only while the log says ``answered``: at once when nothing
    is wrong, else ``REPAIR`` seconds after things are right again at the latest. ``held`` is the same about hold.
``carried``
    A call that has lost its voice node, and whose caller has offered new media, has another one within ``CARRIED``
    seconds in which nothing is wrong and some voice node is well. It goes on with the conversation: no word of the
    agent stands twice in its transcript.
``transcript``
    The agent's lines hold words that the caller's handset played, each once and in order; all of them, when nothing of
    the caller's or the voice node's was lost. The caller's lines hold words that the caller said, each once, in order.
``record``
    When the world has come to rest, each call's record is what its log folds to.
``tool``
    A tool runs once for its call, and only when the call stands in the call's log.
``nothing_left``
    When all calls are over no node has a call, a connection, a session or a lease of a call.
``never_hangs``
    With all troubles over and every caller gone, each call ends within ``REST`` seconds.
"""

from collections.abc import Callable

import anyio
import msgspec

from offhook.actors.capacity import OWNERS, Owner
from offhook.actors.ports import Stored
from offhook.protocol import subjects
from offhook.protocol.call import Call, CallState, LogEntry, NoEdge, step
from offhook.protocol.call import events as ev
from offhook.protocol.errors import OffhookError
from offhook.protocol.messages import decode_entry
from offhook.protocol.record import fold_record
from offhook.simulation.callers import RandomCaller
from offhook.simulation.faults import FaultyBus
from offhook.simulation.rehearsal import Rehearsal
from offhook.simulation.timeline import BUS, Timeline
from offhook.simulation.world import Node, World

#: Virtual seconds, see above.
ADOPTION = 5.0
AT_ONCE = 0.25
REPAIR = 6.0
CARRIED = 10.0
REST = 120.0
LOOK = 0.5


class Violation(OffhookError):
    """An invariant does not hold."""

    def __init__(self, invariant: str, call: str, why: str) -> None:
        super().__init__(f"{invariant}: {why}")
        self.invariant = invariant
        self.call = call
        self.why = why


class _Sender(msgspec.Struct):
    """What of an envelope says who speaks; the rest is not looked at."""

    call: str
    owner: int = 0


_sender = msgspec.msgpack.Decoder(_Sender)


class _Watched(msgspec.Struct):
    """What the watcher knows of one call."""

    call: Call
    log: list[LogEntry] = []
    epoch: int = 0
    #: When the call was first seen without an owner; None while it has one.
    ownerless: float | None = None
    #: When ``answered`` was left last.
    left: float = 0.0
    #: Since when it has been without a voice node though there is an offer; None while that is not so.
    silent: float | None = None


class Watcher:
    """Sees everything, and keeps the first violation."""

    def __init__(self, timeline: Timeline, agents: Rehearsal) -> None:
        self.timeline = timeline
        self.violation: Violation | None = None
        #: True once the world is being taken down.
        self.closed = False
        self.calls: dict[str, _Watched] = {}
        self.world: World
        self._agents = agents
        self._tools = 0
        #: Epoch of each owner key -> node that it was written for.
        self._owners: dict[tuple[str, int], str] = {}
        #: Calls that have an owner key.
        self._kept: set[str] = set()
        #: Gateways that are well, and since when the world was so that they could adopt.
        self._well: dict[str, float] = {}
        self._since_calm = 0.0
        #: Called at the first violation.
        self.on_violation: Callable[[], None] = lambda: None

    def fail(self, invariant: str, call: str, why: str) -> None:
        """Keep a violation, unless there was one before."""
        if self.violation is None and not self.closed:
            self.violation = Violation(invariant, call, why)
            self.timeline.note(anyio.current_time(), "violation", "", (), f"VIOLATION of {invariant}: {why}", call)
            self.on_violation()

    # ── what is seen of the bus ────────────────────────────────────────────────────────────────────────────────

    def published(self, node: str, subject: str, data: bytes, receivers: list[str]) -> None:
        """See ``Observer``."""
        self.timeline.message(anyio.current_time(), node, subject, data, receivers)
        if subject == subjects.DEAD_LETTERS or (subject == subjects.OPEN_CALL and node.startswith("voice")):
            # A crowded voice node passes on what an owner has ordered.
            return
        try:
            sender = _sender.decode(data)
        except (msgspec.DecodeError, RecursionError, ValueError):
            return
        if sender.owner:
            self._check_owner(sender.call, sender.owner, node, "ordered")

    def strayed(self, node: str, subject: str, data: bytes, what: str) -> None:
        """See ``Observer``."""
        self.timeline.message(anyio.current_time(), node, subject, data, [], what)

    def failed(self, node: str, operation: str, what: str, why: str) -> None:
        """See ``Observer``."""
        call = what.removeprefix(OWNERS) if what.startswith(OWNERS) else ""
        if what.startswith("offhook.log."):
            call, what = subjects.call_of_log(what), "log"
        self.timeline.note(anyio.current_time(), "fault", node, (BUS,), f"{operation} {what}: {why}", call)

    def wrote(self, node: str, key: str, value: bytes | None, revision: int) -> None:
        """See ``Observer``."""
        if not key.startswith(OWNERS):
            if value is None and key.startswith("node."):
                self.timeline.note(anyio.current_time(), "key", node, (BUS,), f"{key} deleted")
            return
        call = key.removeprefix(OWNERS)
        if value is None:
            self._kept.discard(call)
            self.timeline.note(anyio.current_time(), "key", node, (BUS,), "owner key deleted", call)
            return
        owner = msgspec.msgpack.decode(value, type=Owner).node
        self._kept.add(call)
        self._owners[call, revision] = owner
        self.timeline.note(anyio.current_time(), "key", node, (BUS,), f"owner is {owner}, epoch {revision}", call)

    def appended(self, node: str, stored: Stored) -> None:
        """See ``Observer``."""
        now = anyio.current_time()
        self.timeline.log(now, node, stored.subject, stored.data)
        call = subjects.call_of_log(stored.subject)
        entry = decode_entry(stored.subject, stored.data)
        watched = self.calls.get(call)
        if watched is None:
            watched = self.calls[call] = _Watched(Call(id=call))
        before = watched.call
        if entry.seq != len(watched.log) + 1:
            self.fail("one_end", call, f"entry {entry.seq} stands at position {len(watched.log) + 1}")
        watched.log.append(entry)
        try:
            watched.call, _ = step(before, entry.event, entry.at)
        except NoEdge as error:
            self.fail("one_end", call, f"entry {entry.seq} has no row: {error}")
        if before.state is CallState.ANSWERED and watched.call.state is not CallState.ANSWERED:
            watched.left = now
        if entry.owner < watched.epoch:
            self.fail("one_owner", call, f"epoch {entry.owner} wrote after epoch {watched.epoch}")
        watched.epoch = entry.owner
        self._check_owner(call, entry.owner, node, "appended")

    def _check_owner(self, call: str, epoch: int, node: str, did: str) -> None:
        owner = self._owners.get((call, epoch))
        if owner != node:
            self.fail("one_owner", call, f"{node} {did} as owner {epoch}, who is {owner or 'nobody'}")

    # ── what is heard ──────────────────────────────────────────────────────────────────────────────────────────

    def heard(self, call: str) -> None:
        """The caller of ``call`` hears the agent's voice now."""
        watched = self.calls.get(call)
        if watched is None or watched.call.answered_at is None:
            self.fail("answered", call, "the agent is heard before the call was answered")
            return
        state = watched.call.state
        if state is CallState.ANSWERED:
            return
        now = anyio.current_time()
        self._note_calm(now)
        # An owner may have been killed since the last look, between the log and its orders.
        owned = watched.ownerless is None and call in self._owned()
        calm = now - self._since_calm >= REPAIR
        silent_by = watched.left + AT_ONCE if calm else max(watched.left, self._since_calm) + REPAIR
        if now > silent_by and owned:
            name = "held" if state is CallState.HELD else "answered"
            self.fail(name, call, f"the agent is heard {now - watched.left:.2f} s after 'answered' was left")

    # ── what is looked at again and again ──────────────────────────────────────────────────────────────────────

    async def look(self) -> None:
        """Look at the world twice a second; never returns."""
        while True:
            await anyio.sleep(LOOK)
            self._look()

    def _look(self) -> None:
        now = anyio.current_time()
        bus = self.world.bus
        assert isinstance(bus, FaultyBus)
        gateways = [node for node in self.world.nodes.values() if node.kind == "gateway" and node.well]
        known = {} if bus.troubles.operations else self._well
        self._well = {node.name: known.get(node.name, now) for node in gateways}
        whole = min(self._well.values(), default=now)
        self._note_calm(now)
        owned = self._owned()
        for call, watched in self.calls.items():
            living = watched.call.state is not CallState.ENDED
            if not living or call in owned:
                watched.ownerless = None
                continue
            watched.ownerless = now if watched.ownerless is None else watched.ownerless
            since = max(watched.ownerless - LOOK, whole)
            if now - since > ADOPTION + LOOK:
                self.fail("owned", call, f"no gateway has owned the call for {now - since:.1f} s")
        self._check_carried(now)
        self._check_tools()

    def _check_carried(self, now: float) -> None:
        voices = any(node.kind == "voice" and node.well for node in self.world.nodes.values())
        calm = voices and self._since_calm < now
        for call, watched in self.calls.items():
            known = watched.call
            waits = known.state is CallState.RECONNECTING and known.node is None and known.reoffer is not None
            if not (waits and calm) or watched.ownerless is not None:
                watched.silent = None
                continue
            watched.silent = now if watched.silent is None else watched.silent
            if now - watched.silent > CARRIED:
                self.fail("carried", call, f"no voice node has taken the call for {now - watched.silent:.1f} s")

    def _owned(self) -> set[str]:
        """The calls whose owner is well."""
        well = [node.registry for node in self.world.nodes.values() if node.registry is not None and node.well]
        return {call for registry in well for call in registry.calls}

    def _note_calm(self, now: float) -> None:
        bus = self.world.bus
        assert isinstance(bus, FaultyBus)
        unwell = [node for node in self.world.nodes.values() if not (node.well or node.killed)]
        if bus.troubles.operations or bus.troubles.messages or unwell:
            self._since_calm = now

    def _check_tools(self) -> None:
        used = self._agents.used
        for use in used[self._tools :]:
            call = use.partition(":")[0]
            log = self.calls[call].log if call in self.calls else []
            if used.count(use) > 1:
                self.fail("tool", call, f"tool use {use} ran twice")
            if not any(isinstance(entry.event, ev.ToolCalled) and entry.event.id == use for entry in log):
                self.fail("tool", call, f"tool use {use} ran without standing in the log")
        self._tools = len(used)

    # ── when all is over ───────────────────────────────────────────────────────────────────────────────────────

    def all_ended(self) -> bool:
        """Whether every call that was ever begun has ended, and nobody owns one."""
        return not self._kept and all(watched.call.state is CallState.ENDED for watched in self.calls.values())

    def check_ended(self) -> None:
        """All callers have left long ago."""
        for call in sorted(self._kept):
            if call not in self.calls or self.calls[call].call.state is not CallState.ENDED:
                state = self.calls[call].call.state if call in self.calls else "without a log"
                self.fail("never_hangs", call, f"{REST:g} s after the caller left and all was well the call is {state}")
        for call, watched in self.calls.items():
            if watched.call.state is not CallState.ENDED:
                self.fail("never_hangs", call, f"{REST:g} s after the caller left the call is {watched.call.state}")
        for call in sorted(self._kept):
            self.fail("nothing_left", call, "the call has ended and still has an owner")

    def check_rest(self) -> None:
        """The world has come to rest."""
        self._check_tools()
        for node in self.world.nodes.values():
            if not node.killed:
                self._check_node(node)
        for call, watched in self.calls.items():
            try:
                kept = self.world.records.call(call)
            except KeyError:
                self.fail("record", call, "there is no record")
                continue
            if kept != fold_record(call, watched.log):
                self.fail("record", call, "the record tells another story than the log")

    def _check_node(self, node: Node) -> None:
        if node.registry is not None and node.registry.calls:
            self.fail("nothing_left", node.registry.calls[0], f"{node.name} still has the session of an ended call")
        if node.voice is not None and node.voice.calls:
            self.fail("nothing_left", min(node.voice.calls), f"{node.name} still runs an ended call")

    def check_transcript(self, caller: RandomCaller) -> None:
        """What the caller said and heard is what stands in the log."""
        watched = self.calls.get(caller.id)
        if watched is None:
            return
        said = [entry.event for entry in watched.log if isinstance(entry.event, ev.Said)]
        agent = [word for line in said if line.role == "agent" for word in line.text.split()]
        heard = [word for handset in caller.handsets for word in handset.words]
        if len(set(agent)) != len(agent):
            self.fail("transcript", caller.id, f"the agent's words stand twice: {' '.join(agent)}")
        whole = self._voice_was_whole(watched) and not caller.patchy
        if whole and agent != heard and not any(word[0] == "c" for word in heard):
            self.fail("transcript", caller.id, f"heard {' '.join(heard)!r}, written {' '.join(agent)!r}")
        if not caller.patchy and not _is_subsequence(agent, heard):
            self.fail("transcript", caller.id, f"written {' '.join(agent)!r}, but heard {' '.join(heard)!r}")
        words = [word for line in said if line.role == "caller" for word in line.text.split() if word[0] == "c"]
        if len(set(words)) != len(words):
            self.fail("transcript", caller.id, f"the caller's words stand twice: {' '.join(words)}")
        spoken = [word for word in words if word not in caller.typed]
        if not _is_subsequence(spoken, caller.spoken):
            self.fail("transcript", caller.id, f"spoken {' '.join(caller.spoken)!r}, written {' '.join(spoken)!r}")

    def _voice_was_whole(self, watched: _Watched) -> bool:
        """Whether the agent could report all it played: it said itself that it had stopped."""
        return any(isinstance(entry.event, ev.AgentStopped) for entry in watched.log) and not any(
            isinstance(entry.event, ev.AgentFailed | ev.MediaFailed | ev.VoiceLost) for entry in watched.log
        )


def _is_subsequence(words: list[str], of: list[str]) -> bool:
    rest = iter(of)
    return all(word in rest for word in words)
