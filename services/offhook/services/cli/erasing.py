"""Erasing a call: its log and its record."""

import time
from pathlib import Path

from offhook.actors.registry import OWNERS
from offhook.protocol import subjects
from offhook.protocol.call import CallState
from offhook.protocol.errors import OffhookError
from offhook.protocol.replay import walk
from offhook.services.cli.log_reading import CallArchive, Story, open_archive
from offhook.services.cli.rendering import SHORT_ID, say_ago


class CallLives(OffhookError):
    """A call that has not ended cannot be erased."""


async def describe_call(data: Path, nats: str | None, start: str, *, store: str | None = None) -> str:
    """The call to be erased, in words. Raises as ``erase_call``."""
    async with open_archive(data, nats, store) as archive:
        return _describe(await _find_ended(archive, start))


async def erase_call(data: Path, nats: str | None, start: str, *, store: str | None = None) -> str:
    """Erase a call, by its id or the beginning of it; says what was deleted.

    Raises ``CallLives``, ``CallNotFound``, ``AmbiguousCall``, ``NoBus``, ``NatsUnavailable``.
    """
    async with open_archive(data, nats, store) as archive:
        story = await _find_ended(archive, start)
        # The log first: what the records have not taken by then does not come to them any more.
        messages = await archive.bus.erase_log(subjects.log(story.call))
        record = archive.store is not None and archive.store.erase(story.call, now=time.time()) is not None
    lines = len(story.record.transcript) if record and story.record is not None else 0
    kept = f"its record with {lines} lines of transcript" if record else "no record (there was none)"
    return f"Erased call {story.call}: its log of {messages} messages, {kept}."


async def _find_ended(archive: CallArchive, start: str) -> Story:
    story = await archive.read(archive.find(start))
    owner = await archive.bus.get(f"{OWNERS}{story.call}")
    if owner is not None or not _is_over(story):
        raise CallLives(f"The call {story.call} has not ended. Erase it when it has.")
    return story


def _is_over(story: Story) -> bool:
    passages = walk(story.call, story.entries)
    return not passages or passages[-1].after.state is CallState.ENDED


def _describe(story: Story) -> str:
    began = story.entries[0].at if story.entries else story.record.created_at if story.record else 0.0
    return f"the call {story.call[:SHORT_ID]} of {say_ago(began, time.time())}"
