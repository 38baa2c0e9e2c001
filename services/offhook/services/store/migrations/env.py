"""Alembic's entry: migrate over the connection, and in the transaction, that ``schema.upgrade`` hands in."""

from alembic import context

from offhook.services.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # SQLite cannot alter most of a column in place; alembic then copies the table.
    render_as_batch=True,
)
context.run_migrations()
