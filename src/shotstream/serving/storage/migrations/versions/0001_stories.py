"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "stories",
        sa.Column("id", sa.String(12), nullable=False),
        sa.Column("setting", sa.Text, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("height", sa.Integer, nullable=False),
        sa.Column("width", sa.Integer, nullable=False),
        sa.Column("fps", sa.Double, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("memory", sa.JSON),
        sa.Column("entries", sa.Integer, nullable=False),
        sa.Column("parent_story", sa.String(12)),
        sa.Column("parent_shot", sa.Integer),
        sa.Column("parent_entries", sa.Integer),
        sa.Column("created_seconds", sa.Double, nullable=False),
        sa.Column("changed_seconds", sa.Double, nullable=False),
        sa.Column("deleted_seconds", sa.Double),
        sa.PrimaryKeyConstraint("id", name="pk_stories"),
        sa.ForeignKeyConstraint(["parent_story"], ["stories.id"], name="fk_stories_stories"),
    )
    op.create_table(
        "commands",
        sa.Column("story", sa.String(12), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.Column("receipt", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("story", "position", name="pk_commands"),
        sa.ForeignKeyConstraint(["story"], ["stories.id"], name="fk_commands_stories"),
        sa.UniqueConstraint("story", "id", name="uq_commands_story"),
    )
    op.create_table(
        "shots",
        sa.Column("story", sa.String(12), nullable=False),
        sa.Column("shot", sa.Integer, nullable=False),
        sa.Column("card", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("story", "shot", name="pk_shots"),
        sa.ForeignKeyConstraint(["story"], ["stories.id"], name="fk_shots_stories"),
    )
    op.create_table(
        "takes",
        sa.Column("story", sa.String(12), nullable=False),
        sa.Column("shot", sa.Integer, nullable=False),
        sa.Column("take", sa.Integer, nullable=False),
        sa.Column("seed", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("story", "shot", "take", name="pk_takes"),
        sa.ForeignKeyConstraint(["story"], ["stories.id"], name="fk_takes_stories"),
    )
    op.create_table(
        "chunks",
        sa.Column("story", sa.String(12), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("shot", sa.Integer, nullable=False),
        sa.Column("take", sa.Integer, nullable=False),
        sa.Column("chunk", sa.Integer, nullable=False),
        sa.Column("prompt", sa.Text, nullable=False),
        sa.Column("first_frame", sa.Integer, nullable=False),
        sa.Column("frames", sa.Integer, nullable=False),
        sa.Column("last", sa.Boolean, nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("story", "position", name="pk_chunks"),
        sa.ForeignKeyConstraint(
            ["story", "shot", "take"], ["takes.story", "takes.shot", "takes.take"], name="fk_chunks_takes"
        ),
    )
    op.create_table(
        "events",
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("story", sa.String(12), nullable=False),
        sa.Column("moment_seconds", sa.Double, nullable=False),
        sa.Column("body", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_events"),
        sa.ForeignKeyConstraint(["story"], ["stories.id"], name="fk_events_stories"),
    )
