"""Reading: categories, lists, one product, many by id."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog.models import Category, Product, ProductBatch, ProductPage
from catalog.paging import Window
from catalog.tables import categories, products

_COLUMNS = [products.c[name] for name in Product.model_fields]


async def list_categories(connection: AsyncConnection) -> list[Category]:
    statement = (
        select(categories.c.slug, categories.c.name, categories.c.description, func.count(products.c.id))
        .join_from(categories, products, isouter=True)
        .group_by(categories.c.slug)
        .order_by(categories.c.position)
    )
    rows = await connection.execute(statement)
    return [Category(slug=slug, name=name, description=about, products=count) for slug, name, about, count in rows]


async def list_products(
    connection: AsyncConnection,
    window: Window,
    *,
    limit: int,
    category: str | None = None,
    search: str | None = None,
    featured: bool = False,
) -> ProductPage:
    conditions = _conditions(category, search, featured)
    total = await connection.scalar(select(func.count()).select_from(products).where(*conditions))
    edge = [] if window.condition is None else [window.condition]
    # One row more than asked for tells whether there is a further page.
    statement = select(*_COLUMNS).where(*conditions, *edge).order_by(*window.order).limit(limit + 1)
    rows = (await connection.execute(statement)).mappings().all()
    has_more = len(rows) > limit
    items = [Product(**row) for row in rows[:limit]]
    if window.backwards:
        items.reverse()
    has_next = bool(items) and (has_more or window.backwards)
    has_previous = bool(items) and (has_more if window.backwards else window.cursor is not None)
    return ProductPage(
        items=items,
        total=total or 0,
        next=_cursor(window, items[-1], backwards=False) if has_next else None,
        previous=_cursor(window, items[0], backwards=True) if has_previous else None,
    )


async def find_product(connection: AsyncConnection, product_id: int) -> Product | None:
    row = (await connection.execute(select(*_COLUMNS).where(products.c.id == product_id))).mappings().one_or_none()
    return None if row is None else Product(**row)


async def find_products(connection: AsyncConnection, ids: Sequence[int]) -> ProductBatch:
    """The products in the order of `ids`, each once."""
    rows = (await connection.execute(select(*_COLUMNS).where(products.c.id.in_(ids)))).mappings()
    found = {row["id"]: Product(**row) for row in rows}
    wanted = list(dict.fromkeys(ids))
    return ProductBatch(
        items=[found[id_] for id_ in wanted if id_ in found], missing=[i for i in wanted if i not in found]
    )


def _conditions(category: str | None, search: str | None, featured: bool) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if category is not None:
        conditions.append(products.c.category == category)
    if featured:
        conditions.append(products.c.featured == 1)
    for word in (search or "").split():
        columns = (products.c.name, products.c.description, products.c.sku)
        conditions.append(or_(*(column.icontains(word, autoescape=True) for column in columns)))
    return conditions


def _cursor(window: Window, product: Product, *, backwards: bool) -> str:
    key = product.name if window.sort == "name" else product.price_cents
    return window.cursor_at(key, product.id, backwards=backwards)
