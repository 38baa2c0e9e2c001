"""Keys in the database. Synchronous, as the store is; from any thread."""

import secrets
import time
import uuid
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from offhook.protocol.keys import (
    HINT,
    SIZE,
    Key,
    KeyKind,
    KeyNotFound,
    KeyUnfit,
    MadeKey,
    NewKey,
    check_new_key,
    hash_key,
    key_text,
)
from offhook.services.store.engine import away, open_engine, transaction
from offhook.services.store.schema import migrate
from offhook.services.store.tables import key_days, keys

#: Seconds in which the last use of a key is written down once.
USE_STEP = 60.0
DAY = 86400


def open_keys(place: str | Path) -> "Keys":
    """Open the keys at a database URL or the path of an SQLite file. Raises ``RecordsAway``, ``SchemaTooNew``."""
    with away():
        engine = open_engine(place)
        migrate(engine)
    return Keys(engine)


class Keys:
    """Keys of workspaces. Every method raises ``RecordsAway`` when the database cannot be reached."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(self, workspace: str, wanted: NewKey) -> MadeKey:
        """Make a key. Raises ``KeyUnfit``."""
        with away(), transaction(self._engine) as connection:
            return _insert(connection, workspace, check_new_key(wanted))

    def adopt(self, workspace: str, hashed: str) -> None:
        """Take in a secret key that was made elsewhere; does nothing when it is known, revoked or not."""
        key = Key(
            id=f"key_{hashed[:24]}", workspace=workspace, kind="secret", mode="live", name="first key", hint="",
            scopes=("*",), created_at=time.time(),
        )  # fmt: skip
        with away():
            with self._engine.connect() as connection:
                if connection.execute(select(keys.c.id).where(keys.c.hash == hashed)).first() is not None:
                    return
            try:
                with transaction(self._engine) as connection:
                    connection.execute(insert(keys), {"hash": hashed, **_columns(key)})
            except IntegrityError:
                # Another process has just done so.
                return

    def find(self, text: str) -> Key | None:
        """The key that counts now and is ``text``; the use is noted. Looked up by its hash, so no time tells of it."""
        now = time.time()
        with away(), self._engine.connect() as connection:
            row = connection.execute(select(*_SHOWN).where(keys.c.hash == hash_key(text))).first()
        key = None if row is None else _key(row)
        if key is None or not key.counts(now):
            return None
        if key.last_used_at is None or now - key.last_used_at >= USE_STEP:
            with away(), transaction(self._engine) as connection:
                connection.execute(
                    update(keys).where(keys.c.id == key.id), {"last_used_at": now // USE_STEP * USE_STEP}
                )
        return key

    def page(
        self, workspace: str, *, kind: KeyKind | None = None, limit: int, after: tuple[float, str] | None = None
    ) -> list[Key]:
        """Keys of a workspace, newest first, behind the one made at ``after`` (time, id)."""
        query = select(*_SHOWN).where(keys.c.workspace == workspace)
        if kind is not None:
            query = query.where(keys.c.kind == kind)
        if after is not None:
            query = query.where(tuple_(keys.c.created_at, keys.c.id) < tuple_(*after))
        query = query.order_by(keys.c.created_at.desc(), keys.c.id.desc()).limit(limit)
        with away(), self._engine.connect() as connection:
            return [_key(row) for row in connection.execute(query)]

    def get(self, workspace: str, id_: str) -> Key:
        """One key. Raises ``KeyNotFound``."""
        with away(), self._engine.connect() as connection:
            return _get(connection, workspace, id_)

    def rotate(self, workspace: str, id_: str, *, overlap: float) -> MadeKey:
        """Make a key like this one, which counts for ``overlap`` more seconds. Raises ``KeyNotFound``, ``KeyUnfit``."""
        now = time.time()
        with away(), transaction(self._engine) as connection:
            old = _get(connection, workspace, id_)
            if not old.counts(now):
                raise KeyUnfit("id", "This key does not count any more; make a new one.")
            wanted = NewKey(**{name: getattr(old, name) for name in NewKey.__struct_fields__})
            # One that was replaced before runs out for that reason; when it was made to stands in the last of its line.
            last = old
            while last.replaced_by is not None:
                last = _get(connection, workspace, last.replaced_by)
            wanted = msgspec.structs.replace(wanted, expires_at=last.expires_at)
            made = _insert(connection, workspace, wanted)
            until = now + overlap if old.expires_at is None else min(old.expires_at, now + overlap)
            connection.execute(update(keys).where(keys.c.id == id_), {"expires_at": until, "replaced_by": made.id})
        return made

    def revoke(self, workspace: str, id_: str) -> Key:
        """From now on the key does not count; a second time changes nothing. Raises ``KeyNotFound``."""
        with away(), transaction(self._engine) as connection:
            key = _get(connection, workspace, id_)
            if key.revoked_at is None:
                key = msgspec.structs.replace(key, revoked_at=time.time())
                connection.execute(update(keys).where(keys.c.id == id_), {"revoked_at": key.revoked_at})
        return key

    def spend(self, key: Key) -> float:
        """Take one call token of the key's quota of today: 0, or the seconds until there are some again."""
        if key.per_day is None:
            return 0.0
        while True:
            try:
                return self._spend(key)
            except IntegrityError:
                # The first of the day came twice at once (not on SQLite, which has one writer).
                continue

    def _spend(self, key: Key) -> float:
        assert key.per_day is not None
        now = time.time()
        day = int(now // DAY)
        mine = (key_days.c.key == key.id) & (key_days.c.day == day)
        with away(), transaction(self._engine) as connection:
            row = connection.execute(select(key_days.c.tokens).where(mine).with_for_update()).first()
            if row is None:
                connection.execute(insert(key_days), {"key": key.id, "day": day, "tokens": 1})
            elif row.tokens >= key.per_day:
                return (day + 1) * DAY - now
            else:
                connection.execute(update(key_days).where(mine), {"tokens": row.tokens + 1})
        return 0.0

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


#: Everything but the hash.
_SHOWN = [keys.c[name] for name in Key.__struct_fields__]


def _insert(connection: Connection, workspace: str, wanted: NewKey) -> MadeKey:
    text = key_text(wanted.kind, wanted.mode, secrets.token_bytes(SIZE))
    facts: dict[str, Any] = {name: getattr(wanted, name) for name in NewKey.__struct_fields__}
    made = MadeKey(
        **facts, id=f"key_{uuid.uuid4().hex}", workspace=workspace, hint=text[-HINT:], created_at=time.time(), key=text
    )
    columns = _columns(made)
    del columns["key"]
    connection.execute(insert(keys), {"hash": hash_key(text), **columns})
    return made


def _get(connection: Connection, workspace: str, id_: str) -> Key:
    row = connection.execute(select(*_SHOWN).where(keys.c.id == id_, keys.c.workspace == workspace)).first()
    if row is None:
        raise KeyNotFound("There is no key with this id.")
    return _key(row)


def _columns(key: Key) -> dict[str, Any]:
    columns: dict[str, Any] = msgspec.to_builtins(key)
    return columns


def _key(row: Any) -> Key:
    return msgspec.convert({str(name): value for name, value in row._mapping.items()}, Key)
