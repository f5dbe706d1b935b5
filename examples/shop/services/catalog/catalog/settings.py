"""The few things that differ between a laptop and production, all read from the environment."""

import os
from dataclasses import dataclass
from pathlib import Path

DEFAULT_DATABASE = Path(__file__).resolve().parent.parent / "catalog.sqlite3"


@dataclass(frozen=True)
class Settings:
    database_url: str

    @classmethod
    def from_environment(cls) -> "Settings":
        return cls(database_url=os.environ.get("DATABASE_URL") or f"sqlite:///{DEFAULT_DATABASE}")


def async_url(database_url: str) -> str:
    """The URL with the asynchronous driver that the service uses: aiosqlite or psycopg."""
    return _with_driver(database_url, sqlite="sqlite+aiosqlite", postgresql="postgresql+psycopg")


def sync_url(database_url: str) -> str:
    """The URL with a blocking driver, for migrations."""
    return _with_driver(database_url, sqlite="sqlite", postgresql="postgresql+psycopg")


def _with_driver(database_url: str, *, sqlite: str, postgresql: str) -> str:
    scheme, separator, rest = database_url.partition("://")
    drivers = {"sqlite": sqlite, "postgresql": postgresql, "postgres": postgresql}
    if not separator or scheme not in drivers:
        raise ValueError(f"DATABASE_URL begins with sqlite:// or postgresql://, not with {scheme}://")
    return f"{drivers[scheme]}://{rest}"
