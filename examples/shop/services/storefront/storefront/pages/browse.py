"""Looking around: the first page, lists, one product, pictures."""

from urllib.parse import urlencode

from flask import Blueprint, Response, abort, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from storefront.basket import MOST_OF_ONE
from storefront.catalog import SORTS
from storefront.pages.behind import catalog
from storefront.pictures import draw
from storefront.service import RefusedError

LONGEST_SEARCH = 100
# The largest id that the catalogue knows.
LARGEST_ID = 2**31 - 1

pages = Blueprint("browse", __name__)


@pages.get("/")
def home() -> str:
    categories = catalog().categories()
    featured = catalog().products(featured=True, limit=12).items
    # A category is shown by the product that stands for it in the window.
    faces = {product.category: product for product in reversed(featured)}
    return render_template("home.html", categories=categories, featured=featured[:8], faces=faces)


@pages.get("/products")
def products() -> str | AnyResponse:
    search = " ".join(request.args.get("search", "")[:LONGEST_SEARCH].split())
    category = next((found for found in catalog().categories() if found.slug == request.args.get("category")), None)
    sort = request.args.get("sort", "name")
    wanted = {
        "search": search,
        "category": category.slug if category else "",
        "sort": sort if sort in SORTS and sort != "name" else "",
    }
    given = {name: value for name, value in wanted.items() if value}
    try:
        page = catalog().products(
            search=search,
            category=wanted["category"],
            sort=wanted["sort"] or "name",
            cursor=request.args.get("cursor", "")[:400],
        )
    except RefusedError:
        # The cursor of a list that was another one: begin with the first page.
        if "cursor" not in request.args:
            raise
        return redirect(f"{url_for('.products')}?{urlencode(given)}", 303)
    return render_template("products.html", page=page, category=category, given=given)


@pages.get("/products/<int:product_id>")
def product(product_id: int) -> str:
    found = catalog().product(product_id) if 0 < product_id <= LARGEST_ID else None
    if found is None:
        abort(404)
    category = next((one for one in catalog().categories() if one.slug == found.category), None)
    neighbours = catalog().products(category=found.category, limit=5).items
    return render_template(
        "product.html",
        product=found,
        category=category,
        neighbours=[one for one in neighbours if one.id != found.id][:4],
        most=min(found.stock, MOST_OF_ONE),
    )


@pages.get("/pictures/<name>.svg")
def picture(name: str) -> Response:
    drawing = draw(name)
    if drawing is None:
        abort(404)
    return Response(drawing, mimetype="image/svg+xml", headers={"Cache-Control": "public, max-age=86400"})


@pages.get("/healthz")
def health() -> dict[str, str]:
    """Whether this service works; the ones behind it speak for themselves."""
    return {"status": "ok"}
