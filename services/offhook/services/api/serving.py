"""Serving the application with hypercorn, on trio."""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import anyio
from anyio.abc import TaskStatus
from hypercorn.config import Config
from hypercorn.trio import serve

from offhook.services.api.access import Rates
from offhook.services.api.application import Application
from offhook.services.api.call_tokens import CallTokens, IceServers
from offhook.services.api.calls import CallHistory
from offhook.services.api.demo import Mint
from offhook.services.api.dispatch import Answers
from offhook.services.api.keys import KeyRing

DEFAULT_RATES = Rates()


async def serve_api(
    host: str,
    port: int,
    *,
    store: CallHistory,
    keys: Callable[[], KeyRing],
    answers: Callable[[], Answers],
    tokens: CallTokens,
    web_folder: Path,
    mint: Mint | None = None,
    ice_servers: IceServers = tuple,
    websocket_path: str = "/ws",
    tokens_per_minute: int = 120,
    rates: Rates = DEFAULT_RATES,
    task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve HTTP on ``host`` and ``port`` (0: any free one) until cancelled; reports the port once it listens.

    ``keys`` and ``answers`` open what they name when it is first needed, ``tokens`` makes call tokens, ``mint`` gives
    those of the demo (None: there is no demo), ``ice_servers`` what goes with one, and ``websocket_path`` is where the
    same host takes signaling. Runs on trio only. Raises ``OSError`` when the address cannot be had.
    """
    application = Application(
        store=store,
        keys=keys,
        answers=answers,
        tokens=tokens,
        web_folder=web_folder,
        mint=mint,
        ice_servers=ice_servers,
        websocket_path=websocket_path,
        tokens_per_minute=tokens_per_minute,
        rates=rates,
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
