"""Values of slots: how each type is read from words, spoken, and written in a grammar."""

from collections.abc import Iterator

from offhook.protocol.agent.document import DAYS, AgentDocument, Slot
from offhook.protocol.agent.hours import is_open, say_time
from offhook.protocol.agent.phrases import parse_phrase
from offhook.protocol.agent.words import ONES, TENS, number_words
from offhook.protocol.flow.matching import ends

Words = tuple[str, ...]
#: Where a value ends in the words, and the value.
Reading = tuple[int, str]

#: Fewest and most digits of a telephone number.
PHONE = (5, 15)

_FIRST_NAMES = (
    "adam alan alex alice amanda amy andrea andrew angela anna anne anthony barbara ben brian carol charles chris "
    "christine daniel david diana donna edward elizabeth emily emma eric eva frank george grace hannah harry "
    "helen henry ian jack jacob james jane jason jennifer jessica jim joe john jonathan joseph julia karen kate "
    "kevin laura leo linda lisa lucy maria mark martha martin mary matthew michael mike nancy nick nina oliver "
    "olivia oscar pat patrick paul peter rachel rebecca richard robert rose ruth sam sandra sarah scott sophia "
    "stephen steve susan teresa thomas tim tom victoria walter william"
)
#: First names a grammar can hear; written and freely recognized names need not be among them.
NAMES = tuple(_FIRST_NAMES.split())

_HOURS = {number_words(hour): hour for hour in range(1, 13)}
_NUMBERS = {tuple(number_words(number).split()): number for number in range(100)}
_PARTS_OF_DAY = {
    ("am",): 0,
    ("in", "the", "morning"): 0,
    ("pm",): 12,
    ("in", "the", "afternoon"): 12,
    ("in", "the", "evening"): 12,
    ("at", "night"): 12,
}

#: Rules of a grammar by type. A time is ``half past three``, ``three thirty p.m.``, ``noon``.
GRAMMARS: dict[str, str] = {
    "day": f"[this | next] ({' | '.join(DAYS)})",
    "today": "today | tomorrow | the day after tomorrow",
    "time": (
        f"noon | midday | midnight | (half past | [a] quarter past | [a] quarter to) ({' | '.join(_HOURS)}) "
        f"| ({' | '.join(_HOURS)}) [o'clock | thirty | fifteen | forty five] "
        "[am | pm | in the morning | in the afternoon | in the evening]"
    ),
    "name": " | ".join(NAMES),
    "number": f"({' | '.join(ONES)}) | ({' | '.join(TENS)}) [{' | '.join(ONES[1:10])}]",
    "phone": f"([double] ({' | '.join([*ONES[:10], 'oh'])}))+",
}


def readings(document: AgentDocument, today: str | None, name: str, heard: Words, at: int) -> Iterator[Reading]:
    """Every value of the slot ``name`` that ``heard`` may hold from word ``at`` on, the longest first."""
    slot = document.slots[name]
    match slot.type:
        case "day":
            found = list(_days(today, heard, at))
        case "time":
            found = list(_times(document, slot, heard, at))
        case "number":
            found = list(_numbers(heard, at))
        case "phone":
            found = list(_phones(heard, at))
        case "name":
            found = [(at + 1, heard[at])] if at < len(heard) and heard[at] in NAMES else []
        case "choice":
            found = list(_choices(slot, heard, at))
        case "text":
            found = []
    yield from sorted(found, key=lambda reading: -reading[0])


def spoken(slot: Slot, value: str) -> str:
    """A value as the agent says it."""
    match slot.type:
        case "day" | "name":
            return value.title()
        case "time":
            return say_time(value)
        case "phone":
            digits = [ONES[int(digit)] for digit in value]
            return ", ".join(" ".join(digits[at : at + 3]) for at in range(0, len(digits), 3))
        case "number":
            return number_words(int(value))
        case "choice" | "text":
            return value


def _starts(heard: Words, at: int, *words: str) -> bool:
    return heard[at : at + len(words)] == words


