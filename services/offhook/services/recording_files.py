"""The folder of recordings, for those who do not write them: reading and deleting."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import anyio

#: Bytes that are read at a time.
CHUNK = 64 * 1024


class RecordingFile:
    """A recording on disk, as it was when it was found."""

    def __init__(self, path: anyio.Path, status: os.stat_result) -> None:
        self._path = path
        #: Bytes, and an entity tag for these bytes (RFC 9110 8.8.3).
        self.size = status.st_size
        self.etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}"'

    async def read(self, part: range) -> AsyncIterator[bytes]:
        """The bytes of a part, one chunk after the other. Raises ``OSError``."""
        async with await self._path.open("rb") as file:
            await file.seek(part.start)
            left = len(part)
            while left and (chunk := await file.read(min(CHUNK, left))):
                left -= len(chunk)
                yield chunk


class RecordingFiles:
    """The ``Files`` port over a folder, and the ``Recordings`` of the API."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def find(self, name: str) -> RecordingFile | None:
        """The recording of this name; None where there is none."""
        file = self._inside(name)
        try:
            return None if file is None else RecordingFile(file, await file.stat())
        except FileNotFoundError:
            return None

    async def delete(self, name: str) -> bool:
        """See ``Files``. A name that leads out of the folder is none of ours."""
        file = self._inside(name)
        if file is None:
            return False
        try:
            await file.unlink()
        except FileNotFoundError:
            return False
        return True

    def _inside(self, name: str) -> anyio.Path | None:
        file = anyio.Path(self._folder / name)
        return file if file.name == name else None
