"""Connections to the database, tuned for several worker processes on one SQLite file.

Readers never wait for a writer (write-ahead log). Writers queue: a transaction takes the writer's place in its first
statement (``BEGIN IMMEDIATE``), because a reader that turns into a writer half-way is refused at once, however long the
timeout is.
"""

from typing import Any

import dj_database_url

BUSY_TIMEOUT_SECONDS = 10
IDLE_CONNECTION_SECONDS = 60


def database(url: str) -> dict[str, Any]:
    """What `DATABASES` wants, from `sqlite:////absolute/path.sqlite3` or `postgresql://…`."""
    parsed = dj_database_url.parse(url, conn_max_age=IDLE_CONNECTION_SECONDS, conn_health_checks=True)
    found: dict[str, Any] = {**parsed}
    if found["ENGINE"] == "django.db.backends.sqlite3":
        found["OPTIONS"] = {
            **found.get("OPTIONS", {}),
            "transaction_mode": "IMMEDIATE",
            "timeout": BUSY_TIMEOUT_SECONDS,
            # Nothing is said about `synchronous`: the default, FULL, keeps what a shopper was told through a power cut.
            "init_command": "PRAGMA journal_mode = WAL",
        }
    return found
