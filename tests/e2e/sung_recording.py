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
    spoken = [(role, *sung(line)) for line, (role, _) in enumerate(lines, 1)]
    folder.mkdir(exist_ok=True)
    file = sing_spans(folder, spoken, SECONDS).rename(folder / f"{call}.ogg")
    return file.name, file.stat().st_size


def sing_spans(folder: Path, spans: list[tuple[str, float, float]], seconds: float) -> Path:
    """Write a recording in which a side is heard from a second to another, and silent else."""
    recording, clock = silent_recording(folder)
    # A tenth of a second of a tone ends where it began.
    tones = {role: sounds(frequency) for role, frequency in (("caller", CALLER), ("agent", AGENT))}
    for number in range(int(seconds * 50)):
        at, clock.now = number / 50, 100 + number / 50
        speaks = {role for role, begin, end in spans if begin <= at < end}
        for role, send in (("caller", recording.heard), ("agent", recording.sent)):
            send(number * 960, tones[role][number % 5] if role in speaks else SILENCE)
        if number % 25 == 24:
            recording.write()
    recording.write(last=True)
    return folder / recording.key


def sounds(frequency: float) -> list[bytes]:
    encoder = OpusEncoder(MOUTH_RATE)
    return [encoder.encode(tone(frequency, 0.02, MOUTH_RATE, begin=number / 50)) for number in range(5)]
