"""The folder of recordings, as far as erasing needs it."""

from pathlib import Path

import anyio


class RecordingFiles:
    """The ``Files`` port over a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def delete(self, name: str) -> bool:
        """See ``Files``. A name that leads out of the folder is none of ours."""
        file = anyio.Path(self._folder / name)
        if file.name != name:
            return False
        try:
            await file.unlink()
        except FileNotFoundError:
            return False
        return True
