"""Recordings in a bucket of an S3-compatible store.

The library speaks to it in threads of its own making and blocks the one that asks; the methods that wait do so in
worker threads, on either loop. Keys come from the environment (``AWS_ACCESS_KEY_ID`` and the others that the tools of
such stores know).
"""

import os
import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeVar

import anyio.to_thread
import obstore
from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import S3Store

from offhook.services.recordings.place import BucketPlace

T = TypeVar("T")

#: Bytes that are asked for at a time.
CHUNK = 1024 * 1024
#: Seconds for which the library tries again by itself, and for a connection and a request.
PATIENCE = 10.0
CONNECT, ANSWER = "5s", "60s"
MEDIA_TYPE = "audio/ogg"
#: What a store says of its refusal, to people.
_MESSAGE = re.compile("<Message>([^<]+)</Message>")


class BucketAway(OSError):
    """The store does not answer, or says no. Whether something was written is not known."""


class BucketRefuses(BucketAway):
    """The store answers, and does not let this key do that."""


class BucketRecording:
    """A recording in the bucket, as it was when it was found."""

    def __init__(self, bucket: "Bucket", name: str, size: int, etag: str) -> None:
        self._bucket = bucket
        self._name = name
        #: Bytes, and an entity tag for these bytes (RFC 9110 8.8.3).
        self.size = size
        self.etag = etag

    async def read(self, part: range) -> AsyncIterator[bytes]:
        """The bytes of a part, one chunk after the other. Raises ``OSError``."""
        for start in range(part.start, part.stop, CHUNK):
            end = min(start + CHUNK, part.stop)
            yield await _in_thread(partial(self._bucket.get_part, self._name, start, end))


class Bucket:
    """The recordings of one place. Methods without ``async`` block, and may be used from any thread."""

    def __init__(self, place: BucketPlace) -> None:
        self._store = S3Store(
            place.bucket,
            prefix=place.prefix,
            endpoint=place.endpoint,
            region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
            virtual_hosted_style_request=place.endpoint is None,
            client_options={"allow_http": True, "connect_timeout": CONNECT, "timeout": ANSWER},
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=PATIENCE)},
        )

    async def find(self, name: str) -> BucketRecording | None:
        """The recording of this name; None where there is none. Raises ``BucketAway``."""
        return await _in_thread(partial(self._find, name))

    async def delete(self, name: str) -> bool:
        """Delete a recording; False when there is none. Raises ``BucketAway``."""
        return await _in_thread(partial(self._delete, name))

    def put(self, file: Path) -> None:
        """Copy a file into the bucket, where it is as a whole or not at all.

        Raises ``BucketAway``; ``FileNotFoundError`` where there is no such file.
        """
        with file.open("rb") as sound:
            self._put(file.name, sound)

    def remove(self, name: str) -> None:
        """Delete a recording, there or not. Raises ``BucketAway``."""
        with _explained():
            obstore.delete(self._store, name)

    def names(self) -> Iterator[tuple[str, datetime]]:
        """The recordings there are, and when each came. Raises ``BucketAway``."""
        with _explained():
            for some in obstore.list(self._store):
                yield from ((one["path"], one["last_modified"]) for one in some)

    def probe(self) -> None:
        """Write, read, list and delete a small object as is done with recordings. Raises ``BucketAway``."""
        name = f"offhook-doctor-{secrets.token_hex(8)}"
        self._put(name, b"offhook")
        try:
            self.get_part(name, 0, 1)
            next(self.names(), None)
        finally:
            self.remove(name)

    def get_part(self, name: str, start: int, end: int) -> bytes:
        """The bytes from ``start`` up to ``end``. Raises ``OSError``."""
        with _explained():
            return bytes(obstore.get_range(self._store, name, start=start, end=end))

    def _put(self, name: str, content: BinaryIO | bytes) -> None:
        try:
            with _explained():
                obstore.put(self._store, name, content, attributes={"Content-Type": MEDIA_TYPE})
        except FileNotFoundError as error:
            raise BucketAway("There is no such bucket.") from error

    def _find(self, name: str) -> BucketRecording | None:
        try:
            with _explained():
                found = obstore.head(self._store, name)
        except FileNotFoundError:
            return None
        return BucketRecording(self, name, found["size"], found["e_tag"] or f'"{found["size"]:x}"')

    def _delete(self, name: str) -> bool:
        if self._find(name) is None:
            return False
        self.remove(name)
        return True


async def _in_thread(work: Callable[[], T]) -> T:
    return await anyio.to_thread.run_sync(work, abandon_on_cancel=True)


@contextmanager
def _explained() -> Iterator[None]:
    """The library's errors as ours, without what it says for those who debug it."""
    try:
        yield
    except BaseError as error:
        said = _MESSAGE.search(str(error))
        text = said[1] if said else str(error).partition("\n")[0]
        kind = BucketRefuses if isinstance(error, PermissionDeniedError | UnauthenticatedError) else BucketAway
        raise kind(text) from error
