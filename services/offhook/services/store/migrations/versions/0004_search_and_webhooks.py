"""Finding calls by text and metadata, erasing, retention, analyses, webhooks.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | None = None
depends_on: str | None = None

FTS5 = (
    """CREATE VIRTUAL TABLE transcript_words USING fts5(
        words, content='transcript_search', content_rowid='id', detail='none',
        tokenize='unicode61 remove_diacritics 0 tokenchars ''_'''
    )""",
    """CREATE TRIGGER transcript_search_added AFTER INSERT ON transcript_search BEGIN
        INSERT INTO transcript_words (rowid, words) VALUES (new.id, new.words);
    END""",
    """CREATE TRIGGER transcript_search_deleted AFTER DELETE ON transcript_search BEGIN
        INSERT INTO transcript_words (transcript_words, rowid, words) VALUES ('delete', old.id, old.words);
    END""",
)


def upgrade() -> None:
    op.create_index("calls_by_reason", "calls", ["reason", "created_at"])
    op.create_index("calls_by_channel", "calls", ["channel", "created_at"])
    op.create_table(
        "call_facts",
        sa.Column("call", sa.Text, sa.ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("fact", sa.Text, primary_key=True),
    )
    op.create_index("call_facts_by_fact", "call_facts", ["fact", "call"])
    op.create_table(
        "transcript_search",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("call", sa.Text, sa.ForeignKey("calls.id", ondelete="CASCADE"), nullable=False, unique=True),
        sa.Column("words", sa.Text().with_variant(TSVECTOR(), "postgresql"), nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.create_index("transcript_search_by_word", "transcript_search", ["words"], postgresql_using="gin")
    else:
        for statement in FTS5:
            op.execute(statement)
    op.create_table(
        "erasures",
        sa.Column("call", sa.Text, primary_key=True),
        sa.Column("workspace", sa.Text),
        sa.Column("asked_at", sa.Double, nullable=False),
        sa.Column("done_at", sa.Double),
        sa.Column("files", sa.JSON, nullable=False),
        sa.Column("deleted", sa.JSON, nullable=False),
    )
    op.create_index("erasures_by_end", "erasures", ["done_at"])
    op.create_table(
        "retention",
        sa.Column("workspace", sa.Text, primary_key=True),
        sa.Column("days", sa.Integer, nullable=False),
    )
    op.create_table(
        "call_analyses",
        sa.Column("call", sa.Text, primary_key=True),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("workspace", sa.Text),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("next_at", sa.Double, nullable=False),
        sa.Column("summary", sa.Text),
        sa.Column("outcome", sa.Text),
        sa.Column("fields", sa.JSON, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("done_at", sa.Double),
    )
    op.create_index("call_analyses_due", "call_analyses", ["state", "next_at"])
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("events", sa.JSON, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("notice", sa.Text),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("former_secret", sa.Text),
        sa.Column("former_until", sa.Double),
        sa.Column("created_at", sa.Double, nullable=False),
        sa.Column("failing_since", sa.Double),
    )
    op.create_index("webhooks_by_workspace", "webhooks", ["workspace"])
    op.create_table(
        "webhook_messages",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("call", sa.Text, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("webhook_messages_by_call", "webhook_messages", ["call"])
    op.create_index("webhook_messages_by_time", "webhook_messages", ["at"])
    op.create_table(
        "webhook_deliveries",
        sa.Column("webhook", sa.Text, sa.ForeignKey("webhooks.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("message", sa.Text, sa.ForeignKey("webhook_messages.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("state", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("first_at", sa.Double, nullable=False),
        sa.Column("next_at", sa.Double, nullable=False),
    )
    op.create_index("webhook_deliveries_due", "webhook_deliveries", ["state", "next_at"])
    op.create_index("webhook_deliveries_by_message", "webhook_deliveries", ["message"])
    op.create_table(
        "webhook_attempts",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("webhook", sa.Text, sa.ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
        sa.Column("message", sa.Text, sa.ForeignKey("webhook_messages.id", ondelete="CASCADE"), nullable=False),
        sa.Column("at", sa.Double, nullable=False),
        sa.Column("took", sa.Double, nullable=False),
        sa.Column("status", sa.Integer),
        sa.Column("error", sa.Text),
    )
    op.create_index("webhook_attempts_by_webhook", "webhook_attempts", ["webhook", "at"])
    op.create_index("webhook_attempts_by_message", "webhook_attempts", ["message"])
    # Calls from before can be found once `offhook calls rebuild` has read their logs again.


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.drop_table("transcript_words")
    for table in (
        "webhook_attempts",
        "webhook_deliveries",
        "webhook_messages",
        "webhooks",
        "call_analyses",
        "retention",
        "erasures",
        "transcript_search",
        "call_facts",
    ):
        op.drop_table(table)
    op.drop_index("calls_by_channel", "calls")
    op.drop_index("calls_by_reason", "calls")
