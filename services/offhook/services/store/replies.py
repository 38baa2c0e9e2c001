"""Answers to requests with an ``Idempotency-Key``, for whoever asks the same again within a day.

An answer may hold a key or a token, and none stands in the store: it is sealed (AES-GCM) with a secret that the caller
of this has and the store has not.
"""

import hashlib
import os
import time
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Engine, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from offhook.services.store.engine import away, open_engine, transaction
from offhook.services.store.schema import migrate
from offhook.services.store.tables import replies

#: Seconds for which an answer is known, and after which a request without one is given up.
KEPT = 86400.0
IN_FLIGHT = 60.0
_NONCE = 12


class Reply(msgspec.Struct, frozen=True):
    """An answer that was given."""

    status: int
    body: bytes


def open_replies(place: str | Path) -> "Replies":
    """Open the answers at a database URL or the path of an SQLite file. Raises ``RecordsAway``, ``SchemaTooNew``."""
    with away():
        engine = open_engine(place)
        migrate(engine)
    return Replies(engine)


class Replies:
    """Answers by id; every method raises ``RecordsAway`` when the database cannot be reached."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def begin(self, id_: str, fingerprint: str, *, secret: str) -> Reply | Literal["in_flight", "different"] | None:
        """The answer, ``in_flight`` while it is being given, ``different`` for another request.

        None: the request is yours to answer, then ``finish`` or ``drop``.
        """
        while True:
            try:
                return self._begin(id_, fingerprint, secret=secret)
            except IntegrityError:
                # Two came at once (not on SQLite, which has one writer); the other one was first.
                continue

    def _begin(self, id_: str, fingerprint: str, *, secret: str) -> Reply | Literal["in_flight", "different"] | None:
        now = time.time()
        with away(), transaction(self._engine) as connection:
            connection.execute(delete(replies).where(replies.c.begun_at <= now - KEPT))
            row = connection.execute(select(replies).where(replies.c.id == id_).with_for_update()).first()
            if row is None:
                values = {"id": id_, "fingerprint": fingerprint, "begun_at": now}
                connection.execute(insert(replies), values)
                return None
            if row.fingerprint != fingerprint:
                return "different"
            if row.status is not None:
                opened = _open(row.sealed, secret)
                return "different" if opened is None else Reply(row.status, opened)
            if row.begun_at > now - IN_FLIGHT:
                return "in_flight"
            connection.execute(update(replies).where(replies.c.id == id_), {"begun_at": now})
            return None

    def finish(self, id_: str, status: int, body: bytes, *, secret: str) -> None:
        """Keep the answer."""
        nonce = os.urandom(_NONCE)
        sealed = nonce + AESGCM(_seal_key(secret)).encrypt(nonce, body, None)
        with away(), transaction(self._engine) as connection:
            values = {"status": status, "sealed": sealed}
            connection.execute(update(replies).where(replies.c.id == id_), values)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def drop(self, id_: str) -> None:
        """No answer came of it: the next request with this key is the first."""
        with away(), transaction(self._engine) as connection:
            connection.execute(delete(replies).where(replies.c.id == id_, replies.c.status.is_(None)))


def _seal_key(secret: str) -> bytes:
    return hashlib.sha256(b"offhook reply\0" + secret.encode("utf-8", "surrogatepass")).digest()


def _open(sealed: bytes, secret: str) -> bytes | None:
    try:
        return AESGCM(_seal_key(secret)).decrypt(sealed[:_NONCE], sealed[_NONCE:], None)
    except InvalidTag:
        return None
