"""Agents that are kept with their history: versions, what is published, and how two versions differ (A1).

Each save makes a version, and the text of a version never changes. A version is a draft until it is published for the
first time. An environment names one version: ``live`` serves the public, ``sandbox`` serves tokens made with a test
key. Publishing points an environment at a version, rolling back points it at an earlier one.
"""

import difflib
from typing import Literal

import msgspec

from offhook.protocol.errors import OffhookError

Environment = Literal["live", "sandbox"]
VersionState = Literal["draft", "published"]

#: Longest text of a document, characters, and longest note.
MAX_DOCUMENT = 200_000
MAX_NOTE = 200
#: Drafts of an agent that are kept: of older ones those that were never published go.
KEPT_DRAFTS = 50


class StoredAgent(msgspec.Struct, frozen=True, kw_only=True):
    """An agent and where it stands. Times are seconds since the epoch."""

    id: str
    #: Its name in the newest version.
    name: str
    #: The version saved last, and those that the environments serve; null: none yet.
    newest: int
    live: int | None = None
    sandbox: int | None = None
    created_at: float
    changed_at: float


class FileAgent(msgspec.Struct, frozen=True, kw_only=True):
    """An agent that a file on the server serves, whatever is kept of it: it is changed there, not here."""

    id: str
    name: str
    #: The label that stands in the document, or that was made from its text.
    version: str
    from_file: Literal[True] = True


class AgentVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of an agent. It is never changed."""

    agent: str
    number: int
    state: VersionState
    #: SHA-256 of the text, hex.
    hash: str
    #: What its author says about it.
    note: str = ""
    created_at: float
    #: When it was first published live.
    published_at: float | None = None


class AgentText(AgentVersion, frozen=True, kw_only=True):
    """A version with its document."""

    #: The document, TOML.
    text: str


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """From ``at`` on an environment served a version."""

    environment: Environment
    version: int
    at: float


class AgentNotStored(OffhookError):
    """No agent of the workspace has this id."""


class VersionNotStored(OffhookError):
    """The agent has no version of this number."""


class AgentTaken(OffhookError):
    """An agent has this id already."""


class AgentMoved(OffhookError):
    """Somebody else saved a version in the meantime; ``newest`` is its number."""

    def __init__(self, newest: int) -> None:
        super().__init__(f"The newest version is {newest} by now. Read it, then save your changes to it.")
        self.newest = newest


class NothingBefore(OffhookError):
    """There is no earlier version to go back to."""


def diff_texts(before: str, after: str, *, names: tuple[str, str], context: int = 3) -> str:
    """How ``after`` differs from ``before``, as a unified diff; empty when it does not."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), *names, n=context, lineterm="")
    return "".join(f"{line}\n" for line in lines)
