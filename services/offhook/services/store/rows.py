"""Many rows of a table at one time.

PostgreSQL gets them as one JSON text and makes rows of it: a statement for each row would cost it and us several times
what the writing does. SQLite runs in this process and takes them one by one; what costs there is to make parameters of
them, so they go to the driver as they are.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import msgspec
from sqlalchemy import (
    ARRAY,
    JSON,
    Connection,
    CursorResult,
    LargeBinary,
    Select,
    Table,
    Text,
    any_,
    bindparam,
)

#: Values by the names of their columns; the same columns, in one order, in all rows.
Rows = Sequence[dict[str, Any]]


def insert_rows(connection: Connection, table: Table, rows: Rows) -> None:
    """Add rows to a table."""
    if rows:
        _run(connection, table, _insert(connection.dialect.name, table, tuple(rows[0])), rows)


def update_rows(connection: Connection, table: Table, rows: Rows) -> None:
    """Change rows of a table, each found by its first value."""
    if rows:
        _run(connection, table, _update(connection.dialect.name, table, tuple(rows[0])), rows)


def rows_of(connection: Connection, query: Select[Any], calls: Sequence[str]) -> CursorResult[Any]:
    """What a query of a table with a column ``call`` finds of some calls."""
    return connection.execute(_of_calls(query, connection.dialect.name), {"calls": calls})


@cache
def _of_calls(query: Select[Any], dialect: str) -> Select[Any]:
    call = query.selected_columns["call"]
    if dialect == "postgresql":
        # One parameter, however many calls there are.
        return query.where(call == any_(bindparam("calls", type_=ARRAY(Text))))
    return query.where(call.in_(bindparam("calls", expanding=True)))


def _run(connection: Connection, table: Table, statement: str, rows: Rows) -> None:
    if connection.dialect.name == "postgresql":
        rows = _with(rows, _columns(table, LargeBinary), lambda value: f"\\x{value.hex()}")
        connection.exec_driver_sql(statement, (_json(rows),))
    else:
        rows = _with(rows, _columns(table, JSON), _json)
        connection.exec_driver_sql(statement, [tuple(row.values()) for row in rows])


def _with(rows: Rows, names: frozenset[str], convert: Callable[[Any], str]) -> Rows:
    """The rows with what stands in some columns converted; NULL stays."""
    if not (names := names & rows[0].keys()):
        return rows
    return [row | {name: convert(row[name]) for name in names if row[name] is not None} for row in rows]


@cache
def _columns(table: Table, kind: type) -> frozenset[str]:
    return frozenset(column.name for column in table.columns if isinstance(column.type, kind))


# The names in the statements below are those of our own tables and columns, none comes from outside (S608).


@cache
def _insert(dialect: str, table: Table, names: tuple[str, ...]) -> str:
    columns = ", ".join(f'"{name}"' for name in names)
    into = f'INSERT INTO "{table.name}" ({columns})'
    if dialect == "postgresql":
        return f"{into} SELECT {columns} FROM {_from_json(table)}"  # noqa: S608
    return f"{into} VALUES ({', '.join('?' * len(names))})"


@cache
def _update(dialect: str, table: Table, names: tuple[str, ...]) -> str:
    key, *changed = names
    if dialect == "postgresql":
        values = ", ".join(f'"{name}" = new."{name}"' for name in changed)
        same = f'"{table.name}"."{key}" = new."{key}"'
        return f'UPDATE "{table.name}" SET {values} FROM {_from_json(table)} AS new WHERE {same}'  # noqa: S608
    values = ", ".join(f'"{name}" = ?{number}' for number, name in enumerate(changed, 2))
    return f'UPDATE "{table.name}" SET {values} WHERE "{key}" = ?1'  # noqa: S608


def _from_json(table: Table) -> str:
    return f'json_populate_recordset(CAST(NULL AS "{table.name}"), CAST(%s AS json))'


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
