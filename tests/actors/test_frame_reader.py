"""Client frames through the port ``CallerSocket``: refusals are answered, and some end the socket."""

import contextlib
import json
from collections import deque

import trio
import trio.testing

from offhook.actors.caller_socket import FrameReader, SocketClosed
from offhook.protocol.signal import Close, decode_frame, encode_error


class Script:
    """A caller who sends these texts, each after so many seconds."""

    def __init__(self, *texts: str, pause: float = 0.0) -> None:
        self.origin: str | None = None
        self.address, self.path, self.session = "192.0.2.1", "/", "s"
        self.sent: list[str] = []
        self.code: int | None = None
        self._texts = deque(texts)
        self._pause = pause

    async def receive(self) -> str:
        await trio.sleep(self._pause)
        if self.code is not None or not self._texts:
            raise SocketClosed(self.code or 1006)
        return self._texts.popleft()

    async def send(self, text: str) -> None:
        self.sent.append(json.loads(text)["data"]["reason"])

    async def wait_received(self) -> None:
        """See ``CallerSocket``."""

    async def close(self, code: int = 1000, reason: str = "") -> None:
        assert reason
        self.code = code


def read_all(script: Script) -> list[object]:
    frames: list[object] = []

    async def main() -> None:
        reader = FrameReader(script, decode=decode_frame, encode=lambda refusal: encode_error("", refusal))
        with contextlib.suppress(SocketClosed):
            while True:
                frames.append(await reader.receive())

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    return frames


GOOD = '{"type":"close","sessionId":"s"}'


def test_bad_frames_are_answered_and_skipped() -> None:
    script = Script("{", '{"type":"x","sessionId":""}', '{"type":"close"}', GOOD)
    assert read_all(script) == [Close(session="s")]
    assert script.sent == ["invalid_json", "unknown_type", "invalid_field"]
    assert script.code is None


def test_fifth_invalid_json_within_a_minute_ends_the_socket() -> None:
    script = Script(*["{"] * 4, GOOD, "{", GOOD, pause=10.0)
    assert read_all(script) == [Close(session="s")]
    assert (script.sent, script.code) == (["invalid_json"] * 5, 4400)


def test_invalid_json_now_and_then_does_not() -> None:
    script = Script(*["{"] * 8, GOOD, pause=16.0)
    assert read_all(script) == [Close(session="s")]
    assert script.code is None


def test_offer_without_a_token_ends_the_socket() -> None:
    """Covers G2."""
    script = Script('{"type":"offer","sessionId":"","data":{"type":"offer","sdp":""}}', GOOD)
    assert read_all(script) == []
    assert (script.sent, script.code) == (["token_missing"], 4401)
