"""Erasing a call: its log and its record."""

import time
from collections.abc import Callable
from pathlib import Path

from offhook.actors.capacity import OWNERS
from offhook.protocol import subjects
from offhook.protocol.call import CallState
from offhook.protocol.record import CallLives, Erased
from offhook.protocol.replay import walk
from offhook.services.cli.call_place import open_remote
from offhook.services.cli.log_reading import CallArchive, Story, open_archive
from offhook.services.cli.rendering import SHORT_ID, say_ago
from offhook.services.recordings import RecordingFiles


async def describe_call(data: Path, nats: str | None, start: str, *, store: str | None = None) -> str:
    """The call to be erased, in words. Raises as ``erase_call``."""
    async with open_archive(data, nats, store) as archive:
        return _describe(await _find_ended(archive, start))


async def erase_call(
    data: Path, nats: str | None, start: str, *, files: RecordingFiles, store: str | None = None
) -> str:
    """Erase a call, by its id or the beginning of it; says what was deleted.

    Raises ``CallLives``, ``CallNotFound``, ``AmbiguousCall``, ``NoBus``, ``NatsUnavailable``, and ``OSError`` where its
    recording could not be deleted now: the records role goes on with that.
    """
    async with open_archive(data, nats, store) as archive:
        story = await _find_ended(archive, start)
        # The log first: what the records have not taken by then does not come to them any more.
        messages = await archive.bus.erase_log(subjects.log(story.call))
        report = _erase_record(archive, story.call)
        deleted = report.deleted if report is not None else {}
        if archive.store is not None and report is not None:
            erasure = archive.store.open_erasure(story.call)
            names = erasure.files if erasure is not None else ()
            count = sum([await files.delete(name) for name in names])
            ended = {"log_messages": messages, "recordings": count}
            if count == len(names):
                archive.store.forget_words()
                archive.store.end_erasure(story.call, ended, now=time.time())
            # A recording that is not here may be where only the records role can reach it: that goes on with it.
            deleted = deleted | ended
    return f"Erased call {story.call}: {', '.join([f'its log of {messages} messages', *_say(deleted)])}."


def erase_there(server: str, key: str | None, start: str, confirm: Callable[[str], None] | None) -> str:
    """Erase a call of a server, by its id or the beginning of it; says what was deleted.

    ``confirm`` is asked before, with the call in words. Raises ``OffhookError`` with a sentence.
    """
    with open_remote(server, key) as calls:
        call = calls.find(start)
        if confirm is not None:
            record = calls.call(call)
            if record.state is not CallState.ENDED:
                raise _lives(call)
            confirm(_name(call, record.created_at))
        deleted = calls.erase(call).deleted
    return f"Erased call {call}: {', '.join(_say(deleted))}. Its log and its recording go within a minute."


def _erase_record(archive: CallArchive, call: str) -> Erased | None:
    # By its log it has ended; of a record that never heard so nobody will.
    return None if archive.store is None else archive.store.erase(call, now=time.time(), even_living=True)


def _say(deleted: dict[str, int]) -> list[str]:
    parts = []
    if "records" in deleted:
        parts.append(f"its record with {deleted['transcript_lines']} lines of transcript")
    else:
        parts.append("no record (there was none)")
    for kind, words in (("analyses", "its analysis"), ("recordings", "its recording")):
        if deleted.get(kind):
            parts.append(words)
    if told := deleted.get("webhook_messages"):
        parts.append(f"{told} messages to webhooks")
    return parts


async def _find_ended(archive: CallArchive, start: str) -> Story:
    story = await archive.read(archive.find(start))
    owner = await archive.bus.get(f"{OWNERS}{story.call}")
    if owner is not None or not _is_over(story):
        raise _lives(story.call)
    return story


def _is_over(story: Story) -> bool:
    passages = walk(story.call, story.entries)
    return not passages or passages[-1].after.state is CallState.ENDED


def _describe(story: Story) -> str:
    began = story.entries[0].at if story.entries else story.record.created_at if story.record else 0.0
    return _name(story.call, began)


def _name(call: str, began: float) -> str:
    return f"the call {call[:SHORT_ID]} of {say_ago(began, time.time())}"


def _lives(call: str) -> CallLives:
    return CallLives(f"The call {call} has not ended. Erase it when it has.")
