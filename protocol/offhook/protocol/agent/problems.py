"""Problems of an agent document, each with its place in the text."""

import re

import msgspec

from offhook.protocol.errors import OffhookError

#: Keys from the top of the document to the field: ``("nodes", "greet", "next")``.
Path = tuple[str, ...]

_HEADER = re.compile(r"\s*\[\[?\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_KEY_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong."""

    #: Line of the text, from 1.
    line: int
    #: Dotted path of the field, ``nodes.greet.next``; empty for the text as a whole.
    path: str
    #: What is wrong and what to do.
    message: str


class DocumentError(OffhookError):
    """An agent document that cannot be used, with everything that was found wrong, in the order of the text.

    ``line``, ``path`` and ``message`` are those of the first problem.
    """

    def __init__(self, file: str, problems: tuple[Problem, ...]) -> None:
        self.file = file
        self.problems = tuple(sorted(problems, key=lambda problem: problem.line))
        self.line = self.problems[0].line
        self.path = self.problems[0].path
        self.message = self.problems[0].message
        super().__init__("\n".join(map(self._show, self.problems)))

    def _show(self, problem: Problem) -> str:
        place = f"{self.file}:{problem.line}: "
        return place + (f"{problem.path}: {problem.message}" if problem.path else problem.message)


def locate(text: str) -> dict[Path, int]:
    """Where each table and key of a TOML text stands (its first line); what is inline stands where its key does."""
    places: dict[Path, int] = {}
    table: Path = ()
    inside = ""
    for number, line in enumerate(text.splitlines(), 1):
        if inside:
            inside = "" if inside in line else inside
            continue
        if (header := _HEADER.fullmatch(line)) is not None:
            table = _keys(header[1])
            _note(places, table, number)
        elif (key := _KEY.match(line)) is not None:
            _note(places, table + _keys(key[1]), number)
            inside = next((mark for mark in ('"""', "'''") if line.count(mark) % 2), "")
    return places


def line_of(places: dict[Path, int], path: Path) -> int:
    """The line of ``path``, or of the nearest thing around it."""
    while path and path not in places:
        path = path[:-1]
    return places.get(path, 1)


def _keys(dotted: str) -> Path:
    return tuple(part.strip("\"'") for part in _KEY_PART.findall(dotted))


def _note(places: dict[Path, int], path: Path, number: int) -> None:
    for length in range(1, len(path) + 1):
        places.setdefault(path[:length], number)
