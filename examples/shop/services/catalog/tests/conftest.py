import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

SERVICE = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as `alembic upgrade head` leaves it, made once and copied for each test."""
    path = tmp_path_factory.mktemp("database") / "catalog.sqlite3"
    environment = {**os.environ, "DATABASE_URL": f"sqlite:///{path}"}
    subprocess.run([sys.executable, "-m", "alembic", "upgrade", "head"], cwd=SERVICE, env=environment, check=True)
    return path


@pytest.fixture
def client(migrated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    path = shutil.copy(migrated, tmp_path / "catalog.sqlite3")
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{path}")
    from catalog.main import app

    with TestClient(app) as client:
        yield client
