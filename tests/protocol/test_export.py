"""Exports: every record on its line, and no cell that a spreadsheet would run."""

import csv
import io

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offhook.protocol.export import export_lines, harmless
from offhook.protocol.record import Analysis, CallRecord, TranscriptLine

RECORD = CallRecord(
    id="1", agent="a", caller="=1+1", metadata={"plan": "gold"}, created_at=0.5,
    transcript=(TranscriptLine(1, "caller", 'He said "hi",\nand left', 0.0, 1.0),),
    analysis=Analysis(state="done", summary="@SUM(A1)", outcome="booked", fields={"day": "monday"}),
)  # fmt: skip


def rows(*records: CallRecord) -> list[list[str]]:
    text = b"".join(export_lines(records, "csv")).decode()
    return list(csv.reader(io.StringIO(text, newline="")))


def test_json_lines_are_the_records() -> None:
    lines = b"".join(export_lines([RECORD, RECORD], "jsonl")).splitlines()
    assert [msgspec.json.decode(line, type=CallRecord) for line in lines] == [RECORD, RECORD]


def test_csv_has_names_and_a_row_for_each_record() -> None:
    names, row = rows(RECORD)
    found = dict(zip(names, row, strict=True))
    assert found["transcript"] == 'caller: He said "hi",\nand left'
    assert found["created_at"] == "1970-01-01T00:00:00.500+00:00"
    assert (found["caller"], found["summary"], found["outcome"]) == ("'=1+1", "'@SUM(A1)", "booked")
    assert (found["answered_at"], found["metadata"]) == ("", '{"plan":"gold"}')


@pytest.mark.parametrize(
    "cell", ["=1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1", "  =1", "＝1", "|x", "%0A", "=cmd|' /C calc'!A0"]
)
def test_what_begins_like_a_formula_is_shown_and_not_run(cell: str) -> None:
    assert harmless(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "a=1", "1-1", "Hello", "'=1", "{}"])
def test_other_text_is_left_alone(cell: str) -> None:
    assert harmless(cell) == cell


@given(st.text(), st.text())
def test_no_text_breaks_out_of_its_cell(caller: str, said: str) -> None:
    record = msgspec.structs.replace(RECORD, caller=caller, transcript=(TranscriptLine(1, "agent", said, 0.0, 1.0),))
    names, row = rows(record)
    found = dict(zip(names, row, strict=True))
    assert not found["caller"].lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r"))
    written = found["transcript"].encode()
    assert written == f"agent: {said}".encode("utf-8", "replace")
