"""Chunks, clips and stills have checksums."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add them; files that are there have none and are taken as they are."""
    op.add_column("chunks", sa.Column("sha256", sa.String(64)))
    op.add_column("chunks", sa.Column("clip_sha256", sa.String(64)))
    op.create_table(
        "stills",
        sa.Column("story", sa.String(12), nullable=False),
        sa.Column("shot", sa.Integer, nullable=False),
        sa.Column("take", sa.Integer, nullable=False),
        sa.Column("frame", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("story", "shot", "take", "frame", name="pk_stills"),
        sa.ForeignKeyConstraint(["story"], ["stories.id"], name="fk_stills_stories"),
    )