def _days(today: str | None, heard: Words, at: int) -> Iterator[Reading]:
    if today is not None:
        for ahead, words in enumerate((("today",), ("tomorrow",), ("the", "day", "after", "tomorrow"))):
            if _starts(heard, at, *words):
                yield at + len(words), DAYS[(DAYS.index(today) + ahead) % 7]
    if at < len(heard) and heard[at] in {"this", "next", "coming"}:
        at += 1
    if at < len(heard) and heard[at].removesuffix("s") in DAYS:
        yield at + 1, heard[at].removesuffix("s")


def _times(document: AgentDocument, slot: Slot, heard: Words, at: int) -> Iterator[Reading]:
    if at >= len(heard):
        return
    if heard[at] in {"noon", "midday", "midnight"}:
        yield at + 1, "00:00" if heard[at] == "midnight" else "12:00"
    for end, hour, minute, sure in _clocks(heard, at):
        part = next(
            ((end + len(words), add) for words, add in _PARTS_OF_DAY.items() if _starts(heard, end, *words)), None
        )
        if part is not None and 1 <= hour <= 12:
            yield part[0], f"{hour % 12 + part[1]:02}:{minute:02}"
        yield end, f"{hour if sure else _likely(document, slot, hour, minute):02}:{minute:02}"


def _clocks(heard: Words, at: int) -> Iterator[tuple[int, int, int, bool]]:
    """End, hour, minute, and whether the hour is certainly one of 24."""
    word = heard[at]
    if ":" in word:
        hour, minute = map(int, word.split(":"))
        if hour < 24 and minute < 60:
            yield at + 1, hour, minute, not 1 <= hour <= 12 or word.startswith("0")
        return
    lead = 1 if word == "a" else 0
    for words, minute in ((("half", "past"), 30), (("quarter", "past"), 15), (("quarter", "to"), -15)):
        if _starts(heard, at + lead, *words) and at + lead + 2 < len(heard) and heard[at + lead + 2] in _HOURS:
            hour, minute = divmod(_HOURS[heard[at + lead + 2]] * 60 + minute, 60)
            yield at + lead + 3, hour or 12, minute, False
    if word in _HOURS:
        yield from ((end, _HOURS[word], minute, False) for end, minute in _minutes(heard, at + 1))


def _minutes(heard: Words, at: int) -> Iterator[tuple[int, int]]:
    yield at + 1 if _starts(heard, at, "o'clock") else at, 0
    if at + 1 < len(heard) and heard[at] in {"oh", "zero"}:
        yield from ((end, int(value)) for end, value in _numbers(heard, at + 1) if 0 < int(value) < 10)
    yield from ((end, int(value)) for end, value in _numbers(heard, at) if 10 <= int(value) < 60)


def _likely(document: AgentDocument, slot: Slot, hour: int, minute: int) -> int:
    """Which half of the day a bare hour means: seven to eleven in the morning, unless only the other one is open."""
    likely = hour if 7 <= hour <= 12 else hour + 12
    other = (likely + 12) % 24
    if slot.open:
        open_at = [is_open(document.opening, None, f"{choice:02}:{minute:02}") for choice in (likely, other)]
        if open_at == [False, True]:
            return other
    return likely


def _numbers(heard: Words, at: int) -> Iterator[Reading]:
    for length in (2, 1):
        if at + length <= len(heard) and heard[at : at + length] in _NUMBERS:
            yield at + length, str(_NUMBERS[heard[at : at + length]])


def _phones(heard: Words, at: int) -> Iterator[Reading]:
    digits = ""
    while at < len(heard) and len(digits) <= PHONE[1]:
        times = {"double": 2, "triple": 3}.get(heard[at], 1)
        start = at + (times > 1)
        end, number = (start + 1, "0") if _starts(heard, start, "oh") else next(_numbers(heard, start), (start, ""))
        if not number:
            break
        digits += number * times
        at = end
    if PHONE[0] <= len(digits) <= PHONE[1]:
        yield at, digits


def _choices(slot: Slot, heard: Words, at: int) -> Iterator[Reading]:
    for value, phrases in slot.values.items():
        for phrase in phrases:
            yield from ((end, value) for end in ends(parse_phrase(phrase), heard, at, lambda _name, _at: ()))
