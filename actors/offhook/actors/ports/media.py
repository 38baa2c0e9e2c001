"""Media: connections to callers, and what happens on them."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from offhook.actors.link import AudioLink
from offhook.protocol.messages import AddCandidate
from offhook.protocol.quality import Quality


class PeerConnected(msgspec.Struct, frozen=True, tag=True):
    """ICE and DTLS are up; also after ``PeerLost`` when packets come again."""


class PeerLost(msgspec.Struct, frozen=True, tag=True):
    """No packet has come for too long."""


class PeerFailed(msgspec.Struct, frozen=True, tag=True):
    """The connection cannot be set up or cannot go on. Nothing follows."""

    reason: str
    message: str


class PeerClosed(msgspec.Struct, frozen=True, tag=True):
    """The browser closed the connection, or we did. Nothing follows."""


class PeerDigit(msgspec.Struct, frozen=True, tag=True):
    """The caller pressed a key."""

    digit: str


PeerEvent = PeerConnected | PeerLost | PeerFailed | PeerClosed | PeerDigit


class MediaPeer(Protocol):
    """One peer connection of one call, on one ``AudioLink``."""

    async def answer(self, offer: str) -> str:
        """Take the caller's SDP offer, return the answer. Raises ``Refusal`` with an ``sdp_*`` reason. Once only."""

    async def offer(self) -> str:
        """An SDP offer of ours, instead of an answer. Raises ``Refusal`` with a ``media_*`` reason. Once only."""

    async def take_answer(self, answer: str) -> None:
        """The caller's answer to our offer; a second one changes nothing. Raises ``Refusal`` (``sdp_*``)."""

    async def add_candidate(self, candidate: AddCandidate) -> None:
        """A trickled candidate; an implausible one is dropped silently and counted. Never raises."""

    async def next_event(self) -> PeerEvent:
        """The next thing that happened to the connection."""

    def quality(self) -> Quality | None:
        """How the audio has fared since the connection came up; None from a peer that does not know."""

    def hold(self) -> None:
        """Play hold audio instead of the link; what the caller says is not passed on."""

    def resume(self) -> None:
        """Undo ``hold``."""

    def dial(self, keys: str) -> bool:
        """Send keys of a telephone (``0-9*#ABCD``) as telephone-events, one after the other, instead of the sound.

        False when the other side takes none, or there is none yet. Raises ``ValueError`` for a key that does not exist.
        """


class Tap(Protocol):
    """Where the packets of a call are copied to. Both methods are called on the packet path: they never wait or raise.

    Times are RTP timestamps, 48 kHz, each side with its own beginning.
    """

    def heard(self, timestamp: int, payload: bytes) -> None:
        """An Opus packet of the caller, as it came; in the order of arrival."""

    def sent(self, timestamp: int, payload: bytes) -> None:
        """An Opus packet to the caller."""


class MediaEngine(Protocol):
    """Where peers come from."""

    def open_peer(
        self, link: AudioLink, *, echo: bool, tap: Tap | None = None
    ) -> AbstractAsyncContextManager[MediaPeer]:
        """A new peer connection; leaving the context closes it within a second and frees everything.

        With ``echo`` the caller hears itself and the link stays unused. ``tap`` gets what passes in both directions,
        but for a call on hold.
        """
