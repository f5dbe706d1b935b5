"""The HTTP face. `uvicorn catalog.main:app` runs it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from starlette.exceptions import HTTPException as AnyHTTPException

from catalog import products, reservations
from catalog.database import Database
from catalog.models import (
    Category,
    Problem,
    Product,
    ProductBatch,
    ProductPage,
    Reservation,
    ReservationId,
    ReservationRequest,
    ShortageProblem,
)
from catalog.paging import BadCursorError, Cursor, Sort, Window
from catalog.settings import Settings

PROBLEM = "application/problem+json"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.database = Database(Settings.from_environment().database_url)
    yield
    await app.state.database.close()


app = FastAPI(
    title="Catalog",
    summary="What the shop sells, and how much of it is left.",
    version="1.0.0",
    lifespan=lifespan,
    openapi_url="/api/products/openapi.json",
    docs_url="/api/products/docs",
    redoc_url=None,
)


def database(request: Request) -> Database:
    found: Database = request.app.state.database
    return found


Db = Annotated[Database, Depends(database)]
ProductId = Annotated[int, Path(ge=1, le=2**31 - 1)]
NOT_FOUND: dict[int | str, dict[str, Any]] = {404: {"model": Problem}}
CONFLICT: dict[int | str, dict[str, Any]] = {409: {"model": ShortageProblem}}


@app.get("/api/products")
async def list_products(
    db: Db,
    search: Annotated[str | None, Query(max_length=100, description="Words that all occur.")] = None,
    category: Annotated[str | None, Query(max_length=40)] = None,
    sort: Sort = "name",
    featured: bool = False,
    limit: Annotated[int, Query(ge=1, le=100)] = 24,
    cursor: Annotated[str | None, Query(max_length=400)] = None,
) -> ProductPage:
    window = Window(sort, Cursor.decode(cursor, sort) if cursor else None)
    async with db.reading() as connection:
        return await products.list_products(
            connection, window, limit=limit, category=category, search=search, featured=featured
        )


@app.get("/api/products/categories")
async def list_categories(db: Db) -> list[Category]:
    async with db.reading() as connection:
        return await products.list_categories(connection)


@app.get("/api/products/batch")
async def find_products(db: Db, id: Annotated[list[int], Query(min_length=1, max_length=100)]) -> ProductBatch:
    async with db.reading() as connection:
        return await products.find_products(connection, id)


@app.get("/api/products/{product_id}", responses=NOT_FOUND)
async def find_product(db: Db, product_id: ProductId) -> Product:
    async with db.reading() as connection:
        product = await products.find_product(connection, product_id)
    if product is None:
        raise HTTPException(404, f"there is no product {product_id}")
    return product


# Only other services reserve stock: the gateway has no route to these paths.


@app.put("/reservations/{reservation_id}", responses=CONFLICT)
async def hold_stock(
    db: Db, reservation_id: ReservationId, wanted: ReservationRequest, response: Response
) -> Reservation:
    """Holds stock for an order, all lines or none. Repeating the call changes nothing."""
    async with db.writing() as connection:
        reservation, created = await reservations.hold(connection, reservation_id, wanted.lines)
    response.status_code = 201 if created else 200
    return reservation


@app.get("/reservations/{reservation_id}", responses=NOT_FOUND)
async def find_reservation(db: Db, reservation_id: ReservationId) -> Reservation:
    async with db.reading() as connection:
        reservation = await reservations.find(connection, reservation_id)
    if reservation is None:
        raise HTTPException(404, f"there is no reservation {reservation_id}")
    return reservation


@app.delete("/reservations/{reservation_id}")
async def release_stock(db: Db, reservation_id: ReservationId) -> Reservation:
    """Gives the stock back. Repeating the call changes nothing."""
    async with db.writing() as connection:
        return await reservations.release(connection, reservation_id)


@app.get("/healthz")
async def health(db: Db) -> dict[str, str]:
    async with db.reading() as connection:
        await connection.execute(text("SELECT 1 FROM products LIMIT 1"))
    return {"status": "ok"}


# Errors speak one language, RFC 9457.


@app.exception_handler(AnyHTTPException)
async def on_http_error(_request: Request, error: AnyHTTPException) -> JSONResponse:
    return _problem(error.status_code, str(error.detail), headers=error.headers)


@app.exception_handler(BadCursorError)
async def on_bad_cursor(_request: Request, error: BadCursorError) -> JSONResponse:
    return _problem(400, f"{error}; begin again without it")


@app.exception_handler(reservations.OutOfStockError)
async def on_out_of_stock(_request: Request, error: reservations.OutOfStockError) -> JSONResponse:
    shortages = [shortage.model_dump() for shortage in error.shortages]
    return _problem(409, "there is not enough stock", title="Out of stock", shortages=shortages)


@app.exception_handler(reservations.ConflictError)
async def on_conflict(_request: Request, error: reservations.ConflictError) -> JSONResponse:
    return _problem(409, str(error))


@app.exception_handler(IntegrityError)
async def on_race(_request: Request, _error: IntegrityError) -> JSONResponse:
    """Two first calls with one reservation id at the same moment (PostgreSQL; SQLite queues its writers)."""
    return _problem(503, "another request is making this reservation; try again", headers={"Retry-After": "1"})


TITLES = {400: "Bad request", 404: "Not found", 405: "Method not allowed", 409: "Conflict", 503: "Try again"}


def _problem(
    status: int, detail: str, *, title: str | None = None, headers: object = None, **members: object
) -> JSONResponse:
    body = {"title": title or TITLES.get(status, "Error"), "status": status, "detail": detail, **members}
    extra = dict(headers) if isinstance(headers, dict) else None
    return JSONResponse(body, status, headers=extra, media_type=PROBLEM)
