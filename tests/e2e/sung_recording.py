"""The recording of a call in which each line of the transcript is a tone: the caller's high, the agent's low."""

from pathlib import Path
from typing import Any

from test_media_recording import AGENT, CALLER, silent_recording, tone

from offhook.protocol.recording.packets import SILENCE
from offhook.protocol.speech import MOUTH_RATE
from offhook.services.media.encoder import OpusEncoder

#: It begins so many seconds after the call, and lasts so long.
BEGINS, SECONDS = 0.9, 8.0


def sung(line: int) -> tuple[float, float]:
    """Beginning and end of a line, seconds of the recording: each is 1.5 s long, the first after two seconds."""
    return 2 * line - BEGINS, 2 * line + 1.5 - BEGINS


def sing(folder: Path, call: str, lines: tuple[tuple[Any, str], ...]) -> tuple[str, int]:
    """Write the recording of ``call``; the name of the file and its size."""
    folder.mkdir(exist_ok=True)
    recording, clock = silent_recording(folder)
    encoder = OpusEncoder(MOUTH_RATE)
    for number in range(int(SECONDS * 50)):
        at, clock.now = number / 50, 100 + number / 50
        speaks = [role for line, (role, _) in enumerate(lines, 1) if sung(line)[0] <= at < sung(line)[1]]
        for role, send, frequency in (("caller", recording.heard, CALLER), ("agent", recording.sent, AGENT)):
            sound = encoder.encode(tone(frequency, 0.02, MOUTH_RATE, begin=at)) if role in speaks else SILENCE
            send(number * 960, sound)
    recording.write(last=True)
    file = (folder / recording.key).rename(folder / f"{call}.ogg")
    return file.name, file.stat().st_size
