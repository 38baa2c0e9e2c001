"""Recordings: written beside a real call, and played by others (covers R5)."""

import asyncio
import contextlib
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.from_thread
import av
import numpy as np
import numpy.typing as npt
import pytest
from webrtc_caller import WebRtcCaller

from offhook.actors.link import AudioLink
from offhook.actors.ports import PeerConnected, Recorded
from offhook.protocol.speech import EAR_RATE, MOUTH_RATE
from offhook.services.media import AiortcEngine, FileRecorder
from offhook.services.media.encoder import OpusEncoder
from offhook.services.media.recoding import Recoder
from offhook.services.media.recorder import MAX_WAITING, FileRecording, delete_older

pytestmark = pytest.mark.anyio
Samples = npt.NDArray[np.float64]
RATE = 48_000
#: Hz of what the caller and the agent sing.
CALLER, AGENT = 700, 440


@pytest.fixture
def anyio_backend() -> object:
    return "asyncio", {"use_uvloop": True}


def tone(frequency: float, seconds: float, rate: int, *, begin: float = 0.0) -> bytes:
    at = begin + np.arange(int(seconds * rate)) / rate
    return bytes((8000 * np.sin(2 * np.pi * frequency * at)).astype("<i2").tobytes())


def play(file: Path) -> tuple[Samples, Samples]:
    """Left and right, as FFmpeg plays them at 48 kHz."""
    with av.open(str(file)) as container:
        resampler = av.AudioResampler(format="s16p", layout="stereo", rate=RATE)
        frames = [out.to_ndarray() for frame in container.decode(audio=0) for out in resampler.resample(frame)]
    left, right = np.concatenate(frames, axis=1).astype(np.float64)
    return left, right


def share(sound: Samples, frequency: float) -> float:
    """Part of the energy that lies within 5 Hz of a frequency."""
    power = np.abs(np.fft.rfft(sound)) ** 2
    middle = round(frequency * len(sound) / RATE)
    width = max(1, round(5 * len(sound) / RATE))
    return float(power[middle - width : middle + width + 1].sum() / (power.sum() + 1e-9))


def require_both_sides(file: Path) -> None:
    """The caller is on the left and on the left only, the agent on the right."""
    left, right = play(file)
    assert share(left, CALLER) > 0.9 and share(left, AGENT) < 0.01, "the caller is not alone on the left"
    assert share(right, AGENT) > 0.9 and share(right, CALLER) < 0.01, "the agent is not alone on the right"


@asynccontextmanager
async def recorder(folder: Path) -> AsyncIterator[FileRecorder]:
    made = FileRecorder(folder)
    task = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.wait([task])


async def record_call(folder: Path, *, caller: bytes, agent: bytes, hold: bool = False) -> Recorded:
    """The recording of a real call of about three seconds."""
    link = AudioLink()
    async with (
        recorder(folder) as made,
        made.open_recording("a-call", part=1, consent="2026-11") as recording,
        WebRtcCaller() as phone,
        AiortcEngine("127.0.0.1").open_peer(link, echo=False, tap=recording) as peer,
    ):
        await phone.accept(await peer.answer(await phone.offer()))
        async with asyncio.timeout(5):
            assert await peer.next_event() == PeerConnected()
        if hold:
            peer.hold()
        phone.say(caller)
        await link.play(agent)
        await phone.wait_heard(150)
        return await recording.finish()


async def test_both_sides_of_a_call_are_on_its_recording(tmp_path: Path) -> None:
    saved = await record_call(tmp_path, caller=tone(CALLER, 4, EAR_RATE), agent=tone(AGENT, 4, MOUTH_RATE))
    file = tmp_path / "a-call.ogg"
    require_both_sides(file)
    assert (saved.size, saved.failure) == (file.stat().st_size, "")
    assert len(play(file)[0]) / RATE == pytest.approx(saved.seconds, abs=0.02)
    assert 2.9 <= saved.seconds <= 6
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with av.open(str(file)) as container:
        tags = container.streams.audio[0].metadata
    assert (tags["TITLE"], tags["CONSENT"]) == ("Call a-call", "2026-11")


async def test_each_part_of_a_recording_has_a_file_of_its_own(tmp_path: Path) -> None:
    """As when a voice node was killed and another one on the same machine takes the call up."""
    async with recorder(tmp_path) as made:
        for part in (1, 3):
            async with made.open_recording("a-call", part=part, consent="") as recording:
                recording.sent(0, b"\x08\x00")
                saved = await recording.finish()
                assert (saved.failure, saved.size > 0) == ("", True)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a-call.3.ogg", "a-call.ogg"]


