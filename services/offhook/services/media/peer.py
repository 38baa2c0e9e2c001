"""One caller's peer connection: the ``MediaPeer`` port."""

import asyncio
import secrets
from collections import Counter, deque
from functools import partial

import anyio
from aiortc.rtcdtlstransport import RTCCertificate

from offhook.actors.link import AudioLink
from offhook.actors.ports import PeerClosed, PeerConnected, PeerDigit, PeerEvent, PeerFailed, PeerLost, Tap
from offhook.protocol.errors import Reason, Refusal
from offhook.protocol.messages import AddCandidate
from offhook.protocol.quality import Quality
from offhook.protocol.rtcp import Report
from offhook.protocol.rtp import RtpPacket
from offhook.protocol.sdp import MAX_CANDIDATES, Offer, check_answer, check_candidate, check_offer
from offhook.services.media.answer import write_answer
from offhook.services.media.audio import CallAudio
from offhook.services.media.ice import Reach
from offhook.services.media.offer import write_offer
from offhook.services.media.room import Line
from offhook.services.media.silence import LOOK_EVERY, Sign, Silence
from offhook.services.media.ticker import FRAME, Ticker
from offhook.services.media.transport import Path, PathFailed

#: Time from the answer to encrypted audio, seconds.
SETUP_TIMEOUT = 10.0
#: Frames of the ticker between two looks whether the caller is still there.
LOOK_FRAMES = round(LOOK_EVERY / FRAME)
#: Trickled candidates taken in one second.
MAX_CANDIDATE_RATE = 10
#: Events that may wait to be read, and how many of them digits may fill.
MAX_EVENTS = 64
MAX_DIGITS = 32


