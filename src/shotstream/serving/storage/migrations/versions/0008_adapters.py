"""The LoRAs that a take was made with."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = depends_on = None


def upgrade() -> None:
    """Takes of older libraries were made with those of their model, or without any."""
    op.add_column("takes", sa.Column("adapters", sa.JSON))
