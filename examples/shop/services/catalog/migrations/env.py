"""How Alembic reaches the database: by the same DATABASE_URL as the service, through a blocking driver."""

from alembic import context
from sqlalchemy import create_engine

from catalog.settings import Settings, sync_url
from catalog.tables import metadata


def run() -> None:
    engine = create_engine(sync_url(Settings.from_environment().database_url))
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            # Kept in the file from here on; the service's own connections then find it set.
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
            connection.exec_driver_sql("PRAGMA busy_timeout = 10000")
            connection.commit()
        context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


run()
