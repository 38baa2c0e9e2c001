"""A peer: an echo with aiortc, as its own server example does it (runs in an environment of its own)."""

import asyncio

import aioice.ice
from aiohttp import web
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaRelay

aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]  # noqa: ARG005

calls: set[RTCPeerConnection] = set()
relay = MediaRelay()


async def offer(request: web.Request) -> web.Response:
    """Answer an offer with a call that sends back what it receives."""
    asked = await request.json()
    call = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    calls.add(call)

    async def changed() -> None:
        if call.connectionState in ("failed", "closed"):
            await call.close()
            calls.discard(call)

    call.on("connectionstatechange", changed)
    call.on("track", lambda track: call.addTrack(relay.subscribe(track)))
    await call.setRemoteDescription(RTCSessionDescription(asked["sdp"], asked["type"]))
    await call.setLocalDescription(await call.createAnswer())
    return web.json_response({"sdp": call.localDescription.sdp, "type": "answer"})


async def main() -> None:
    """Serve until ended."""
    app = web.Application()
    app.router.add_post("/offer", offer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
