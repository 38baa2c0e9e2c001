"""The agent document: everything a site owner decides about an agent, in one file (A1, A6).

The Structs are the format: a field that is not here is an error. ``loading`` reads the text, ``checks`` finds what is
well-formed and still makes no sense. ``docs/agents.md`` is the same for people.
"""

from typing import Annotated, Literal

import msgspec

from offhook.protocol.agent.analysis import AnalysisWanted
from offhook.protocol.speech import Voice

#: One spoken text, or several of the same meaning that are used in turn.
Texts = str | tuple[str, ...]

Line = Annotated[str, msgspec.Meta(max_length=80)]
Identifier = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]

#: Where an answer may lead instead of to a node: the question the caller was taken away from, or the last words again.
BACK = "back"
REPEAT = "repeat"

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No field but those declared."""


class Flow(_Strict, frozen=True, tag_field="kind", tag="flow"):
    """A conversation along the nodes of this document; works offline."""

    #: The node that follows the greeting.
    start: str


class Echo(_Strict, frozen=True, tag_field="kind", tag="echo"):
    """Says what it heard; for trying microphones and voices."""


BrainKind = Flow | Echo


class Limits(_Strict, frozen=True):
    """When the agent lets go."""

    #: Longest call, seconds.
    max_duration: Annotated[float, msgspec.Meta(gt=0, le=86_400)] = 1800.0
    #: Seconds of the caller's silence until the agent asks whether somebody is there.
    patience: Annotated[float, msgspec.Meta(ge=1, le=120)] = 10.0


class Recording(_Strict, frozen=True):
    """Whether calls are recorded, both sides in one file."""

    on: bool = False
    #: Version of the text that callers have to agree to: a call is recorded only if its offer brings the variable
    #: ``consent`` with it. Empty: no caller is asked, and the greeting should say that the call is recorded.
    consent: Line = ""


class Opening(_Strict, frozen=True):
    """Opening hours by weekday, as ``9:00-17:00`` or ``9:00-12:00, 14:00-18:00``; an empty day is closed."""

    monday: str = ""
    tuesday: str = ""
    wednesday: str = ""
    thursday: str = ""
    friday: str = ""
    saturday: str = ""
    sunday: str = ""


class Repair(_Strict, frozen=True):
    """What the agent says when it did not understand or heard nothing."""

    unclear: Texts = ("Sorry, I did not get that.", "Sorry, I am not sure I understood.")
    #: Node to go to when it did not understand for the second time; usually one that offers a person.
    offer: str = ""
    #: Said when a tool failed and its node has no ``failed``; then ``offer``, or the start.
    failed: Texts = "I am sorry, that did not work just now."
    farewell: Texts = "I am sorry that I could not help. Please try again later. Goodbye."
    silence: Texts = "Are you still there?"
    silence_farewell: Texts = "I can not hear you any more, so I will end the call. Goodbye."


class Slot(_Strict, frozen=True):
    """Something the agent wants to know.

    ``day`` is a weekday, ``time`` a time of day, ``number`` 0 to 99, ``phone`` 5 to 15 digits, ``name`` a first name,
    ``choice`` one of ``values``, ``text`` whatever is said.
    """

    type: Literal["day", "time", "number", "phone", "name", "choice", "text"]
    #: For ``choice``: the value as it is spoken, and the phrases that mean it.
    values: dict[str, tuple[str, ...]] = {}
    #: For ``day`` and ``time``: only within the opening hours.
    open: bool = False
    #: For ``time``: the slot with the day whose hours count.
    day: str = ""
    #: Said when the value lies outside the opening hours.
    refuse: Texts = ()


class Intent(_Strict, frozen=True):
    """Something a caller wants. With ``say`` or ``go`` it is understood everywhere, else where a node lists it."""

    phrases: tuple[str, ...] = ()
    #: Said at once; without ``go`` the present question is asked again.
    say: Texts = ()
    #: Node to go to, ``back`` or ``repeat``.
    go: str = ""
    #: Key of the dialpad that means the same.
    key: Annotated[str, msgspec.Meta(pattern=r"^[0-9*#]?$")] = ""


class ToolDeclaration(_Strict, frozen=True):
    """Something the agent can do besides talking. The document says what it is; whoever hosts the agent runs it."""

    #: What it does, in a sentence.
    description: str = ""
    #: What it is given: names of slots or variables, and what each means. Those nothing is known of are left out.
    parameters: dict[str, str] = {}


class SayNode(_Strict, frozen=True, tag_field="kind", tag="say"):
    """Say something and go on."""

    say: Texts
    next: str
    #: Slots to empty on the way.
    forget: tuple[str, ...] = ()


class AskNode(_Strict, frozen=True, tag_field="kind", tag="ask"):
    """Ask and wait for an answer.

    With a ``slot`` the answer fills it and the flow goes to ``next``; a slot that is filled already is not asked for.
    """

    say: Texts
    #: The question in other words, after an answer that was not understood.
    again: Texts = ()
    slot: str = ""
    #: Phrases that answer with slots; without any, the value of ``slot`` alone.
    answers: tuple[str, ...] = ()
    #: Intents that make sense here, and where each leads.
    on: dict[str, str] = {}
    next: str = ""
    forget: tuple[str, ...] = ()


class Case(_Strict, frozen=True):
    """One way out of a branch: when the text of the branch reads like this."""

    equals: str
    go: str


class BranchNode(_Strict, frozen=True, tag_field="kind", tag="branch"):
    """Go on by what is known; ``value`` is a text with placeholders, such as ``{day}``; nothing known reads ``""``."""

    value: str
    cases: tuple[Case, ...]
    otherwise: str


class TellNode(_Strict, frozen=True, tag_field="kind", tag="tell"):
    """Hand the slots to the page under a name, and go on."""

    name: str
    next: str


class ToolNode(_Strict, frozen=True, tag_field="kind", tag="tool"):
    """Use a tool and wait for it; what it returns can be said as ``{tool.field}``."""

    tool: str
    next: str
    #: Where to go when the tool failed; without it the agent says so (``Repair.failed``).
    failed: str = ""


class TransferNode(_Strict, frozen=True, tag_field="kind", tag="transfer"):
    """Offer a person. Nobody can be joined yet, so it says its words and goes on."""

    say: Texts
    next: str


class SmsNode(_Strict, frozen=True, tag_field="kind", tag="sms"):
    """Send a text message; skipped on calls from the web, which have no phone number."""

    text: str
    next: str


class EndNode(_Strict, frozen=True, tag_field="kind", tag="end"):
    """Say goodbye and end the call."""

    say: Texts = ()


Node = SayNode | AskNode | BranchNode | TellNode | ToolNode | TransferNode | SmsNode | EndNode


class Variant(_Strict, frozen=True, kw_only=True):
    """The same agent for another brand or region: what is given here takes the place of what the document says."""

    name: Annotated[Line, msgspec.Meta(min_length=1)] | None = None
    avatar: str | None = None
    voice: Voice | None = None
    languages: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] | None = None
    timezone: str | None = None
    greeting: Texts | None = None
    opening: Opening | None = None
    #: Each takes the place of the one of its name.
    variables: dict[str, str] = {}


class AgentDocument(_Strict, frozen=True, kw_only=True):
    """One agent in one version."""

    id: Identifier
    name: Annotated[Line, msgspec.Meta(min_length=1)]
    #: Label of this version; empty: made from the text.
    version: Line = ""
    #: Address of a picture.
    avatar: str = ""
    voice: Voice = Voice()
    #: The first is the one it listens in.
    languages: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("en-us",)
    #: IANA name; what "today" means.
    timezone: str = "UTC"
    greeting: Texts = ()
    brain: BrainKind
    limits: Limits = Limits()
    recording: Recording = Recording()
    #: Variables a call may bring, with what stands for them when it does not.
    variables: dict[str, str] = {}
    #: What to find out about its calls once they have ended.
    analysis: AnalysisWanted | None = None
    opening: Opening = Opening()
    repair: Repair = Repair()
    tools: dict[str, ToolDeclaration] = {}
    slots: dict[str, Slot] = {}
    intents: dict[str, Intent] = {}
    nodes: dict[str, Node] = {}
    #: By the ``variantId`` that picks each.
    variants: dict[str, Variant] = {}


def vary(document: AgentDocument, variant: Variant) -> AgentDocument:
    """The document as a variant has it."""
    given = {
        field: value
        for field in Variant.__struct_fields__
        if field != "variables" and (value := getattr(variant, field)) is not None
    }
    return msgspec.structs.replace(document, variables=document.variables | variant.variables, **given)


def variants(texts: Texts) -> tuple[str, ...]:
    """The texts as a tuple, also where the author wrote a single one."""
    if isinstance(texts, str):
        return (texts,) if texts else ()
    return texts


def answers_of(node: AskNode) -> tuple[str, ...]:
    """The phrases that answer a node with slots."""
    return node.answers or ((f"{{{node.slot}}}",) if node.slot else ())


def is_global(intent: Intent) -> bool:
    """True for an intent that is understood in every node."""
    return bool(intent.say or intent.go)
