"""Alembic's script: it uses a given connection, or for `alembic revision` its own."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection, MetaData, create_engine


def _run(connection: Connection, schema: MetaData | None = None) -> None:
    context.configure(
        connection=connection,
        target_metadata=schema,
        render_as_batch=True,  # SQLite's ALTER TABLE can change little
        render_item=_written,
    )
    with context.begin_transaction():
        context.run_migrations()


def _written(kind: str, item: Any, _: Any) -> str | Literal[False]:
    """The text of our types in a new revision: migrations do not import code that may change."""
    ours = kind == "type" and type(item).__module__.startswith("prism.")
    return f"sa.{item.impl!r}" if ours else False


if (handed := context.config.attributes.get("connection")) is not None:
    _run(handed)
else:  # a developer compares the packages' tables with a database
    import prism.daemon.app  # noqa: F401
    from prism.kit.tables import metadata
    from prism.settings import Settings

    with create_engine(Settings.read().database).begin() as own:
        _run(own, metadata)
