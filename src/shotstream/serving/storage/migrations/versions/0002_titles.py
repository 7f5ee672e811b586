"""Stories have titles."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column; stories that are there have no title."""
    op.add_column("stories", sa.Column("title", sa.Text, nullable=False, server_default=""))
