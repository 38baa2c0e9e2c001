"""``/v1/calls/{call_id}/recording`` and links to it: what was said, to be heard (R2, R5)."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any, Protocol

import anyio
import msgspec
from litestar import get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Stream

from offhook.protocol.byte_range import NoSuchRange, read_range
from offhook.protocol.call import CallState
from offhook.protocol.errors import Reason, Refusal
from offhook.protocol.record import CallNotFound, CallRecord, Erased
from offhook.services.api.access import Threads, refuse_excess
from offhook.services.api.call_export import Now
from offhook.services.api.call_tokens import host_of
from offhook.services.api.edge import client_of, only_head, scheme_of
from offhook.services.api.problems import Problem
from offhook.services.api.route import AnyRequest, Ask, Nothing, Route
from offhook.services.api.throttle import Throttle

MEDIA_TYPE = "audio/ogg"
#: Seconds for which a link counts, unless somebody asks for another time, and for at most.
LINK_TTL = 300
LONGEST_LINK = 7 * 86_400
#: Seconds in which a recording may come from another machine by way of the bucket.
ARRIVES = 60.0


class Sound(Protocol):
    """A recording that can be read."""

    #: Bytes, and an entity tag for these bytes (RFC 9110 8.8.3).
    size: int
    etag: str

    def read(self, part: range) -> AsyncIterator[bytes]:
        """The bytes of a part, one chunk after the other. Raises ``OSError``."""


class Sounds(Protocol):
    """Where recordings lie."""

    async def find(self, name: str) -> Sound | None:
        """The recording of this name; None where there is none. Raises ``OSError``."""


class RecordingTokens(Protocol):
    """What signs links."""

    def mint(self, call: str, *, ttl: float) -> tuple[str, float]:
        """A token for the recording of a call, and when it runs out (seconds since the epoch)."""

    def verify(self, token: str) -> str:
        """The call of a token that counts now. Raises ``Refusal``."""


class Archive(Protocol):
    """Where calls are read. Synchronous; used from several worker threads. Both raise ``RecordsAway``."""

    def call(self, start: str, *, exact: bool = False) -> CallRecord:
        """One call. Raises ``CallNotFound``."""

    def erasure(self, call: str, *, workspace: str | None = None) -> Erased | None:
        """The report of an erasure."""


class RecordingLinkRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For how long a link is wanted."""

    #: Seconds for which the link counts.
    expires_in: Annotated[int, msgspec.Meta(ge=1, le=LONGEST_LINK)] = LINK_TTL


class RecordingLink(msgspec.Struct, frozen=True):
    """A link that plays one recording in whatever opens it, without a key."""

    url: str
    #: Until when, seconds since the epoch.
    expires_at: float


