"""How well takes go on with their story, and when shots are taken anew by themselves."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = depends_on = None


def upgrade() -> None:
    """Takes of older libraries were not measured."""
    op.add_column("stories", sa.Column("auto_retake", sa.JSON))
    op.create_table(
        "continuity",
        sa.Column("story", sa.String(12), nullable=False),
        sa.Column("shot", sa.Integer, nullable=False),
        sa.Column("take", sa.Integer, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("story", "shot", "take", name="pk_continuity"),
        sa.ForeignKeyConstraint(["story"], ["stories.id"], name="fk_continuity_stories"),
    )
