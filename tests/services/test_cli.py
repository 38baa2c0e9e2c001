"""The command line as a person uses it: real processes, their output and exit codes."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import SOON, children_of, descendants_of, lives, program_of, until

from offhook.protocol.call import LogEntry
from offhook.protocol.call.events import Offered
from offhook.services.cli import checks
from offhook.services.settings import Address, Settings, data_folder, node_name, parse_address, signal_ready
from offhook.services.store import open_store, open_stored_agents, store_file
from offhook.services.tokens import open_workspace, verify_token
from offhook.services.up import hold_data_folder, unused_port

COMMANDS = [
    "up",
    "run",
    "token",
    "open",
    "calls",
    "calls show",
    "calls erase",
    "calls hold",
    "calls resume",
    "calls end",
    "calls export",
    "calls rebuild",
    "calls keep",
    "widgets",
    "widgets create",
    "widgets update",
    "webhooks",
    "webhooks create",
    "webhooks change",
    "webhooks replay",
    "replay",
    "dead",
    "agents",
    "agents check",
    "doctor",
    "completion",
]
CLI = [sys.executable, "-P", "-m", "offhook.services.cli"]


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing of the user's is found."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OFFHOOK_")}
    return {**kept, "HOME": str(tmp_path / "home"), "XDG_DATA_HOME": str(tmp_path / "xdg"), "COLUMNS": "100"}


def offhook(home: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CLI, *arguments],
        env=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SOON,
        check=False,
    )


def complaint(done: subprocess.CompletedProcess[str], code: int) -> str:
    """The sentence of a command that failed with ``code``: on stderr, without a traceback."""
    assert done.returncode == code, done
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("offhook: ")
    return done.stderr.splitlines()[0].removeprefix("offhook: ")


# ── help ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_says_its_version(home: dict[str, str]) -> None:
    assert offhook(home, "--version").stdout.startswith("offhook 0.")


def test_lists_its_commands(home: dict[str, str]) -> None:
    said = offhook(home, "--help").stdout
    assert all(f" {command} " in said for command in COMMANDS if " " not in command)


@pytest.mark.parametrize("command", COMMANDS)
def test_teaches_each_command(command: str, home: dict[str, str]) -> None:
    done = offhook(home, *command.split(), "--help")
    assert done.returncode == 0
    assert f"Usage: offhook {command}" in done.stdout


def test_help_needs_nothing_heavy() -> None:
    """What is slow to import is imported by the command that needs it."""
    code = "import sys, offhook.services.cli; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    heavy = {"trio", "asyncio", "aiortc", "av", "numpy", "nats", "sqlalchemy", "litestar", "structlog", "pocketsphinx"}
    assert loaded & heavy == set()


# ── mistakes ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nonsense"], "No such command 'nonsense'."),
        (["up", "--http", "8080x"], "has no port: write HOST:PORT"),
        (["up", "--http", "127.0.0.1:99999"], "must be a number from 0 to 65535"),
        (["up", "--media-address", "router"], "'router' is not an IP address"),
        (["up", "--ice", "stun.example.org"], "'stun.example.org' is not a STUN or TURN address"),
        (["up", "--ice", "turn:turn.example.org"], "A TURN server needs --turn-secret"),
        (["run", "api", "--nats", "nats://x", "--ice", "turns:turn.example.org"], "A TURN server needs --turn-secret"),
        (["up", "--agents", "/no/such/folder"], "'/no/such/folder' does not exist"),
        (["run", "butler", "--nats", "nats://127.0.0.1:1"], "'butler' is not one of"),
        (["run", "gateway"], "Missing option '--nats'"),
        (["token"], "Missing option '--agent'"),
        (["token", "--agent", "nobody"], "There is no agent 'nobody'. Agents here: front-desk."),
        (["token", "--agent", "front-desk", "--ttl", "0"], "0 is not in the range"),
        (["token", "--agent", "front-desk", "--version", "7"], "The agent 'front-desk' has no version '7'; see"),
        (["completion", "tcsh"], "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
        (["agents", "check"], "Missing argument 'FILE...'"),
        (["calls", "--limit", "many"], "'many' is not a valid integer"),
    ],
)
def test_a_wrong_command_is_one_sentence_and_exit_code_2(
    arguments: list[str], sentence: str, home: dict[str, str]
) -> None:
    done = offhook(home, *arguments)
    assert sentence in complaint(done, 2)
    (hint,) = done.stderr.splitlines()[1:]
    assert hint.startswith("Try: offhook")


def test_options_come_from_the_environment_too(home: dict[str, str]) -> None:
    assert "'nowhere' has no port" in complaint(offhook({**home, "OFFHOOK_HTTP": "nowhere"}, "up"), 2)


def test_a_call_that_is_not_there_is_exit_code_1(home: dict[str, str]) -> None:
    assert "There is no call 'abc'" in complaint(offhook(home, "calls", "show", "abc"), 1)


# ── tokens, agents, calls, doctor ──────────────────────────────────────────────────────────────────────────────────


def test_the_token_stands_alone_on_the_last_line(home: dict[str, str], tmp_path: Path) -> None:
    done = offhook(home, "token", "--agent", "front-desk", "--data", str(tmp_path / "data"))
    token = done.stdout.splitlines()[-1]
    assert token.count(".") == 2 and " " not in token
    assert done.returncode == 0


def test_a_token_for_a_draft_and_for_previews(home: dict[str, str], tmp_path: Path) -> None:
    """Covers G8: what REST gives is given here, too."""
    data = tmp_path / "data"
    workspace = open_workspace(data)
    agents = open_stored_agents(store_file(data))
    agents.create(workspace.id, 'id = "parrot"\nname = "Parrot"\n[brain]\nkind = "echo"\n')
    agents.close()
    for options, version, drafts in (
        (("--version", "1"), "1", False),
        (("--version", "draft"), "draft", False),
        (("--preview",), "draft", True),
        (("--preview", "--version", "1"), "1", True),
    ):
        done = offhook(home, "token", "--agent", "parrot", *options, "--data", str(data))
        grant = verify_token(workspace, done.stdout.splitlines()[-1])
        assert (grant.agent, grant.version, grant.drafts) == ("parrot", version, drafts)
    done = offhook(home, "token", "--agent", "parrot", "--data", str(data))
    assert "is not published; publish it, or name a version: --version draft" in complaint(done, 2)
    done = offhook(home, "token", "--agent", "parrot", "--version", "2", "--data", str(data))
    assert complaint(done, 2) == "The agent 'parrot' has no version '2'; see offhook agents list."


def test_bash_completes_commands_and_values(home: dict[str, str]) -> None:
    """As a shell does it: load what the command prints, then press Tab."""
    script = """
        eval "$(offhook completion bash)"
        COMP_WORDS=($1); COMP_CWORD=$2; _offhook_completion offhook; echo "${COMPREPLY[@]}"
    """
    path = f"{Path(sys.executable).parent}:{home['PATH']}"
    for words, at, completed in (("offhook wid", 1, "widgets"), ("offhook token --age", 2, "--agent --agents")):
        command = ["bash", "-c", script, "bash", words, str(at)]
        done = subprocess.run(command, env=home | {"PATH": path}, capture_output=True, text=True, check=True)
        assert done.stdout.split() == completed.split(), done


def test_no_calls_yet(home: dict[str, str]) -> None:
    done = offhook(home, "calls")
    assert done.returncode == 0 and done.stdout.startswith("No calls yet")


@pytest.mark.parametrize(
    "arguments",
    [
        ("calls", "show", "6f1c", "--data", "{data}", "--json"),
        ("calls", "--data", "{data}", "show", "--json", "6f1c"),
        ("calls", "show", "--data={data}", "--json", "6f1c"),
    ],
)
def test_a_call_is_shown_wherever_the_options_stand(
    arguments: tuple[str, ...], home: dict[str, str], tmp_path: Path
) -> None:
    call = "6f1c2d3e-0000-4000-8000-000000000001"
    store = open_store(store_file(tmp_path))
    store.project(
        LogEntry(
            call=call,
            seq=1,
            at=1.0,
            owner=1,
            event=Offered(agent="front-desk", version="1", workspace="w", sdp="v=0", mode="echo"),
        )
    )
    store.close()
    done = offhook(home, *(word.format(data=tmp_path) for word in arguments))
    assert json.loads(done.stdout)["id"] == call


def test_reading_calls_makes_nothing(home: dict[str, str], tmp_path: Path) -> None:
    offhook(home, "calls", "--data", str(tmp_path / "data"))
    assert not (tmp_path / "data").exists()


def test_agent_documents_are_checked_one_by_one(home: dict[str, str], tmp_path: Path) -> None:
    right, wrong, binary = tmp_path / "right.toml", tmp_path / "wrong.toml", tmp_path / "binary.toml"
    demo = Path(checks.__file__).parent.parent / "agents" / "front-desk.toml"
    right.write_text(demo.read_text("utf-8"), "utf-8")
    wrong.write_text('id = "front desk"\n', "utf-8")
    binary.write_bytes(b"\xff\xfe")
    done = offhook(home, "agents", "check", *map(str, (right, wrong, binary, tmp_path / "missing.toml")))
    assert done.returncode == 1
    assert done.stdout == f"{right}: ok, agent front-desk\n"
    assert f"{wrong}:1: id" in done.stderr
    assert f"{binary}: is not UTF-8 text" in done.stderr
    assert "missing.toml: cannot be read (No such file or directory)" in done.stderr
    assert offhook(home, "agents", "check", str(right)).returncode == 0


def test_doctor_finds_this_machine_fit(home: dict[str, str], tmp_path: Path) -> None:
    done = offhook(home, "doctor", "--json", "--data", str(tmp_path), "--http", f"127.0.0.1:{unused_port()}")
    findings = {finding["check"]: finding for finding in json.loads(done.stdout)}
    needed = {"python", "data", "port", "nats-server", "opus", "recognizer", "synthesizer"}
    assert {name for name in findings if findings[name]["verdict"] == "ok"} >= needed
    assert done.returncode == 0


def test_doctor_fails_when_the_port_is_taken_and_says_how_to_mend_it(home: dict[str, str], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = offhook(home, "doctor", "--data", str(tmp_path), "--http", f"127.0.0.1:{port}")
    assert done.returncode == 1
    assert f"fail  port         Port {port} on 127.0.0.1 is in use" in done.stdout
    assert "Stop the program that uses it, or choose another with --http" in done.stdout


def test_doctor_knows_offhook_itself_on_the_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, hold_data_folder(tmp_path):
        findings = {f.check: f for f in checks.examine(tmp_path, Address(*server.getsockname()), None)}
    assert findings["port"].verdict is checks.Verdict.OK
    assert "offhook is running" in findings["port"].text


@pytest.mark.parametrize(
    ("finding", "verdict"),
    [
        (lambda: checks.python_version((3, 10)), "fail"),
        (lambda: checks.data_folder(Path("/proc/nothing")), "fail"),
        (lambda: checks.media("192.0.2.77"), "warn"),
        (lambda: checks.media("127.0.0.1"), "ok"),
        (lambda: checks.microphone(Address("0.0.0.0", 80)), "warn"),
        (lambda: checks.for_tests("x", "no-such-program"), "warn"),
    ],
)
def test_what_is_not_right_has_a_way_to_mend_it(finding: Callable[[], checks.Finding], verdict: str) -> None:
    found = finding()
    assert found.verdict == verdict
    assert bool(found.mend) is (verdict != "ok")


# ── settings ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "address", "url"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080), "http://localhost:8080"),
        (":80", Address("0.0.0.0", 80), "http://localhost"),
        ("[::1]:1", Address("::1", 1), "http://localhost:1"),
        ("[2001:db8::7]:8080", Address("2001:db8::7", 8080), "http://[2001:db8::7]:8080"),
        ("talk.example.org:0", Address("talk.example.org", 0), "http://talk.example.org:0"),
    ],
)
def test_addresses_are_read_and_shown(text: str, address: Address, url: str) -> None:
    assert parse_address(text) == address
    assert parse_address(str(address)) == address
    assert address.url == url


@pytest.mark.parametrize(
    "text",
    ["", "8080", "host", "host:", "host:http", "host:-1", "host:65536", "::1:80", "http://host:80", "a b:1", "h:٣"],
)
def test_what_is_no_address_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        parse_address(text)


def test_the_data_folder_follows_xdg() -> None:
    assert data_folder({"XDG_DATA_HOME": "/srv"}) == Path("/srv/offhook")
    assert data_folder({"XDG_DATA_HOME": "relative"}) == data_folder({}) == Path.home() / ".local/share/offhook"


def test_a_restarted_process_is_another_node() -> None:
    assert node_name("voice") != node_name("voice")
    assert "." not in node_name("voice") and " " not in node_name("voice")


def test_ready_is_said_once_and_the_pipe_is_closed() -> None:
    reading, writing = os.pipe()
    signal_ready(Settings(nats="", data=Path(), ready_fd=writing))
    with open(reading, "rb") as pipe:
        assert pipe.read() == b"ready\n"
    signal_ready(Settings(nats="", data=Path()))


# ── up ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_up_says_what_is_wrong_before_it_starts_anything(home: dict[str, str], tmp_path: Path) -> None:
    data = tmp_path / "data"
    free = f"127.0.0.1:{unused_port()}"
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = f"127.0.0.1:{server.getsockname()[1]}"
        assert "is in use" in complaint(offhook(home, "up", "--http", taken, "--data", str(data)), 1)
    with hold_data_folder(tmp_path / "held"):
        held = offhook(home, "up", "--http", free, "--data", str(tmp_path / "held"))
        assert f"already running on the data folder {tmp_path / 'held'}" in complaint(held, 1)
    agents = tmp_path / "agents"
    agents.mkdir()
    (agents / "wrong.toml").write_text('id = "front desk"\n', "utf-8")
    wrong = offhook(home, "up", "--http", free, "--data", str(data), "--agents", str(agents))
    assert "wrong.toml:1: id" in complaint(wrong, 1)
    away = offhook(home, "up", "--http", free, "--data", str(data), "--nats", f"nats://127.0.0.1:{unused_port()}")
    assert "--nats" in complaint(away, 1) or "NATS" in complaint(away, 1)


@contextmanager
def running(home: dict[str, str], data: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``offhook up``, ready, and the address of its page."""
    http = f"127.0.0.1:{unused_port()}"
    command = [*CLI, "up", "--http", http, "--data", str(data)]
    process = subprocess.Popen(command, env=home, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith("offhook is ready: http://localhost:"), first
        yield process, f"http://{http}/"
    finally:
        process.kill()
        process.communicate()


def page_is_served(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=SOON) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_up_serves_mends_itself_and_ends(home: dict[str, str], tmp_path: Path) -> None:
    with running(home, tmp_path / "data") as (process, url):
        assert page_is_served(url)
        started = descendants_of(process.pid)
        first = children_of(process.pid)
        assert len(first) == 5
        for victim in first:  # the server between the roles, and every role
            os.kill(victim, signal.SIGKILL)
        await until(lambda: len(set(children_of(process.pid)) - set(first)) == 5)
        await until(lambda: page_is_served(url))
        started += descendants_of(process.pid)
        process.send_signal(signal.SIGTERM)
        await until(lambda: process.poll() is not None)
        assert process.returncode == 0
        await until(lambda: not any(map(lives, started)))


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_nothing_of_up_survives_its_sudden_death(home: dict[str, str], tmp_path: Path) -> None:
    with running(home, tmp_path / "data") as (process, _):
        started = descendants_of(process.pid)
        assert "nats-server" in map(program_of, started)
        process.kill()
        await until(lambda: not any(map(lives, started)))


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_a_reader_that_has_had_enough_is_no_error(home: dict[str, str]) -> None:
    line = f"{' '.join(CLI)} --help | true"
    done = subprocess.run(["bash", "-c", line], env=home, capture_output=True, text=True, check=False)
    assert done.stderr == ""