class Recordings:
    """The recordings of calls."""

    def __init__(
        self,
        archive: Archive,
        sounds: Sounds,
        tokens: RecordingTokens,
        now: Now,
        in_thread: Threads,
        *,
        per_minute: int,
    ) -> None:
        """``per_minute`` is how often one address may open links."""
        self._archive = archive
        self._sounds = sounds
        self._tokens = tokens
        self._now = now
        self._in_thread = in_thread
        self._by_address = Throttle(per_minute)

    def routes(self) -> list[Route]:
        """The routes of this resource."""
        return [
            Route(
                method="GET", path="/v1/calls/{call_id}/recording", handle=self.play, summary="Get a recording",
                scope="calls:read", streams=(MEDIA_TYPE,), in_parts=True,
            ),
            Route(
                method="POST", path="/v1/calls/{call_id}/recording-links", handle=self.link,
                summary="Make a link to a recording", scope="calls:read", body=RecordingLinkRequest,
                gives=RecordingLink, status=201,
            ),
        ]  # fmt: skip

    def handlers(self) -> list[HTTPRouteHandler]:
        """The handler of links."""
        return [get("/v1/recordings/{token:str}")(self.follow)]

    async def play(self, ask: Ask[Nothing, Nothing]) -> Stream:
        """The sound of one call, Ogg with Opus: the caller on the left, the agent on the right.

        `Range` asks for a part of it. A call that goes on is `recording_not_ready` (409); one that was not recorded, or
        whose recording is deleted, is `recording_not_found` (404).
        """
        name, sound = await self._find(await self._read(ask))
        return answer_sound(ask.request, name, sound)

    async def link(self, ask: Ask[Nothing, RecordingLinkRequest]) -> RecordingLink:
        """A link that an `<audio>` element can play without a key, for five minutes unless you say otherwise.

        Its signature stands for this call and this time. After it the link is `link_expired` (403), changed in any way
        `link_invalid` (403); once the call is erased, `call_erased` (410).
        """
        record = await self._read(ask)
        await self._find(record)
        token, expires_at = self._tokens.mint(record.id, ttl=ask.body.expires_in)
        base = f"{scheme_of(ask.request.scope)}://{host_of(ask.request)}"
        return RecordingLink(f"{base}/v1/recordings/{token}", expires_at)

    async def follow(self, request: AnyRequest, token: FromPath[str]) -> Stream:
        """What a link leads to."""
        refuse_excess(self._by_address.take(client_of(request.scope), anyio.current_time()))
        try:
            call = self._tokens.verify(token)
        except Refusal as refusal:
            if refusal.reason is Reason.TOKEN_EXPIRED:
                raise Problem(403, "link_expired", "This link has run out; ask for a new one.") from None
            raise Problem(403, "link_invalid", "This link is not whole, or was not made here.") from None
        try:
            record = await self._in_thread(partial(self._archive.call, call, exact=True))
        except CallNotFound:
            if await self._in_thread(partial(self._archive.erasure, call)) is None:
                raise
            raise Problem(410, "call_erased", "This call was erased, and its recording with it.") from None
        name, sound = await self._find(record)
        response = answer_sound(request, name, sound)
        # Whoever has the link may read it, from a page of any site.
        response.headers["Access-Control-Allow-Origin"] = "*"
        return response

    async def _read(self, ask: Ask[Nothing, Any]) -> CallRecord:
        record = await self._in_thread(partial(self._archive.call, ask.path["call_id"], exact=True))
        if record.workspace != ask.workspace:
            # Word for word what an id that does not exist gets.
            raise Problem(404, "call_not_found", "There is no call with this id.")
        return record

    async def _find(self, record: CallRecord) -> tuple[str, Sound]:
        """The recording and its name. Raises ``Problem``."""
        recording = record.recording
        if recording is None:
            raise Problem(404, "recording_not_found", "This call is not recorded.")
        # A voice node that was killed never says that its file is finished; it plays all the same.
        if recording.seconds is None and record.state is not CallState.ENDED:
            raise _not_ready("The call goes on; its recording can be had when it has ended.")
        try:
            sound = await self._sounds.find(recording.key)
        except OSError:
            detail = "The recordings cannot be read now; try again."
            raise Problem(503, Reason.UNAVAILABLE.value, detail, headers={"Retry-After": "5"}) from None
        if sound is None and self._now() - (record.ended_at or 0.0) < ARRIVES:
            raise _not_ready("The recording is on its way; try again in a moment.")
        if sound is None:
            raise Problem(404, "recording_not_found", "The recording of this call is not kept here any more.")
        return recording.key, sound


def _not_ready(detail: str) -> Problem:
    return Problem(409, "recording_not_ready", detail, headers={"Retry-After": "5"})


def answer_sound(request: AnyRequest, name: str, sound: Sound) -> Stream:
    """The recording, or the part of it that ``Range`` asks for (RFC 9110 14). Raises ``Problem``."""
    headers = {"ETag": sound.etag, "Accept-Ranges": "bytes", "Content-Disposition": f'inline; filename="{name}"'}
    # A part is of use only to one who has the rest of the same file (RFC 9110 13.1.5).
    same = request.headers.get("if-range", sound.etag) == sound.etag
    try:
        part = read_range(request.headers.get("range") if same else None, sound.size)
    except NoSuchRange as error:
        headers = {"Content-Range": f"bytes */{sound.size}"}
        raise Problem(416, "range_not_satisfiable", str(error), headers=headers) from None
    status = 200 if part is None else 206
    if part is None:
        part = range(sound.size)
    else:
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{sound.size}"
    headers["Content-Length"] = str(len(part))
    body = sound.read(range(0) if only_head(request.scope) else part)
    return Stream(body, status_code=status, media_type=MEDIA_TYPE, headers=headers)
