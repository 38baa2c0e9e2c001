"""espeak-ng by its C library (``speak_lib.h``, version 1.52), for the worker process alone: it is GPL-3.

The library keeps global state, so there is one engine per process and one text at a time.
"""

import ctypes
from collections.abc import Callable, Iterable
from ctypes import POINTER, byref, c_char, c_char_p, c_int, c_short, c_size_t, c_uint, c_void_p

import espeakng_loader

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples come by callback within espeak_Synth
_DONT_EXIT = 1 << 15  # espeakINITIALIZE_DONT_EXIT: report missing data, do not end the process
_BUFFER_MS = 60
_CHARS_UTF8 = 1
_CHARACTER = 1  # POS_CHARACTER
_EVENT_END, _EVENT_WORD = 0, 1
_RATE, _VOLUME, _PITCH, _RANGE, _WORD_GAP = 1, 2, 3, 4, 7

#: Called with 16-bit samples and the words that begin in or before them, as (sample, end in the text); True stops.
Listener = Callable[[bytes, list[tuple[int, int]]], bool]


class _EventId(ctypes.Union):
    _fields_ = (("number", c_int), ("name", c_char_p), ("string", c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", c_int),
        ("unique_identifier", c_uint),
        ("text_position", c_int),
        ("length", c_int),
        ("audio_position", c_int),
        ("sample", c_int),
        ("user_data", c_void_p),
        ("id", _EventId),
    )


_Callback = ctypes.CFUNCTYPE(c_int, POINTER(c_short), c_int, POINTER(_Event))


class Espeak:
    """The engine of this process. Raises ``RuntimeError`` when the library or its data is broken."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._library.espeak_Synth.argtypes = [
            c_char_p, c_size_t, c_uint, c_int, c_uint, c_uint, POINTER(c_uint), c_void_p
        ]  # fmt: skip
        data = espeakng_loader.get_data_path().encode()
        #: Hz of the samples.
        self.rate: int = self._library.espeak_Initialize(_SYNCHRONOUS, _BUFFER_MS, data, _DONT_EXIT)
        if self.rate <= 0:
            raise RuntimeError("espeak-ng cannot read its data")
        self._listener: Listener | None = None
        # Kept, because the library holds only the pointer.
        self._callback = _Callback(self._on_samples)
        self._library.espeak_SetSynthCallback(self._callback)

    def set_voice(self, names: Iterable[str], *, rate: int, pitch: int, pitch_range: int, word_gap: int) -> None:
        """Take the first of ``names`` that exists; ``rate`` in words per minute, ``word_gap`` in 10 ms."""
        for name in names:
            if self._library.espeak_SetVoiceByName(name.encode()) == 0:
                break
        else:
            raise RuntimeError("espeak-ng has none of the voices")
        for parameter, value in ((_RATE, rate), (_PITCH, pitch), (_RANGE, pitch_range), (_WORD_GAP, word_gap)):
            self._library.espeak_SetParameter(parameter, value, 0)

    def speak(self, text: str, listener: Listener) -> None:
        """Synthesize plain text; returns when done or stopped by the listener."""
        data = text.encode()
        self._listener = listener
        result = self._library.espeak_Synth(data, len(data) + 1, 0, _CHARACTER, 0, _CHARS_UTF8, byref(c_uint()), None)
        self._listener = None
        if result != 0:
            raise RuntimeError(f"espeak-ng returned {result}")

    def _on_samples(self, samples: "ctypes._Pointer[c_short]", count: int, events: "ctypes._Pointer[_Event]") -> int:
        words = []
        index = 0
        while events[index].type != _EVENT_END:
            event = events[index]
            if event.type == _EVENT_WORD:
                # text_position counts characters from 1.
                words.append((event.sample, event.text_position - 1 + event.length))
            index += 1
        pcm = ctypes.string_at(samples, count * 2) if samples and count > 0 else b""
        assert self._listener is not None
        return int(self._listener(pcm, words)) if pcm or words else 0
