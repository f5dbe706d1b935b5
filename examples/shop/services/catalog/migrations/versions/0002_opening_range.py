"""The range of products that the shop opens with, from `migrations/data/opening_range.json`."""

import json
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

RANGE = Path(__file__).resolve().parent.parent / "data" / "opening_range.json"


def upgrade() -> None:
    opening_range = json.loads(RANGE.read_text(encoding="utf-8"))
    for name in ("categories", "products"):
        rows = opening_range[name]
        op.bulk_insert(sa.table(name, *(sa.column(key) for key in rows[0])), rows)


def downgrade() -> None:
    op.execute("DELETE FROM products")
    op.execute("DELETE FROM categories")
