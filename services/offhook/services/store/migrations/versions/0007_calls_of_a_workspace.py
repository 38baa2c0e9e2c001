"""Lists of the calls of one workspace in their order, and searches that find fewer words waiting for the index.

Revision ID: 0007
Revises: 0006
"""

from alembic import op

revision: str = "0007"
down_revision: str | None = "0006"
branch_labels: str | None = None
depends_on: str | None = None

NAMES = ("state", "agent", "reason", "channel")


def upgrade() -> None:
    op.create_index("calls_by_workspace", "calls", ["workspace", "created_at", "id"])
    for name in NAMES:
        op.drop_index(f"calls_by_{name}", "calls")
        op.create_index(f"calls_by_{name}", "calls", ["workspace", name, "created_at", "id"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER INDEX transcript_search_by_word SET (gin_pending_list_limit = 256)")


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER INDEX transcript_search_by_word RESET (gin_pending_list_limit)")
    for name in NAMES:
        op.drop_index(f"calls_by_{name}", "calls")
        op.create_index(f"calls_by_{name}", "calls", [name, "created_at"])
    op.drop_index("calls_by_workspace", "calls")
