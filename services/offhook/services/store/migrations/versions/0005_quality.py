"""How the audio of a call fared.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("quality", sa.JSON))


def downgrade() -> None:
    op.drop_column("calls", "quality")
