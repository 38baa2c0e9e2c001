"""Widgets as data (W1, W8, W9): what a page shows for an agent, by the code in its script tag."""

from typing import Annotated, Literal

import msgspec

from offhook.protocol.errors import OffhookError

WidgetKind = Literal["phone", "chat"]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
AgentName = Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
#: Texts or style by name.
Entries = Annotated[dict[Word, Annotated[str, msgspec.Meta(max_length=500)]], msgspec.Meta(max_length=64)]
Domains = Annotated[tuple[Annotated[str, msgspec.Meta(max_length=300)], ...], msgspec.Meta(max_length=50)]
Languages = Annotated[
    tuple[Annotated[str, msgspec.Meta(min_length=2, max_length=35, pattern="^[A-Za-z0-9-]+$")], ...],
    msgspec.Meta(max_length=50),
]


class WidgetFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What its owner decides."""

    #: What people call it.
    name: Name
    #: The agent that it calls.
    agent: AgentName
    kind: WidgetKind = "phone"
    #: What it says, by name, such as ``greeting``; what is left out is what the page says by itself.
    texts: Entries = {}
    #: How it looks, by name, such as ``primaryColor``.
    style: Entries = {}
    #: Whose pages may show it: ``example.com``, ``*.example.com``; empty: any.
    domains: Domains = ()
    #: Languages that are offered, as BCP 47 has them.
    languages: Languages = ()


class Widget(msgspec.Struct, frozen=True, kw_only=True):
    """A widget as it is kept and shown. Times are seconds since the epoch."""

    #: In the script tag: ``/widget/<code>.js``.
    code: str
    workspace: str
    name: str
    agent: str
    kind: WidgetKind
    texts: dict[str, str]
    style: dict[str, str]
    domains: tuple[str, ...]
    languages: tuple[str, ...]
    created_at: float
    changed_at: float


class WidgetNotFound(OffhookError):
    """No widget of the workspace has this code."""
