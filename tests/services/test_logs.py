"""Log lines: fields are shown, for people and for programs."""

import json
import logging
from collections.abc import Iterator

import pytest

from offhook.services.logs import set_up_logs


@pytest.fixture(autouse=True)
def own_root() -> Iterator[None]:
    """Give the root logger back as it was."""
    root = logging.getLogger()
    handlers, level, strict = root.handlers[:], root.level, logging.raiseExceptions
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.raiseExceptions = strict


def test_a_line_for_people_has_role_text_fields_and_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(role="voice")
    log = logging.getLogger("offhook.voice")
    log.warning("message refused", extra={"call": "c1", "why": "no such type"})
    try:
        raise ValueError("seven")
    except ValueError:
        log.exception("connection failed")
    first, *others = capsys.readouterr().err.splitlines()
    assert first.endswith("warning [voice] message refused call='c1' why='no such type'")
    assert others[0].endswith("error   [voice] connection failed")
    assert others[-1] == "ValueError: seven"


def test_a_line_for_programs_is_one_object_whatever_the_fields_hold(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(role="voice", format="json")
    logging.getLogger("x").error("%d left", 2, extra={"call": "c1", "odd": object, "text": "two\nlines"})
    [line] = capsys.readouterr().err.splitlines()
    fields = json.loads(line)
    assert fields.pop("timestamp").endswith("Z")
    assert fields == {
        "level": "error",
        "role": "voice",
        "event": "2 left",
        "call": "c1",
        "odd": repr(object),
        "text": "two\nlines",
    }


def test_libraries_speak_from_warnings_on(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logs(role="voice", level="info")
    logging.getLogger("aioice.ice").info("about itself")
    logging.getLogger("offhook.voice").info("about calls")
    assert [line.partition("] ")[2] for line in capsys.readouterr().err.splitlines()] == ["about calls"]
