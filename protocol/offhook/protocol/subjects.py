"""Subjects on the bus: where each actor of a call is reached.

Call ids are UUIDs, so they never contain a separator or a wildcard.
"""

import re

#: What cannot stand in a token of a subject that comes from a name.
_NO_TOKEN = re.compile(r"[^-_a-zA-Z0-9]")

#: Stream and subjects of the call logs.
LOG_STREAM = "offhook-calls"
ALL_LOGS = "offhook.log.*"
#: Voice nodes take new calls from here, one node each (queue group).
OPEN_CALL = "offhook.voice.open"
VOICE_GROUP = "voice"
#: Messages that could not be taken end here, with their reason; a stream keeps them for a while.
DEAD_LETTERS = "offhook.dead"
DEAD_STREAM = "offhook-dead"


def log(call: str) -> str:
    """The log of a call; JetStream keeps it."""
    return f"offhook.log.{call}"


def call_of_log(subject: str) -> str:
    """The call whose log ``subject`` is."""
    return subject.rpartition(".")[2]


def session(call: str) -> str:
    """Facts for the session actor of a call."""
    return f"offhook.call.{call}.session"


def signaling(call: str) -> str:
    """Orders for the signaling actors of a call."""
    return f"offhook.call.{call}.signaling"


def media(call: str) -> str:
    """Orders for the media actor of a call."""
    return f"offhook.call.{call}.media"


def agent(call: str) -> str:
    """Orders for the agent actor of a call."""
    return f"offhook.call.{call}.agent"


def taken(call: str, source: str) -> str:
    """Where the session actor confirms the reports of one source that it has taken."""
    return f"offhook.call.{call}.taken.{_NO_TOKEN.sub('_', source[:128]) or '_'}"
