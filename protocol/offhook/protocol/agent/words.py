"""Words: what was spoken, recognized or typed, brought to one form so that it can be compared.

Recognizers write ``three thirty p.m.``, people type ``3:30pm!``, authors write ``what's`` or ``what is``. All of them
become the same tuple of lower-case words; numbers become words, contractions are written out. A clock time that was
typed (``15:30``) stays one word, because only it tells hours from minutes for sure.
"""

import re
import unicodedata

#: Longest text that is looked at, characters, and the most words of it.
MAX_TEXT = 2_000
MAX_WORDS = 60

_CARDINALS = (
    "zero one two three four five six seven eight nine ten eleven twelve "
    "thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
#: The numbers from 0 to 19, and the tens from 20 on.
ONES = tuple(_CARDINALS.split())
TENS = tuple(_TENS.split())

_CONTRACTIONS = {
    "can't": "can not",
    "cannot": "can not",
    "won't": "will not",
    "shan't": "shall not",
    "let's": "let us",
    "ok": "okay",
    "yep": "yes",
    "yeah": "yes",
    "yup": "yes",
    "nope": "no",
    "nah": "no",
    "wanna": "want to",
    "gonna": "going to",
    "thanks": "thank you",
    "hiya": "hi",
    "bye-bye": "bye",
}
#: ``'s`` is "is" after these; elsewhere it is a possessive.
_IS = frozenset({"what", "who", "that", "where", "when", "how", "it", "there", "here", "he", "she"})
_ENDINGS = (("n't", "not"), ("'re", "are"), ("'m", "am"), ("'ll", "will"), ("'d", "would"), ("'ve", "have"))

_HALF_OF_DAY = re.compile(r"(?<![a-z])([ap])(?:\.\s?m\b\.?|\sm\b)")
_HALF_AFTER_DIGIT = re.compile(r"(\d)([ap]m)\b")
_CLOCK = re.compile(r"\b(\d{1,2})[:.h](\d{2})\b")
_WORD = re.compile(r"\d{1,2}:\d{2}|\d+|[^\W\d_]+(?:['-][^\W\d_]+)*")


def number_words(number: int) -> str:
    """A whole number from 0 to 99 in words."""
    if number < len(ONES):
        return ONES[number]
    tens, ones = divmod(number, 10)
    return TENS[tens - 2] + (f" {ONES[ones]}" if ones else "")


def words(text: str) -> tuple[str, ...]:
    """The words of ``text`` in the form that is compared. Never raises; a text without words gives ``()``."""
    text = unicodedata.normalize("NFKC", text[:MAX_TEXT]).lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    text = _HALF_OF_DAY.sub(r"\1m", text)
    text = _HALF_AFTER_DIGIT.sub(r"\1 \2", text)
    text = _CLOCK.sub(r"\1:\2", text)
    found: list[str] = []
    for word in _WORD.findall(text)[:MAX_WORDS]:
        found += _written_out(word)
    return tuple(found[:MAX_WORDS])


def _written_out(word: str) -> list[str]:
    if ":" in word:
        return [word]
    if word.isdigit():
        # Up to two digits are a number; more are read one by one, as in a telephone number.
        return number_words(int(word)).split() if len(word) <= 2 else [ONES[int(digit)] for digit in word]
    if word in _CONTRACTIONS:
        return _CONTRACTIONS[word].split()
    for ending, full in _ENDINGS:
        if word.endswith(ending) and len(word) > len(ending):
            return [word.removesuffix(ending), full]
    if word.endswith("'s") and word[:-2] in _IS:
        return [word[:-2], "is"]
    return word.split("-")