class AiortcPeer:
    """One peer connection. The engine runs it: ``run`` in a task, then ``close``."""

    def __init__(
        self,
        link: AudioLink | Line,
        *,
        echo: bool,
        tap: Tap | None = None,
        ticker: Ticker,
        reach: Reach,
        certificate: RTCCertificate,
        allow_loopback: bool,
        allow_private: bool,
        dropped: Counter[str],
    ) -> None:
        self._link: AudioLink | Line | None = None if echo else link
        self._ticker = ticker
        self._tap = tap
        self._reach = reach
        self._certificate = certificate
        self._allow = {"allow_loopback": allow_loopback, "allow_private": allow_private}
        self._dropped = dropped
        self._path: Path | None = None
        self._audio: CallAudio | None = None
        #: What the caller's description says, its offer or its answer to ours.
        self._offer: Offer | None = None
        self._ssrc = secrets.randbits(32)
        # Kept here too, for a call that is on hold when its new connection is answered.
        self._held = False
        self._answered = anyio.Event()
        self._candidates = 0
        self._recent: deque[float] = deque(maxlen=MAX_CANDIDATE_RATE)
        self._events, self._events_out = anyio.create_memory_object_stream[PeerEvent](MAX_EVENTS)

    # ── the port ───────────────────────────────────────────────────────────────────────────────────────────────

    async def answer(self, offer: str) -> str:
        """Take the caller's SDP offer, return the answer. Raises ``Refusal``; after one, another offer may be made."""
        if self._path is not None:
            raise Refusal(Reason.USE_REATTACH, "This connection has its answer; attach a new one to the call.")
        checked = check_offer(offer, **self._allow)
        transport = await self._open_path(offering=False)
        self._begin(checked)
        return write_answer(checked, transport, self._ssrc)

    async def offer(self) -> str:
        """An SDP offer of ours. Raises ``Refusal``; after one, another may be asked for."""
        if self._path is not None:
            raise Refusal(Reason.USE_REATTACH, "This connection has its offer; attach a new one to the call.")
        return write_offer(await self._open_path(offering=True), self._ssrc)

    async def take_answer(self, answer: str) -> None:
        """The caller's answer to our offer. Raises ``Refusal``; after one, another answer may be taken."""
        if self._path is not None and self._offer is None:
            self._begin(check_answer(answer, **self._allow))

    async def add_candidate(self, candidate: AddCandidate) -> None:
        """A trickled candidate; an implausible one is dropped silently. Never raises."""
        if self._path is None or self._offer is None or not self._is_for_audio(candidate, self._offer):
            return
        checked = check_candidate(candidate.candidate, **self._allow)
        now = asyncio.get_running_loop().time()
        full = len(self._recent) == MAX_CANDIDATE_RATE and now - self._recent[0] < 1.0
        if checked is None or full or self._candidates >= MAX_CANDIDATES:
            return
        self._recent.append(now)
        self._candidates += 1
        await self._path.add_candidate(checked)

    async def next_event(self) -> PeerEvent:
        """The next thing that happened to the connection."""
        return await self._events_out.receive()

    def quality(self) -> Quality | None:
        """See ``MediaPeer``."""
        return None if self._audio is None else self._audio.quality

    def hold(self) -> None:
        """Play hold audio instead of the link; what the caller says is not passed on."""
        self._held = True
        if self._audio is not None:
            self._audio.hold()

    def resume(self) -> None:
        """Undo ``hold``."""
        self._held = False
        if self._audio is not None:
            self._audio.resume()

    async def _open_path(self, *, offering: bool) -> list[str]:
        """The lines of SDP that describe our end. Raises ``Refusal``."""
        self._path = path = Path(self._reach, self._certificate, self._rtp, self._rtcp, self._dropped)
        try:
            return await path.open(offering=offering)
        except PathFailed as exc:
            self._path = None
            raise Refusal(exc.reason, exc.message) from exc

    def _begin(self, caller: Offer) -> None:
        """The caller's end is known: ``run`` goes on."""
        assert self._path is not None
        self._offer = caller
        self._candidates = len(caller.candidates)
        self._audio = CallAudio(
            caller, self._ssrc, self._link, self._path.send, self._press, self._ticker, tap=self._tap
        )
        if self._held:
            self._audio.hold()
        self._answered.set()

    def dial(self, keys: str) -> bool:
        """Send keys, one after the other; False when there is nobody who takes them. Raises ``ValueError``."""
        return self._audio is not None and self._audio.dial(keys)

    def connect(self, link: AudioLink | Line) -> None:
        """From now on the other side of this connection is ``link``: an agent, or a line of a room (H2)."""
        self._link = link
        if self._audio is not None:
            self._audio.connect(link)

    # ── what the engine calls ──────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """The connection's life, from the answer to its end."""
        await self._answered.wait()
        assert self._path is not None and self._offer is not None and self._audio is not None
        try:
            with anyio.fail_after(SETUP_TIMEOUT):
                await self._path.connect(self._offer)
        except TimeoutError:
            message = "No audio connection came about in time; a firewall may be in the way."
            self._emit(PeerFailed(Reason.MEDIA_TIMEOUT.value, message))
            return
        except PathFailed as exc:
            self._emit(PeerFailed(exc.reason.value, exc.message))
            return
        self._emit(PeerConnected())
        silence = Silence(asyncio.get_running_loop().time())
        async with anyio.create_task_group() as group:
            group.start_soon(self._audio.run)
            group.start_soon(partial(self._ticker.run, partial(self._watch, self._path, silence), wait=LOOK_FRAMES))
            await self._path.wait_closed()
            group.cancel_scope.cancel()
        if silence.sign is Sign.LOST:
            self._emit(PeerFailed(Reason.MEDIA_FAILED.value, "The connection to the caller broke."))
        else:
            self._emit(PeerClosed())

    async def close(self) -> None:
        """Say goodbye and free everything."""
        if self._path is not None:
            await self._path.close()
        self._events.close()
        self._events_out.close()

    def _watch(self, path: Path, silence: Silence, frame: int) -> int:  # noqa: ARG002
        lost = silence.sign is Sign.LOST
        sign = silence.look(asyncio.get_running_loop().time(), path.heard)
        if sign is Sign.SUSPECT:
            path.ask()
        if (sign is Sign.LOST) != lost:
            self._emit(PeerConnected() if lost else PeerLost())
        return LOOK_FRAMES

    @staticmethod
    def _is_for_audio(candidate: AddCandidate, offer: Offer) -> bool:
        if candidate.sdp_mid:
            return candidate.sdp_mid == offer.mid
        return candidate.sdp_m_line_index in (None, offer.audio)

    def _rtp(self, packet: RtpPacket) -> bool:
        return self._audio is None or self._audio.rtp(packet)

    def _rtcp(self, report: Report) -> None:
        if self._audio is not None:
            self._audio.rtcp(report)

    def _press(self, digit: str) -> None:
        # A caller can send any number of digits; they must not crowd out what ends the call.
        if self._events.statistics().current_buffer_used < MAX_DIGITS:
            self._emit(PeerDigit(digit))

    def _emit(self, event: PeerEvent) -> None:
        self._events.send_nowait(event)
