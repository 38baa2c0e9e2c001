"""Reading an agent document from TOML, with errors that say where and what to do."""

import difflib
import re
import tomllib
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from offhook.protocol.agent.checks import Finding, check
from offhook.protocol.agent.document import AgentDocument, Intent, Node, Slot, ToolDeclaration, Variant, vary
from offhook.protocol.agent.problems import DocumentError, Path, Problem, line_of, locate
from offhook.protocol.speech import Voice

T = TypeVar("T")

_AT = re.compile(r"(?P<what>.*?)(?: - at `(?P<where>key in )?\$(?P<path>.*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>.*)`")
_MISSING = re.compile(r"Object missing required field `(?P<field>.*)`")
_TOML_LINE = re.compile(r"line (\d+)")

#: The sections that are read entry by entry, so that every wrong one is reported.
_SECTIONS: dict[str, Any] = {
    "tools": ToolDeclaration,
    "slots": Slot,
    "intents": Intent,
    "nodes": Node,
    "variants": Variant,
}


def load_agent(text: str, *, file: str) -> AgentDocument:
    """Read and check an agent document; ``file`` only names it in errors.

    Raises ``DocumentError`` with every problem of the first kind found: TOML, then fields, then sense.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _TOML_LINE.search(str(error))
        line = int(place[1]) if place else max(1, text.count("\n"))
        raise DocumentError(file, (Problem(line, "", f"this is not TOML: {error}"),)) from error
    findings: list[Finding] = []
    document = _document(raw, findings)
    if document is not None and not findings:
        findings += check(document)
        if not findings:
            # What is wrong now is the variant's doing.
            for name, variant in document.variants.items():
                findings += [(("variants", name, *path), why) for path, why in check(vary(document, variant))]
    if findings or document is None:
        places = locate(text)
        problems = (Problem(line_of(places, path), ".".join(path), message) for path, message in findings)
        raise DocumentError(file, tuple(problems))
    return document


def _document(raw: dict[str, Any], findings: list[Finding]) -> AgentDocument | None:
    """Convert the head of the document and each entry of its sections on their own."""
    sections: dict[str, dict[str, Any]] = {}
    for name, kind in _SECTIONS.items():
        entries = raw.pop(name, {})
        if not isinstance(entries, dict):
            findings.append(((name,), f"must be a table; write [{name}.something] with fields below it"))
            continue
        made = {entry: _convert(fields, kind, (name, entry), findings) for entry, fields in entries.items()}
        sections[name] = {entry: value for entry, value in made.items() if value is not None}
    if isinstance(voice := raw.get("voice"), dict):
        known = [field.name for field in msgspec.structs.fields(Voice)]
        findings += [(("voice", field), _unknown(field, known)) for field in voice if field not in known]
    document = _convert(raw, AgentDocument, (), findings)
    return document and msgspec.structs.replace(document, **sections)


def _convert(raw: Any, kind: type[T], path: Path, findings: list[Finding]) -> T | None:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        findings.append(_explain(str(error), raw, path))
        return None


def _explain(error: str, raw: Any, path: Path) -> Finding:
    """Turn a message of msgspec into a finding: the path in the document and what to do."""
    parsed = _AT.fullmatch(error)
    assert parsed is not None
    what = parsed["what"]
    path += tuple(_steps(parsed["path"] or ""))
    if (unknown := _UNKNOWN.fullmatch(what)) is not None:
        return (*path, unknown["field"]), _unknown(unknown["field"], _fields_near(path, raw))
    if (missing := _MISSING.fullmatch(what)) is not None:
        return path, f"the field `{missing['field']}` is missing; add `{missing['field']} = ...`"
    if what.startswith("Invalid value '"):
        return (*path, "kind") if path[-1:] != ("kind",) else path, f"{what}; write one of: {_kinds(path)}"
    return path, f"{what[0].lower()}{what[1:]}; correct the value"


def _steps(path: str) -> Iterator[str]:
    """``.on[...]`` as keys; msgspec does not say which key of a table it means, so the path ends there."""
    for step in re.findall(r"[A-Za-z_]\w*|\[\d+\]|\[\.\.\.\]", path):
        if step.startswith("["):
            return
        yield step


def _unknown(field: str, known: list[str]) -> str:
    near = difflib.get_close_matches(field, known, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"remove it, or use one of: {', '.join(known)}"
    return f"there is no field `{field}` here; {hint}"


def _fields_near(path: Path, raw: Any) -> list[str]:
    """Names of the fields that the table at ``path`` may have."""
    if path[:1] == ("nodes",) and len(path) == 2:
        kinds = {kind.__struct_config__.tag: kind for kind in Node.__args__}
        kind = kinds.get(raw.get("kind"))
        return ["kind", *kind.__struct_fields__] if kind is not None else ["kind"]
    kind = _SECTIONS.get(path[0]) if path else AgentDocument
    if kind is None or len(path) > 2:
        kind = {field.name: field.type for field in msgspec.structs.fields(AgentDocument)}.get(path[0])
    return list(getattr(kind, "__struct_fields__", ()))


def _kinds(path: Path) -> str:
    kinds = Node if path[:1] == ("nodes",) else AgentDocument.__annotations__["brain"]
    return ", ".join(str(kind.__struct_config__.tag) for kind in kinds.__args__)
