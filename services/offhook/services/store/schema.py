"""Bringing a database to the tables of this version.

Alembic takes long to import, so it is asked only when there is something to migrate. An empty database gets the tables
at once and is stamped.
"""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from offhook.protocol.errors import OffhookError
from offhook.services.store.engine import WRITES
from offhook.services.store.tables import HEAD, metadata


class SchemaTooNew(OffhookError):
    """The database was migrated by a newer version of offhook."""


def migrate(engine: Engine) -> None:
    """Bring the database to ``HEAD``. Several processes may do so at once. Raises ``SchemaTooNew``."""
    with engine.connect() as connection:
        if _version(connection) == HEAD:
            return
    with engine.connect().execution_options(**{WRITES: True}) as connection, connection.begin():
        _take_lock(connection)
        version = _version(connection)
        if version == HEAD:
            return
        if version is None:
            metadata.create_all(connection)
            connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"))
            connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})
        else:
            upgrade(connection)


def upgrade(connection: Connection) -> None:
    """Run the migrations that are missing, in the transaction of ``connection``. Raises ``SchemaTooNew``."""
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise SchemaTooNew(
            "The database belongs to a newer version of offhook. Run that version, or restore an older backup."
        ) from error


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _take_lock(connection: Connection) -> None:
    # SQLite holds its one write lock already. The number only has to be the same in every process.
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(7332246)"))
