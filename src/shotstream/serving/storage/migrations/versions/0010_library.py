"""A library has an id: who marks an address of media files with it sees whose they are."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = depends_on = None


def upgrade() -> None:
    """Copies of a database from now on have its id; older copies get ids of their own."""
    library = op.create_table(
        "library",
        sa.Column("id", sa.String(12), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_library"),
    )
    op.bulk_insert(library, [{"id": secrets.token_hex(6)}])
