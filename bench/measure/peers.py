"""The servers that are measured: how each is started, and how it is given an offer.

Python's peers live in environments of their own below ``~/.cache/offhook-bench`` (or ``$XDG_CACHE_HOME``), made the
first time; Janus comes from Debian (`apt-get install janus`). What cannot be installed is left out, and said.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "offhook-bench"
#: Seconds for a server to say its port, and for an answer.
START, ANSWER = 60.0, 20.0

_JANUS = {
    "janus.jcfg": """
general: { configs_folder = "@" interface = "127.0.0.1" debug_level = 2 event_loops = 1 session_timeout = 0 }
media: { rtp_port_range = "20000-40000" }
nat: { full_trickle = false }
plugins: { disable = "libjanus_audiobridge.so,libjanus_duktape.so,libjanus_lua.so,libjanus_nosip.so,\
libjanus_recordplay.so,libjanus_sip.so,libjanus_streaming.so,libjanus_textroom.so,libjanus_videocall.so,\
libjanus_videoroom.so,libjanus_voicemail.so" }
transports: { disable = "libjanus_websockets.so,libjanus_mqtt.so,libjanus_nanomsg.so,libjanus_pfunix.so,\
libjanus_rabbitmq.so" }
""",
    "janus.transport.http.jcfg": """
general: { json = "compact" http = true port = #PORT# ip = "127.0.0.1" https = false }
admin: { admin_http = false }
""",
    "janus.plugin.echotest.jcfg": "general: { }",
}


class NotHere(Exception):
    """A peer that cannot be installed here; the text says why, and what would help."""


@dataclass
class Server:
    """A server that runs: its process, and how it is asked."""

    process: subprocess.Popen[str]
    port: int
    mode: str
    #: Connections that a call lives as long as.
    open: list[asyncio.StreamWriter] = field(default_factory=list)

    async def exchange(self, offer: str) -> str:
        """Ask offhook: one line each way."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.open.append(writer)
        writer.write(json.dumps({"sdp": offer, "mode": self.mode}).encode() + b"\n")
        return str(json.loads(await asyncio.wait_for(reader.readline(), ANSWER))["sdp"])

    def hang_up(self) -> None:
        """End all calls that live by their connection."""
        while self.open:
            self.open.pop().close()

    def stop(self) -> None:
        """End it."""
        self.hang_up()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class HttpServer(Server):
    """Takes the offer as the body of a POST, as the examples of aiortc and pipecat do."""

    async def exchange(self, offer: str) -> str:
        """Ask."""
        path = "/api/offer" if self.mode == "pipecat" else "/offer"
        return str((await post(self.port, path, {"sdp": offer, "type": "offer"}))["sdp"])


class JanusServer(Server):
    """Janus' echo test over its HTTP interface."""

    async def exchange(self, offer: str) -> str:
        """Ask: a session, a handle, the offer; the answer comes as an event."""
        session = (await self._ask("/janus", {"janus": "create"}))["data"]["id"]
        attach = {"janus": "attach", "plugin": "janus.plugin.echotest"}
        handle = (await self._ask(f"/janus/{session}", attach))["data"]["id"]
        message = {
            "janus": "message",
            "body": {"audio": True, "video": False},
            "jsep": {"type": "offer", "sdp": offer},
        }
        await self._ask(f"/janus/{session}/{handle}", message)
        while True:
            event = await post(self.port, f"/janus/{session}?maxev=1", None)
            if "jsep" in event:
                return str(event["jsep"]["sdp"])

    async def _ask(self, path: str, message: dict[str, Any]) -> dict[str, Any]:
        return await post(self.port, path, {**message, "transaction": "load"})


async def post(port: int, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
    """One request on a connection of its own; a GET without a body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    data = b"" if body is None else json.dumps(body).encode()
    writer.write(
        f"{'GET' if body is None else 'POST'} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n".encode()
        + data
    )
    head, _, rest = (await asyncio.wait_for(reader.read(), ANSWER)).partition(b"\r\n\r\n")
    writer.close()
    if b" 200 " not in head.split(b"\r\n", 1)[0]:
        raise ConnectionError(head.split(b"\r\n", 1)[0].decode())
    found: dict[str, Any] = json.loads(rest[rest.index(b"{") : rest.rindex(b"}") + 1])
    return found


# ── how each is started ────────────────────────────────────────────────────────────────────────────────────────────


def start(name: str, core: int) -> Server:
    """Start a server on one core. Raises ``NotHere``."""
    if name.startswith("offhook"):
        _, mode, *loop = name.split("-")
        command = [sys.executable, str(FOLDER / "media_server.py"), "--loop", loop[0] if loop else "uvloop"]
        return _started(Server, command, core, mode)
    if name == "janus":
        return _start_janus(core)
    packages = {"aiortc": ["aiortc==1.16.0"], "pipecat": ["pipecat-ai[webrtc]", "fastapi"]}[name.partition("-")[0]]
    python = _environment(name.partition("-")[0], [*packages, "aiohttp", "uvicorn", "uvloop", "numpy"])
    return _started(HttpServer, [str(python), str(FOLDER / f"peer_{name}.py")], core, name)


def _started(kind: type[Server], command: Sequence[str], core: int, mode: str) -> Server:
    """A process that prints its port."""
    process = subprocess.Popen(
        ["taskset", "-c", str(core), *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line.isdigit():
        process.kill()
        raise NotHere(f"{' '.join(command)} does not start")
    return kind(process, int(line), mode)


def _environment(name: str, packages: Sequence[str]) -> Path:
    folder = CACHE / name
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        uv = os.environ.get("UV", "uv")
        make = [uv, "venv", "--clear", "--quiet", "--python", sys.executable, str(folder)]
        fill = [uv, "pip", "install", "--quiet", "--python", str(python), *packages]
        for command in (make, fill):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise NotHere(f"{name} cannot be installed: {done.stderr.strip().splitlines()[-1:]}")
        (folder / "ready").touch()
    return python


def _start_janus(core: int) -> Server:
    janus, compiler = shutil.which("janus"), shutil.which("cc")
    if janus is None or compiler is None:
        raise NotHere("Janus needs `apt-get install janus gcc`")
    folder = CACHE / "janus"
    folder.mkdir(parents=True, exist_ok=True)
    port = 18000 + os.getpid() % 2000
    for name, text in _JANUS.items():
        (folder / name).write_text(text.replace("@", str(folder)).replace("#PORT#", str(port)))
    shim = folder / "loopback.so"
    source = str(FOLDER / "loopback.c")
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-o", str(shim), source, "-ldl"], check=True)
    process = subprocess.Popen(
        ["taskset", "-c", str(core), janus, "-F", str(folder), "-C", str(folder / "janus.jcfg")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "LD_PRELOAD": str(shim)},
        text=True,
    )
    return JanusServer(process, port, "echo")


async def wait_ready(server: Server) -> None:
    """Wait until the server takes connections. Raises ``NotHere``."""
    try:
        async with asyncio.timeout(START):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
                except OSError:
                    await asyncio.sleep(0.1)
                else:
                    writer.close()
                    return
    except TimeoutError:
        raise NotHere("it takes no connections") from None
