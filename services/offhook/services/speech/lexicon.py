"""The pronouncing dictionary: which words the recognizer knows, and how it says the ones it does not.

The dictionary is the one in the pocketsphinx wheel (CMUdict, 134,860 entries, ARPAbet phones). It is read when the
first word is looked up (about 0.1 s) and kept for the life of the process; it never changes.
"""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pocketsphinx

#: Folder of the acoustic model, the dictionary and the language models.
MODEL = Path(pocketsphinx.get_model_path("en-us"))

# Longest first at each place of a word. English spelling is not regular: this gives a pronunciation that is near enough
# for names the dictionary lacks, not a good one.
_SOUNDS = {
    "tion": "SH AH N", "sion": "ZH AH N", "ough": "AO", "augh": "AO", "eigh": "EY", "igh": "AY", "tch": "CH",
    "sch": "SH", "dge": "JH", "ch": "CH", "sh": "SH", "th": "TH", "ph": "F", "wh": "W", "ck": "K", "ng": "NG",
    "qu": "K W", "gh": "G", "kn": "N", "wr": "R", "ee": "IY", "ea": "IY", "oo": "UW", "ou": "AW", "ow": "OW",
    "oi": "OY", "oy": "OY", "ai": "EY", "ay": "EY", "au": "AO", "aw": "AO", "ei": "AY", "ey": "IY", "ie": "IY",
    "oa": "OW", "ue": "UW", "er": "ER", "ir": "ER", "ur": "ER", "ar": "AA R", "or": "AO R", "bb": "B", "cc": "K",
    "dd": "D", "ff": "F", "gg": "G", "ll": "L", "mm": "M", "nn": "N", "pp": "P", "rr": "R", "ss": "S", "tt": "T",
    "zz": "Z", "ce": "S EH", "ci": "S IH", "cy": "S IY", "ge": "JH EH", "gi": "JH IH", "a": "AE", "b": "B", "c": "K",
    "d": "D", "e": "EH", "f": "F", "g": "G", "h": "HH", "i": "IH", "j": "JH", "k": "K", "l": "L", "m": "M", "n": "N",
    "o": "OW", "p": "P", "q": "K", "r": "R", "s": "S", "t": "T", "u": "AH", "v": "V", "w": "W", "x": "K S", "y": "IY",
    "z": "Z",
}  # fmt: skip
_SOUND = re.compile("|".join(sorted(_SOUNDS, key=len, reverse=True)))
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

_JSGF_NOISE = re.compile(
    r"""//[^\n]* | /\*.*?\*/           # comments
      | \{(?:\\.|[^\\}])*\}            # tags
      | /\s*[0-9.]+\s*/                # weights
      | <[^>]*>                        # rule names
      | ^\s*\#JSGF[^;]*; | \bgrammar\s+[^;]*; | \bpublic\b
    """,
    re.VERBOSE | re.DOTALL,
)
_WORD = re.compile(r"[^\s()\[\]|*+;=/\"{}<>,.!?:\u2026\u2013\u2014]+")


@cache
def _entries() -> dict[str, str]:
    entries: dict[str, str] = {}
    with (MODEL / "cmudict-en-us.dict").open(encoding="utf-8") as lines:
        for line in lines:
            word, _, phones = line.rstrip().partition(" ")
            entries[word] = phones
    return entries


def words_in(text: str) -> list[str]:
    """The words of a sentence, lower case, as the recognizer counts them (``p.m.`` is ``p`` and ``m``)."""
    return [word for word in _WORD.findall(text.lower().replace("\u2019", "'")) if any(map(str.isalnum, word))]


def words_in_grammar(grammar: str) -> list[str]:
    """The distinct words of a JSGF grammar, sorted."""
    return sorted({word.lower() for word in _WORD.findall(_JSGF_NOISE.sub(" ", grammar))})


def unknown_words(words: Iterable[str]) -> list[str]:
    """Those of ``words`` the dictionary lacks, once each, in order; they are recognized by a guess at their sound."""
    entries = _entries()
    return [word for word in dict.fromkeys(map(str.lower, words)) if word not in entries]


def pronunciations(word: str) -> list[str]:
    """All pronunciations of a word in ARPAbet, from the dictionary or guessed; at least one."""
    entries = _entries()
    if word not in entries:
        return [_guess(word)]
    found = [entries[word]]
    while (other := entries.get(f"{word}({len(found) + 1})")) is not None:
        found.append(other)
    return found


def _guess(word: str) -> str:
    entries = _entries()
    # Two known words make a compound: "offhook" is "off" and "hook". The longest first part wins.
    for cut in range(len(word) - 3, 2, -1):
        if word[:cut] in entries and word[cut:] in entries:
            return f"{entries[word[:cut]]} {entries[word[cut:]]}"
    phones = [
        entries[_DIGITS[int(part)]] if part.isdecimal() and part.isascii() else _SOUNDS[part]
        for part in re.findall(f"[0-9]|{_SOUND.pattern}", word)
    ]
    # A token without any sound (a stray symbol) is said by a pause.
    return " ".join(phones) or "SIL"
