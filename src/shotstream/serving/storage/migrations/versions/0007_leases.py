"""Several replicas may tell the stories of a library, each story on one of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = depends_on = None


def upgrade() -> None:
    """A library that one studio has open has no replicas."""
    op.create_table(
        "replicas",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("draining", sa.Boolean, nullable=False),
        sa.Column("beat_seconds", sa.Double, nullable=False),
        sa.Column("figures", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_replicas"),
    )
    op.create_table(
        "leases",
        sa.Column("story", sa.String(12), nullable=False),
        sa.Column("replica", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("story", name="pk_leases"),
        sa.ForeignKeyConstraint(["replica"], ["replicas.name"], name="fk_leases_replicas"),
    )
