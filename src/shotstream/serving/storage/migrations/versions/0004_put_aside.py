"""Chunks that nobody had seen can be put aside by a command."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = depends_on = None


def upgrade() -> None:
    """Chunks of older libraries are all kept."""
    op.add_column("chunks", sa.Column("put_aside", sa.Integer))
