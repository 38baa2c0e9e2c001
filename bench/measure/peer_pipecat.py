"""A peer: an echo in a pipeline of pipecat over its SmallWebRTC transport (runs in an environment of its own)."""

import asyncio
import socket
import sys
from typing import Any

import aioice.ice
import uvicorn
from fastapi import FastAPI, Request
from loguru import logger
from pipecat.frames.frames import InputAudioRawFrame, OutputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameProcessor
from pipecat.transports.base_transport import TransportParams
from pipecat.transports.smallwebrtc.request_handler import SmallWebRTCRequest, SmallWebRTCRequestHandler
from pipecat.transports.smallwebrtc.transport import SmallWebRTCTransport
from pipecat.workers.runner import WorkerRunner

aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]  # noqa: ARG005
logger.remove()
logger.add(sys.stderr, level="WARNING")


class Echo(FrameProcessor):  # type: ignore[misc]
    """Says back what it hears."""

    async def process_frame(self, frame: Any, direction: Any) -> None:
        """One frame."""
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            frame = OutputAudioRawFrame(
                audio=frame.audio, sample_rate=frame.sample_rate, num_channels=frame.num_channels
            )
        await self.push_frame(frame, direction)


async def talk(connection: Any) -> None:
    """One call."""
    parameters = TransportParams(audio_in_enabled=True, audio_out_enabled=True)
    transport = SmallWebRTCTransport(webrtc_connection=connection, params=parameters)
    pipeline = Pipeline([transport.input(), Echo(), transport.output()])
    worker = PipelineWorker(pipeline, params=PipelineParams(), idle_timeout_secs=None)

    @transport.event_handler("on_client_disconnected")  # type: ignore[untyped-decorator]
    async def gone(_transport: Any, _client: Any) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


app = FastAPI()
handler = SmallWebRTCRequestHandler()
tasks: set[asyncio.Task[None]] = set()


@app.post("/api/offer")  # type: ignore[untyped-decorator]
async def offer(request: Request) -> Any:
    """Answer an offer."""

    async def connected(connection: Any) -> None:
        task = asyncio.create_task(talk(connection))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    asked = SmallWebRTCRequest.from_dict(await request.json())
    return await handler.handle_web_request(request=asked, webrtc_connection_callback=connected)


if __name__ == "__main__":
    listening = socket.create_server(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    asyncio.run(server.serve(sockets=[listening]))
