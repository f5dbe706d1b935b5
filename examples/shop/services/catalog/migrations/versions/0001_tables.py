"""Categories, products and reservations."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "categories",
        sa.Column("slug", sa.String(40), primary_key=True),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
    )
    op.create_table(
        "products",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("sku", sa.String(20), nullable=False, unique=True),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("category", sa.String(40), sa.ForeignKey("categories.slug"), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("picture", sa.String(40), nullable=False),
        sa.Column("colour", sa.String(20), nullable=False),
        sa.Column("price_cents", sa.Integer, nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("stock", sa.Integer, nullable=False),
        sa.Column("featured", sa.Integer, nullable=False),
        sa.CheckConstraint("stock >= 0", name="stock_is_never_negative"),
        sa.CheckConstraint("price_cents > 0", name="price_is_positive"),
    )
    op.create_index("products_by_name", "products", ["name", "id"])
    op.create_index("products_by_price", "products", ["price_cents", "id"])
    op.create_index("products_by_category", "products", ["category"])
    op.create_table(
        "reservations",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "reservation_lines",
        sa.Column("reservation_id", sa.String(64), sa.ForeignKey("reservations.id"), primary_key=True),
        sa.Column("product_id", sa.Integer, sa.ForeignKey("products.id"), primary_key=True),
        sa.Column("quantity", sa.Integer, nullable=False),
    )


def downgrade() -> None:
    for table in ("reservation_lines", "reservations", "products", "categories"):
        op.drop_table(table)
