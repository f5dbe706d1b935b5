"""The tables as the code sees them; `migrations/` holds how they came to be."""

from sqlalchemy import CheckConstraint, Column, DateTime, ForeignKey, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

categories = Table(
    "categories",
    metadata,
    Column("slug", String(40), primary_key=True),
    Column("name", String(80), nullable=False),
    Column("description", Text, nullable=False),
    Column("position", Integer, nullable=False),
)

products = Table(
    "products",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sku", String(20), nullable=False, unique=True),
    Column("name", String(120), nullable=False),
    Column("category", ForeignKey("categories.slug"), nullable=False),
    Column("description", Text, nullable=False),
    Column("picture", String(40), nullable=False),
    Column("colour", String(20), nullable=False),
    Column("price_cents", Integer, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("stock", Integer, nullable=False),
    Column("featured", Integer, nullable=False),
    CheckConstraint("stock >= 0", name="stock_is_never_negative"),
    CheckConstraint("price_cents > 0", name="price_is_positive"),
    Index("products_by_name", "name", "id"),
    Index("products_by_price", "price_cents", "id"),
    Index("products_by_category", "category"),
)

reservations = Table(
    "reservations",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("state", String(10), nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
)

reservation_lines = Table(
    "reservation_lines",
    metadata,
    Column("reservation_id", ForeignKey("reservations.id"), primary_key=True),
    Column("product_id", ForeignKey("products.id"), primary_key=True),
    Column("quantity", Integer, nullable=False),
)
