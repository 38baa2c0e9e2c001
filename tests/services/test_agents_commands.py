"""``offhook agents push`` and its kin on a data folder (A1)."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import anyio.from_thread
import pytest
from api_stage import parts_for
from click.testing import CliRunner, Result

import offhook.web
from offhook.protocol.agent.history import FileAgent
from offhook.protocol.errors import OffhookError
from offhook.services.api import serve_api
from offhook.services.cli import offhook as command
from offhook.services.store import open_stored_agents, store_file

PARROT = 'id = "parrot"\nname = "Parrot"\n[brain]\nkind = "echo"\n'

Run = Callable[..., Result]


@pytest.fixture(params=["local", "remote"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Run]:
    """Runs ``offhook agents`` on a data folder, and on a server."""

    def run(where: list[str], *arguments: str) -> Result:
        return CliRunner().invoke(command, ["agents", *arguments, *where])

    if request.param == "local":
        yield partial(run, ["--data", str(tmp_path / "data")])
        return
    agents = open_stored_agents(store_file(tmp_path / "data"))
    with anyio.from_thread.start_blocking_portal("trio") as portal:
        parts = parts_for(None, offhook.web.FOLDER, agents=lambda: agents)
        server, port = portal.start_task(partial(serve_api, "127.0.0.1", 0, parts))
        yield partial(run, ["--server", f"http://127.0.0.1:{port}", "--key", "sk_main"])
        server.cancel()
    agents.close()


def test_push_publish_compare_and_go_back(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "agents"
    folder.mkdir()
    (folder / "bird.toml").write_text(PARROT)
    assert "no agents yet" in run("list").output
    assert run("push", str(folder), "--note", "first").output == "parrot: version 1, draft\n"
    assert run("push", str(folder)).output == "parrot: version 1, draft\n"
    assert run("publish", "parrot").output == "parrot: version 1 serves live now.\n"
    (folder / "bird.toml").write_text(PARROT.replace('"Parrot"', '"Polly"'))
    pushed = json.loads(run("push", str(folder), "--json").output)
    assert (pushed["agent"], pushed["number"], pushed["state"]) == ("parrot", 2, "draft") and "text" not in pushed
    assert '-name = "Parrot"\n+name = "Polly"\n' in run("diff", "parrot").output
    assert run("diff", "parrot", "--before", "2").output == "They are the same.\n"
    assert json.loads(run("publish", "parrot", "--json").output)["live"] == 2
    assert run("rollback", "parrot").output == "parrot: version 1 serves live now.\n"
    assert json.loads(run("publish", "parrot", "--environment", "sandbox", "--json").output)["sandbox"] == 2
    listed = json.loads(run("list", "--json").output)
    assert (listed["newest"], listed["live"], listed["sandbox"]) == (2, 1, 2)
    assert "Polly" in run("list").output
    pulled = tmp_path / "pulled"
    assert run("pull", str(pulled)).exit_code == 0
    assert (pulled / "parrot.toml").read_bytes() == (folder / "bird.toml").read_bytes()


def test_what_cannot_be_done_is_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "good.toml").write_text(PARROT)
    (tmp_path / "wrong.toml").write_text(PARROT.replace("name", "nmae").replace('"parrot"', '"jay"'))
    failed = run("push", str(tmp_path)).exception
    assert isinstance(failed, OffhookError) and "wrong.toml:2: nmae: there is no field `nmae`" in str(failed)
    assert run("list", "--json").output == ""
    for arguments in (("publish", "nobody"), ("rollback", "nobody"), ("diff", "nobody")):
        failed = run(*arguments).exception
        assert isinstance(failed, OffhookError) and str(failed) == "There is no agent with this id."
    assert "There is no folder" in run("push", str(tmp_path / "nowhere")).output


def test_agents_of_a_servers_files_are_listed_and_marked(tmp_path: Path) -> None:
    agents = open_stored_agents(store_file(tmp_path))
    files = (FileAgent(id="front-desk", name="Front desk", version="ab12cd34"),)
    with anyio.from_thread.start_blocking_portal("trio") as portal:
        parts = parts_for(None, offhook.web.FOLDER, agents=lambda: agents, agent_files=lambda workspace: files)
        server, port = portal.start_task(partial(serve_api, "127.0.0.1", 0, parts))
        listing = ["agents", "list", "--server", f"http://127.0.0.1:{port}", "--key", "sk_main"]
        shown, lines = (CliRunner().invoke(command, [*listing, *more]).output for more in ([], ["--json"]))
        server.cancel()
    agents.close()
    assert "a file" in shown and "ab12cd34" in shown
    assert json.loads(lines)["from_file"] is True


def test_a_server_needs_a_key_and_an_address() -> None:
    for where, why in (
        (["--server", "http://127.0.0.1:1"], "needs a secret key"),
        (["--server", "calls", "--key", "sk_x"], "is no address"),
    ):
        assert why in CliRunner().invoke(command, ["agents", "list", *where]).output
    away = CliRunner().invoke(command, ["agents", "list", "--server", "http://127.0.0.1:1", "--key", "sk_x"])
    assert "cannot be reached" in str(away.exception)
