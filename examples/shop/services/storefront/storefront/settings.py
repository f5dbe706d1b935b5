"""The few things that differ between a laptop and production, all read from the environment."""

import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile


@dataclass(frozen=True)
class Settings:
    catalog_url: str
    orders_url: str
    shipping_url: str
    secret_key: str
    secure_cookies: bool = False

    @classmethod
    def from_environment(cls, instance: Path) -> "Settings":
        return cls(
            catalog_url=os.environ.get("CATALOG_URL") or "http://127.0.0.1:8000",
            orders_url=os.environ.get("ORDERS_URL") or "http://127.0.0.1:8001",
            shipping_url=os.environ.get("SHIPPING_URL") or "http://127.0.0.1:8002",
            secret_key=os.environ.get("SECRET_KEY") or kept_key(instance / "secret-key"),
            secure_cookies=os.environ.get("SECURE_COOKIES", "") not in ("", "0"),
        )


def kept_key(path: Path) -> str:
    """A key for development: made once and kept, so that a restart empties nobody's basket.

    Several workers may start at once. Each writes a draft, and the first to link it under the real name wins.
    """
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        with NamedTemporaryFile("w", encoding="ascii", dir=path.parent, prefix=".draft-") as draft:
            draft.write(secrets.token_hex(32))
            draft.flush()
            with suppress(FileExistsError):
                os.link(draft.name, path)
    return path.read_text(encoding="ascii")
