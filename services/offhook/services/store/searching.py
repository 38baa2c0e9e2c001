"""What calls are found by: the words of a text, and the facts of their metadata. Pure."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable

#: Letters of a word that count; the rest of a longer one is passed over.
MAX_WORD = 64
#: Words of a query that count.
MAX_QUERY = 16

_WORD = re.compile(r"\w+")


def words_of(text: str) -> list[str]:
    """The words of a text as they are compared: without case, width or form (NFKC), and without what stands between."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return [word[:MAX_WORD] for word in _WORD.findall(folded)]


def words_to_keep(texts: Iterable[str]) -> list[str]:
    """Each word of some texts once, sorted."""
    return sorted({word for text in texts for word in words_of(text)})


def words_to_find(text: str) -> list[str]:
    """What a call must hold to be found by ``text``: words that begin with each of these."""
    return list(dict.fromkeys(words_of(text)))[:MAX_QUERY]


def fts5_query(words: Iterable[str]) -> str:
    """The words as an FTS5 query: all of them, each as the beginning of a word."""
    return " AND ".join(f'"{word}"*' for word in words)


def tsquery(words: Iterable[str]) -> str:
    """The words as a ``tsquery`` of PostgreSQL that means the same."""
    return " & ".join(f"'{word}':*" for word in words)


def tsvector(words: Iterable[str]) -> str:
    """The words as the text of a ``tsvector`` of PostgreSQL."""
    return " ".join(f"'{word}'" for word in words)


def fact(name: str, value: str) -> str:
    """A name and its value as one short word, the same for the same two only (SHA-256)."""
    text = f"{len(name)}:{name}{value}".encode(errors="surrogatepass")
    return hashlib.sha256(text).hexdigest()[:32]
