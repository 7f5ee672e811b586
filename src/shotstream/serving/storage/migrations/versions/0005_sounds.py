"""Stories have sound files."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = depends_on = None


def upgrade() -> None:
    """Stories of older libraries have none."""
    op.add_column("stories", sa.Column("sounds", sa.JSON))
    op.create_table(
        "sounds",
        sa.Column("story", sa.String(12), nullable=False),
        sa.Column("sound", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("seconds", sa.Double, nullable=False),
        sa.Column("peaks", sa.JSON, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("story", "sound", name="pk_sounds"),
        sa.ForeignKeyConstraint(["story"], ["stories.id"], name="fk_sounds_stories"),
    )
