"""Widgets in the database. Synchronous, as the store is; from any thread."""

import secrets
import time
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, delete, insert, select, tuple_, update

from offhook.protocol.keys import normal_domain
from offhook.protocol.widgets import Widget, WidgetFields, WidgetNotFound
from offhook.services.store.engine import away, open_engine, transaction
from offhook.services.store.reading import struct
from offhook.services.store.schema import migrate
from offhook.services.store.tables import widgets


def open_widgets(place: str | Path) -> "Widgets":
    """Open the widgets at a database URL or the path of an SQLite file. Raises ``RecordsAway``, ``SchemaTooNew``."""
    with away():
        engine = open_engine(place)
        migrate(engine)
    return Widgets(engine)


class Widgets:
    """Widgets of workspaces. Every method raises ``RecordsAway`` when the database cannot be reached."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(self, workspace: str, wanted: WidgetFields) -> Widget:
        """Make a widget. Raises ``KeyUnfit`` for a domain that is none."""
        now = time.time()
        values = {"code": secrets.token_hex(6), "workspace": workspace, "created_at": now, "changed_at": now}
        with away(), transaction(self._engine) as connection:
            connection.execute(insert(widgets), values | _columns(wanted))
            return _get(connection, workspace, str(values["code"]))

    def change(self, workspace: str, code: str, wanted: WidgetFields) -> Widget:
        """Have a widget be as wanted. Raises ``WidgetNotFound``, ``KeyUnfit``."""
        with away(), transaction(self._engine) as connection:
            _get(connection, workspace, code)
            values = {"changed_at": time.time(), **_columns(wanted)}
            connection.execute(update(widgets).where(widgets.c.code == code), values)
            return _get(connection, workspace, code)

    def delete(self, workspace: str, code: str) -> None:
        """Take a widget away. Raises ``WidgetNotFound``."""
        with away(), transaction(self._engine) as connection:
            _get(connection, workspace, code)
            connection.execute(delete(widgets).where(widgets.c.code == code))

    def get(self, workspace: str, code: str) -> Widget:
        """One widget. Raises ``WidgetNotFound``."""
        with away(), self._engine.connect() as connection:
            return _get(connection, workspace, code)

    def page(self, workspace: str, *, limit: int, after: tuple[float, str] | None = None) -> list[Widget]:
        """Widgets, newest first, behind the one made at ``after`` (time, code)."""
        query = select(widgets).where(widgets.c.workspace == workspace)
        if after is not None:
            query = query.where(tuple_(widgets.c.created_at, widgets.c.code) < tuple_(*after))
        query = query.order_by(widgets.c.created_at.desc(), widgets.c.code.desc()).limit(limit)
        with away(), self._engine.connect() as connection:
            return [struct(row, Widget) for row in connection.execute(query)]

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def _columns(wanted: WidgetFields) -> dict[str, Any]:
    domains = tuple(dict.fromkeys(map(normal_domain, wanted.domains)))
    columns: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(wanted, domains=domains))
    return columns


def _get(connection: Connection, workspace: str, code: str) -> Widget:
    row = connection.execute(select(widgets).where(widgets.c.code == code, widgets.c.workspace == workspace)).first()
    if row is None:
        raise WidgetNotFound("There is no widget with this code.")
    return struct(row, Widget)
