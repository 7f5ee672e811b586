"""How many numbers of shots a branch shares: more than its last shared shot has, once shots were moved."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = depends_on = None


def upgrade() -> None:
    """Branches of older libraries share the shots up to that one's number."""
    op.add_column("stories", sa.Column("parent_shots", sa.Integer))
