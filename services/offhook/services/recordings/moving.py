"""Finished recordings on their way from the data folder into the bucket, and out of it when their time is over."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread

from offhook.protocol.call import call_of_recording
from offhook.services.recordings.bucket import Bucket, BucketAway

log = logging.getLogger("offhook.recordings")

#: Seconds between two looks at the folder.
LOOK = 5.0
#: A recording is written to twice a second as long as its call lives, whoever writes it; after so many seconds without
#: it is finished, or its process is.
SETTLED = 10.0
#: Seconds between two looks at the bucket, and by how much clocks may differ between here and there.
SWEEP = 3600.0
LEEWAY = 300.0
_DAY = 86_400.0


async def run_uploads(folder: Path, bucket: Bucket, *, look: float = LOOK, settled: float = SETTLED) -> None:
    """Move what is finished into the bucket, until cancelled. While it is away, everything stays where it is."""
    well, left = True, dict[str, Trouble]()
    while True:
        before = left.copy()
        try:
            work = partial(upload, folder, bucket, time.time() - settled, left)
            await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
            well = True
        except OSError as error:
            if well:
                log.error("recordings wait for their store", extra={"why": str(error)})
            well = False
        for name, trouble in left.items():
            if not trouble.of_store and before.get(name) != trouble:
                log.error("a recording cannot be moved", extra={"file": name, "why": trouble.why})
        await anyio.sleep(look)


@dataclass(frozen=True)
class Trouble:
    """Why a recording was not moved: it cannot be read or deleted, or the store did not take it."""

    why: str
    of_store: bool


def upload(folder: Path, bucket: Bucket, latest: float, left: dict[str, Trouble]) -> int:
    """Move the recordings that were written last before ``latest`` (seconds since the epoch); how many.

    ``left`` holds those that could not be moved, by name, and is kept from one time to the next: they are tried after
    all others, the last one that failed at the end, so that none is in the way of another for good. Raises
    ``BucketAway`` for the first that the store does not take: it may be away, and each try takes long then.
    """
    moved = 0
    rank = {name: number for number, name in enumerate(left, 1)}
    files = sorted(folder.glob("*.ogg"), key=lambda file: (rank.get(file.name, 0), file.name))
    for name in rank.keys() - {file.name for file in files}:
        del left[name]
    for file in files:
        try:
            if file.stat().st_mtime < latest:
                bucket.put(file)
                moved += _let_go(file, bucket)
        except FileNotFoundError:
            pass
        except OSError as error:
            left.pop(file.name, None)
            left[file.name] = Trouble(str(error), isinstance(error, BucketAway))
            if isinstance(error, BucketAway):
                raise
            continue
        left.pop(file.name, None)
    return moved


def _let_go(file: Path, bucket: Bucket) -> bool:
    """Delete a file whose copy is safe."""
    try:
        file.unlink()
    except FileNotFoundError:
        # Its call was erased meanwhile: whoever did so may have looked into the bucket too early.
        bucket.remove(file.name)
        return False
    return True


async def run_sweeps(bucket: Bucket, keep_days: int, is_erased: Callable[[str], bool]) -> None:
    """Delete what is too old (``keep_days``; 0: never) or belongs to an erased call, until cancelled."""
    since = 0.0
    while True:
        began = time.time()
        try:
            work = partial(sweep, bucket, began - keep_days * _DAY if keep_days else 0.0, since, is_erased)
            await anyio.to_thread.run_sync(work, abandon_on_cancel=True)
            since = began - LEEWAY
        except OSError as error:
            log.warning("the store of recordings was not looked through", extra={"why": str(error)})
        await anyio.sleep(SWEEP)


def sweep(bucket: Bucket, oldest: float, since: float, is_erased: Callable[[str], bool]) -> int:
    """Delete recordings that came before ``oldest``, and of those that came after ``since`` the erased ones; how many.

    A recording can come after its call was erased: from a machine that had no way to the bucket for a while.
    Raises ``OSError``. Times are seconds since the epoch.
    """
    too_old, news = (datetime.fromtimestamp(at, UTC) for at in (oldest, since))
    gone = 0
    for name, came in list(bucket.names()):
        if came < too_old or (came > news and is_erased(call_of_recording(name))):
            bucket.remove(name)
            gone += 1
    return gone
