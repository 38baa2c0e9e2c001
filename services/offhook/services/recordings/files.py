"""The folder of recordings, and the bucket they are moved into, for those who do not write them."""

import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from offhook.services.recordings.place import open_bucket
from offhook.services.settings import recordings_folder

if TYPE_CHECKING:
    from offhook.services.recordings.bucket import Bucket, BucketRecording

#: Bytes that are read at a time.
CHUNK = 64 * 1024


class RecordingFile:
    """A recording on disk, as it was when it was found."""

    def __init__(self, path: anyio.Path, status: os.stat_result, bucket: "Bucket | None") -> None:
        self._path = path
        self._bucket = bucket
        #: Bytes, and an entity tag for these bytes (RFC 9110 8.8.3).
        self.size = status.st_size
        self.etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'

    async def read(self, part: range) -> AsyncIterator[bytes]:
        """The bytes of a part, one chunk after the other. Raises ``OSError``."""
        try:
            file = await self._path.open("rb")
        except FileNotFoundError:
            # It was moved since it was found.
            moved = None if self._bucket is None else await self._bucket.find(self._path.name)
            if moved is None:
                raise
            async for chunk in moved.read(part):
                yield chunk
            return
        async with file:
            await file.seek(part.start)
            left = len(part)
            while left and (chunk := await file.read(min(CHUNK, left))):
                left -= len(chunk)
                yield chunk


class RecordingFiles:
    """The ``Files`` port over a folder and, if there is one, a bucket; and the ``Sounds`` of the API."""

    def __init__(self, folder: Path, bucket: "Bucket | None" = None) -> None:
        self._folder = folder
        self._bucket = bucket

    async def find(self, name: str) -> "RecordingFile | BucketRecording | None":
        """The recording of this name; None where there is none. Raises ``OSError``."""
        file = self._inside(name)
        if file is None:
            return None
        try:
            return RecordingFile(file, await file.stat(), self._bucket)
        except FileNotFoundError:
            return None if self._bucket is None else await self._bucket.find(name)

    async def delete(self, name: str) -> bool:
        """See ``Files``. A name that leads out of the folder is none of ours."""
        file = self._inside(name)
        if file is None:
            return False
        here = there = False
        with suppress(FileNotFoundError):
            await file.unlink()
            here = True
        if self._bucket is not None:
            there = await self._bucket.delete(name)
        return here or there

    def _inside(self, name: str) -> anyio.Path | None:
        file = anyio.Path(self._folder / name)
        return file if file.name == name else None


def open_recordings(data: Path, url: str | None, endpoint: str | None) -> RecordingFiles:
    """The recordings of a data folder and of the bucket at ``url``, if it is given. Raises ``BadPlace``."""
    return RecordingFiles(recordings_folder(data), open_bucket(url, endpoint))