async def test_the_check_of_both_sides_notices_one_who_is_missing(tmp_path: Path) -> None:
    await record_call(tmp_path, caller=b"", agent=tone(AGENT, 4, MOUTH_RATE))
    with pytest.raises(AssertionError, match="the caller is not alone"):
        require_both_sides(tmp_path / "a-call.ogg")


async def test_hold_is_silent_on_the_recording(tmp_path: Path) -> None:
    """Neither the music nor what somebody says who believes not to be heard."""
    saved = await record_call(tmp_path, caller=tone(CALLER, 4, EAR_RATE), agent=tone(AGENT, 4, MOUTH_RATE), hold=True)
    assert saved.failure == ""
    if saved.size:
        left, right = play(tmp_path / "a-call.ogg")
        # The few packets between the connection and the hold.
        assert np.count_nonzero(left) < RATE / 5 and np.count_nonzero(right) < RATE / 5


class Clock:
    """A clock that tests move."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def silent_recording(folder: Path) -> tuple[FileRecording, Clock]:
    """A recording that only these tests write."""
    clock = Clock()
    return FileRecording(folder / "a-call.ogg", {"TITLE": "a call"}, anyio.CapacityLimiter(1), clock=clock), clock


def feed(recording: FileRecording, frames: int, *, begin: int = 0, clock: Clock | None = None) -> None:
    """Both sides sing; packets of 20 ms."""
    caller, agent = OpusEncoder(MOUTH_RATE), OpusEncoder(MOUTH_RATE)
    for number in range(begin, begin + frames):
        if clock is not None:
            clock.now = 100.0 + number * 0.02
        recording.heard(number * 960, caller.encode(tone(CALLER, 0.02, MOUTH_RATE, begin=number * 0.02)))
        recording.sent(number * 960, agent.encode(tone(AGENT, 0.02, MOUTH_RATE, begin=number * 0.02)))


#: Records in real time until it is killed; prints what it has recorded.
SINGER = """
import asyncio, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_media_recording import feed, recorder

async def main():
    async with recorder(Path(sys.argv[1])) as made, made.open_recording("a-call", part=1, consent="") as recording:
        number, began = 0, time.monotonic()
        while True:
            feed(recording, 1, begin=number)
            number += 1
            print(number * 0.02, flush=True)
            await asyncio.sleep(max(0.0, began + number * 0.02 - time.monotonic()))

