"""``offhook calls export``, ``rebuild`` and ``keep``, on a folder of data and on PostgreSQL, with nothing running."""

import json
from pathlib import Path

import anyio
import msgspec
import pytest
from click.testing import CliRunner, Result
from postgres import PostgresServer
from test_replay import CALL, record, short_log, write

from offhook.protocol.call import events as ev
from offhook.protocol.record import fold_record
from offhook.services.cli import offhook
from offhook.services.store import Store, open_store, store_file


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with the log of one call, and no record of it."""
    folder = tmp_path / "data"
    folder.mkdir()
    anyio.run(write, folder, short_log())
    return folder


def run(data: Path, *arguments: str) -> Result:
    return CliRunner().invoke(offhook, [*arguments, "--data", str(data)], env={"COLUMNS": "120", "OFFHOOK_NATS": None})


def check_rebuilt(store: Store) -> None:
    assert store.call(CALL) == fold_record(CALL, short_log())
    store.close()


def test_a_lost_store_is_rebuilt_from_the_logs(data: Path) -> None:
    done = run(data, "calls", "rebuild")
    assert (done.exit_code, done.output) == (0, "Rebuilt 1 records.\n")
    check_rebuilt(open_store(store_file(data)))
    assert run(data, "calls", "rebuild", CALL).output == "Rebuilt 1 records.\n"
    assert run(data, "calls", "rebuild", "nobody").output == "Rebuilt 0 records, left 1 as they are.\n"


def test_records_move_to_postgresql(data: Path, postgres: PostgresServer) -> None:
    url = postgres.new_database()
    assert run(data, "calls", "rebuild", "--store", url).exit_code == 0
    check_rebuilt(open_store(url))
    assert not store_file(data).exists()
    shown = run(data, "calls", "show", CALL[:8], "--json", "--store", url)
    assert json.loads(shown.output)["id"] == CALL
    assert run(data, "replay", CALL, "--store", url).exit_code == 0
    assert "its record with 1 lines" in run(data, "calls", "erase", CALL, "--yes", "--store", url).output
    assert run(data, "calls", "rebuild", CALL, "--store", url).output.startswith("Rebuilt 0")


def test_export_to_a_file_and_to_the_terminal(data: Path, tmp_path: Path) -> None:
    record(data, short_log())
    lines = run(data, "calls", "export").stdout.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [CALL]
    file = tmp_path / "calls.csv"
    done = run(data, "calls", "export", "--format", "csv", "--output", str(file), "--agent", "front-desk")
    assert done.stderr == f"Wrote 1 calls to {file}.\n"
    assert file.read_text().splitlines()[0].startswith("id,channel,state,")
    assert run(data, "calls", "export", "--agent", "nobody").stdout == ""
    assert run(data, "calls", "export", "--since", "soon").exit_code == 2


def test_a_recording_is_copied_to_a_file_or_out(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Covers R5."""
    key, log = f"{CALL}.ogg", short_log()
    log[3:3] = [msgspec.structs.replace(log[3], event=ev.RecordingBegan(key=key))]
    record(data, [msgspec.structs.replace(entry, seq=seq) for seq, entry in enumerate(log, 1)])
    gone = run(data, "calls", "recording", CALL)
    assert (gone.exit_code, "is not kept here any more" in gone.output) == (1, True)
    sound, folder = bytes(range(256)) * 300, data / "recordings"
    folder.mkdir()
    (folder / key).write_bytes(sound)
    assert run(data, "calls", "recording", CALL[:8], "--output", "-").stdout_bytes == sound
    monkeypatch.chdir(tmp_path)
    assert run(data, "calls", "recording", CALL).stderr == f"Wrote 76,800 bytes to {key}.\n"
    assert (tmp_path / key).read_bytes() == sound
    assert run(data, "calls", "recording", CALL, "--output", str(tmp_path / "b.ogg")).exit_code == 0
    assert (tmp_path / "b.ogg").read_bytes() == sound


def test_a_call_without_a_recording_has_nothing_to_copy(data: Path) -> None:
    record(data, short_log())
    assert "was not recorded" in run(data, "calls", "recording", CALL).output


def test_calls_are_listed_by_what_was_said(data: Path) -> None:
    record(data, short_log())
    assert CALL[:8] in run(data, "calls", "--text", "hello").output
    assert run(data, "calls", "--text", "swordfish").output == "No such calls.\n"


def test_how_long_calls_are_kept(data: Path) -> None:
    assert run(data, "calls", "keep").output == "Calls are kept for ever.\n"
    assert run(data, "calls", "keep", "--days", "30").output == "Calls are kept for 30 days.\n"
    assert run(data, "calls", "keep").output == "Calls are kept for 30 days.\n"
    assert run(data, "calls", "keep", "--for-ever").output == "Calls are kept for ever.\n"
    assert run(data, "calls", "keep", "--for-ever", "--days", "3").exit_code == 2


@pytest.mark.parametrize("url", ["mysql://secret@x/y", "postgresql:/x", "offhook"])
def test_a_wrong_store_is_said_without_its_password(data: Path, url: str) -> None:
    done = run(data, "calls", "keep", "--store", url)
    assert done.exit_code == 2 and "postgresql://USER" in done.output and "secret" not in done.output
