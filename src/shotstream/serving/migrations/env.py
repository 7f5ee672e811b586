"""What alembic runs to bring a database up to date, over the connection that it is given."""

from __future__ import annotations

from alembic import context

from shotstream.serving.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite too: a step that is killed leaves nothing
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
