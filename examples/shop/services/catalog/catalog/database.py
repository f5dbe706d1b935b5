"""Connections to the database, tuned for several worker processes on one SQLite file.

Readers never wait for a writer (write-ahead log). Writers queue: a transaction that is going to write says so in its
first statement (``BEGIN IMMEDIATE``), because a reader that turns into a writer half-way is refused at once, however
long the busy timeout is.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from catalog.settings import async_url

BUSY_TIMEOUT_MS = 10_000
CONNECTIONS_PER_PROCESS = 8


class Database:
    """The engine of one process, with a connection for reading and one for writing."""

    def __init__(self, database_url: str) -> None:
        self._engine = _engine(async_url(database_url))
        self._writer = self._engine.execution_options(sqlite_begin="BEGIN IMMEDIATE")

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        async with self._engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction, committed at the end of the block and rolled back by an exception."""
        async with self._writer.begin() as connection:
            yield connection

    async def close(self) -> None:
        await self._engine.dispose()


def _engine(url: str) -> AsyncEngine:
    engine = create_async_engine(url, pool_size=CONNECTIONS_PER_PROCESS, max_overflow=0, pool_timeout=10)
    if engine.dialect.name == "sqlite":
        event.listen(engine.sync_engine, "connect", _configure_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    # The driver's own idea of when a transaction begins is switched off: `_begin_sqlite` says it.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("sqlite_begin", "BEGIN"))
