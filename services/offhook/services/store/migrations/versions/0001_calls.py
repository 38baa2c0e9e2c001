"""Calls, their states, their transcript, and how far each log has been taken.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None


def _call() -> sa.Column[str]:
    return sa.Column("call", sa.Text, sa.ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True)


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("failure", sa.Text),
        sa.Column("agent", sa.Text),
        sa.Column("version", sa.Text),
        sa.Column("workspace", sa.Text),
        sa.Column("mode", sa.Text),
        sa.Column("caller", sa.Text),
        sa.Column("callee", sa.Text),
        sa.Column("call_sid", sa.Text),
        sa.Column("variant", sa.Text),
        sa.Column("variables", sa.JSON, nullable=False),
        sa.Column("metadata", sa.JSON, nullable=False),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("answered_at", sa.Double),
        sa.Column("ended_at", sa.Double),
        sa.Column("duration", sa.Double, nullable=False),
    )
    op.create_index("calls_by_time", "calls", ["created_at", "id"])
    op.create_index("calls_by_state", "calls", ["state", "created_at"])
    op.create_index("calls_by_agent", "calls", ["agent", "created_at"])
    op.create_table(
        "call_states",
        _call(),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("because", sa.Text, nullable=False),
    )
    op.create_table(
        "transcript_lines",
        _call(),
        sa.Column("line", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("began", sa.Double, nullable=False),
        sa.Column("ended", sa.Double, nullable=False),
        sa.Column("interrupted", sa.Boolean, nullable=False),
    )
    op.create_table(
        "call_log_position",
        _call(),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("progress", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    for table in ("call_log_position", "transcript_lines", "call_states", "calls"):
        op.drop_table(table)
