"""Serving the application with hypercorn, on trio."""

import logging
from functools import partial

import anyio
from anyio.abc import TaskStatus
from hypercorn.config import Config
from hypercorn.trio import serve

from offhook.services.api.application import Application, Parts


async def serve_api(
    host: str, port: int, parts: Parts, *, task_status: TaskStatus[int] = anyio.TASK_STATUS_IGNORED
) -> None:
    """Serve HTTP on ``host`` and ``port`` (0: any free one) until cancelled; reports the port once it listens.

    Runs on trio only. Raises ``OSError`` when the address cannot be had.
    """
    application = Application(parts)
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