asyncio.run(main())
"""


def test_a_killed_process_leaves_a_recording_that_plays_to_the_last_second(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SINGER, str(tmp_path), str(Path(__file__).parent)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as singer:
        assert singer.stdout is not None
        sung = 0.0
        for line in singer.stdout:
            sung = float(line)
            if sung >= 3.0:
                break
        singer.send_signal(signal.SIGKILL)
        for line in singer.stdout:
            sung = float(line)
    require_sound_until(tmp_path / "a-call.ogg", sung - 1.0)


def require_sound_until(file: Path, seconds: float) -> None:
    left, right = play(file)
    for side in (left, right):
        assert len(side) / RATE >= seconds
        assert np.sqrt(np.mean(side[: int(seconds * RATE)][-RATE // 10 :] ** 2)) > 1000


async def test_the_end_of_a_recording_that_stands_still_is_noticed(tmp_path: Path) -> None:
    """The check above can fail: without writes there is nothing that could be played."""
    made = FileRecorder(tmp_path)
    async with made.open_recording("a-call", part=1, consent="") as recording:
        feed(recording, 50)
        with pytest.raises((AssertionError, OSError)):
            require_sound_until(tmp_path / "a-call.ogg", 0.5)
        recording.write(last=True)


async def test_opusinfo_finds_nothing_wrong(tmp_path: Path) -> None:
    recording, clock = silent_recording(tmp_path)
    feed(recording, 200, clock=clock)
    recording.write(last=True)
    command = ["opusinfo", str(tmp_path / "a-call.ogg")]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "WARNING" not in said and "Streams: 2, Coupled: 0" in said and "0m:03.993s" in said, said


async def test_a_finished_recording_is_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    recording, clock = silent_recording(tmp_path)
    feed(recording, 50, clock=clock)
    saved = await recording.finish()
    recording.left = True
    feed(recording, 50, begin=50, clock=clock)
    recording.write()
    assert (tmp_path / "a-call.ogg").stat().st_size == saved.size
    assert not caplog.records and await recording.finish() == saved


async def test_a_full_disk_ends_the_recording_and_not_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording, clock = silent_recording(tmp_path)
    feed(recording, 100, clock=clock)
    recording.write()
    size = (tmp_path / "a-call.ogg").stat().st_size
    write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if write(descriptor, bytes(data)[:100]) and os.fstat(descriptor).st_size > size + 100:
            raise OSError(28, "No space left on device")
        return 100

    monkeypatch.setattr(os, "write", full)
    feed(recording, 100, begin=100, clock=clock)
    recording.write()
    feed(recording, 100, begin=200, clock=clock)
    saved = await recording.finish()
    assert saved.failure == "The disk did not take it: No space left on device."
    assert (saved.size, (tmp_path / "a-call.ogg").stat().st_size) == (size, size)
    assert len(play(tmp_path / "a-call.ogg")[0]) == pytest.approx(RATE * 1.6, abs=RATE * 0.03)


async def test_a_recording_that_is_left_while_it_is_written_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, writes, go_on = os.write, anyio.Event(), threading.Event()

    def slow(descriptor: int, data: bytes) -> int:
        anyio.from_thread.run_sync(writes.set)
        assert go_on.wait(5)
        return write(descriptor, data)

    async with recorder(tmp_path) as made:
        async with made.open_recording("a-call", part=1, consent="") as recording:
            monkeypatch.setattr(os, "write", slow)
            feed(recording, 50)
            await writes.wait()
        go_on.set()
        monkeypatch.undo()
        with anyio.fail_after(5):
            while not recording.closed:
                await anyio.sleep(0.01)
    assert str(tmp_path / "a-call.ogg") not in {
        os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
    }


async def test_a_disk_that_stands_still_costs_bounded_memory_and_is_told(tmp_path: Path) -> None:
    recording, clock = silent_recording(tmp_path)
    for number in range(MAX_WAITING + 7):
        clock.now += 0.02
        recording.sent(number * 960, b"\xf8\xff\xfe")
    saved = await recording.finish()
    assert saved.failure == "The disk was too slow: 7 packets of 20 ms were lost."


@pytest.mark.parametrize(("late", "failure"), [(20, ""), (50, "2.0 s of sound are not on it")])
async def test_a_recording_that_lacks_more_than_a_little_says_so(tmp_path: Path, late: int, failure: str) -> None:
    recording, clock = silent_recording(tmp_path)
    feed(recording, 100, clock=clock)
    # A stall of both sides; what was held back comes when its place is written.
    clock.now += 2.9
    recording.write()
    feed(recording, late, begin=100)
    clock.now += 0.5
    saved = await recording.finish()
    assert saved.failure.startswith(failure) if failure else not saved.failure


async def test_what_a_caller_sends_that_is_no_opus_is_left_out(tmp_path: Path) -> None:
    recording, clock = silent_recording(tmp_path)
    for number in range(50):
        clock.now += 0.02
        recording.heard(number * 960, b"\x03\x00" if number % 2 else b"")
        recording.sent(number * 960, OpusEncoder(MOUTH_RATE).encode(tone(AGENT, 0.02, MOUTH_RATE)))
    recording.write(last=True)
    left, right = play(tmp_path / "a-call.ogg")
    assert not np.any(left) and np.sqrt(np.mean(right**2)) > 1000


@pytest.mark.parametrize("milliseconds", [10, 20, 40, 60])
async def test_packets_of_any_length_are_recorded(tmp_path: Path, milliseconds: int) -> None:
    recording, clock = silent_recording(tmp_path)
    caller, sound = OpusEncoder(MOUTH_RATE), tone(CALLER, 3, MOUTH_RATE)
    size = MOUTH_RATE * milliseconds // 1000 * 2
    for number in range(len(sound) // size):
        clock.now += milliseconds / 1000
        recording.heard(number * milliseconds * 48, caller.encode(sound[number * size : (number + 1) * size]))
    recording.write(last=True)
    left, right = play(tmp_path / "a-call.ogg")
    assert share(left, CALLER) > 0.98 and not np.any(right)
    assert len(left) / RATE == pytest.approx(3, abs=0.07)


def test_old_recordings_are_deleted(tmp_path: Path) -> None:
    for name, age in (("old.ogg", 1000), ("new.ogg", 10), ("other.txt", 1000)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - age, time.time() - age))
    assert delete_older(tmp_path, time.time() - 100) == 1
    assert sorted(file.name for file in tmp_path.iterdir()) == ["new.ogg", "other.txt"]
    with contextlib.suppress(OSError):
        assert delete_older(tmp_path / "missing", time.time()) == 0


def test_a_gap_in_packets_that_are_encoded_again_moves_what_follows() -> None:
    recoder, encoder = Recoder(), OpusEncoder(MOUTH_RATE)
    ten = tone(CALLER, 0.01, MOUTH_RATE)
    assert recoder.recode(0, encoder.encode(ten)) == (0, [])
    begin, made = recoder.recode(480, encoder.encode(ten))
    assert (begin, len(made)) == (0, 1)
    assert recoder.recode(9600, encoder.encode(ten)) == (9600, [])
    begin, made = recoder.recode(10080, encoder.encode(ten))
    assert (begin, len(made)) == (9600, 1)
