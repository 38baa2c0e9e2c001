"""Serving the application with hypercorn, on trio."""

import logging
from functools import partial
from pathlib import Path

import anyio
from anyio.abc import TaskStatus
from hypercorn.config import Config
from hypercorn.trio import serve

from offhook.services.api.application import Application, CallHistory, IceServers, Mint, Verify


async def serve_api(
    host: str,
    port: int,
    *,
    store: CallHistory,
    web_folder: Path,
    mint: Mint | None = None,
    ice_servers: IceServers = tuple,
    verify: Verify | None = None,
    websocket_path: str = "/ws",
    tokens_per_minute: int = 120,
    task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve HTTP on ``host`` and ``port`` (0: any free one) until cancelled; reports the port once it listens.

    ``mint`` gives demo tokens (None: there is no demo), ``ice_servers`` what goes with one, ``verify`` knows secret
    keys (None: none is valid), and ``websocket_path`` is where the same host takes signaling. Runs on trio only. Raises
    ``OSError`` when the address cannot be had.
    """
    application = Application(
        store=store,
        web_folder=web_folder,
        mint=mint,
        ice_servers=ice_servers,
        verify=verify,
        websocket_path=websocket_path,
        tokens_per_minute=tokens_per_minute,
    )
    async with anyio.create_task_group() as tasks:
        binds = await tasks.start(partial(serve, application.asgi(), _config(host, port), mode="asgi"))
        task_status.started(int(binds[0].rpartition(":")[2]))


def _config(host: str, port: int) -> Config:
    config = Config()
    config.bind = [f"[{host}]:{port}" if ":" in host else f"{host}:{port}"]
    # A logger given ready-made keeps hypercorn from attaching handlers of its own.
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    config.include_server_header = False
    config.graceful_timeout = 0.5
    config.keep_alive_timeout = 15.0
    config.read_timeout = None
    return config
