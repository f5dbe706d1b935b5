"""Writing: stock is held for an order, all lines or none, and given back.

The caller chooses the reservation's id, so that a repeated call is harmless. A release of an unknown id leaves a mark:
should the reservation's request arrive late, it is refused instead of holding stock for nobody.
"""

from datetime import datetime, timezone

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog.models import Line, Reservation, Shortage
from catalog.tables import products, reservation_lines, reservations


class OutOfStockError(Exception):
    """At least one line asks for more than there is."""

    def __init__(self, shortages: list[Shortage]) -> None:
        super().__init__("not enough stock")
        self.shortages = shortages


class ConflictError(Exception):
    """The id was used before, for something else."""


async def hold(connection: AsyncConnection, reservation_id: str, lines: list[Line]) -> tuple[Reservation, bool]:
    """Holds the stock of `lines`; the flag says whether it was done now (and not by an earlier call)."""
    # Rows are always locked in the same order, so that two reservations never wait for each other.
    lines = sorted(lines, key=lambda line: line.product_id)
    existing = await find(connection, reservation_id)
    if existing is not None:
        if existing.state == "released":
            raise ConflictError("this reservation was released")
        if existing.lines != lines:
            raise ConflictError("this reservation holds other lines")
        return existing, False
    shortages = [shortage for line in lines if (shortage := await _take(connection, line)) is not None]
    if shortages:
        raise OutOfStockError(shortages)
    await _record(connection, reservation_id, "held", lines)
    return Reservation(id=reservation_id, state="held", lines=lines), True


async def release(connection: AsyncConnection, reservation_id: str) -> Reservation:
    existing = await find(connection, reservation_id)
    if existing is None:
        await _record(connection, reservation_id, "released", [])
        return Reservation(id=reservation_id, state="released", lines=[])
    released = await connection.execute(
        update(reservations)
        .where(reservations.c.id == reservation_id, reservations.c.state == "held")
        .values(state="released")
    )
    if released.rowcount == 1:
        for line in existing.lines:
            await _put_back(connection, line)
    return existing.model_copy(update={"state": "released"})


async def find(connection: AsyncConnection, reservation_id: str) -> Reservation | None:
    state = await connection.scalar(select(reservations.c.state).where(reservations.c.id == reservation_id))
    if state is None:
        return None
    rows = await connection.execute(
        select(reservation_lines.c.product_id, reservation_lines.c.quantity)
        .where(reservation_lines.c.reservation_id == reservation_id)
        .order_by(reservation_lines.c.product_id)
    )
    lines = [Line(product_id=product_id, quantity=quantity) for product_id, quantity in rows]
    return Reservation(id=reservation_id, state=state, lines=lines)


async def _take(connection: AsyncConnection, line: Line) -> Shortage | None:
    # The condition stands in the statement that writes: nobody can come between looking and taking.
    taken = await connection.execute(
        update(products)
        .where(products.c.id == line.product_id, products.c.stock >= line.quantity)
        .values(stock=products.c.stock - line.quantity)
    )
    if taken.rowcount == 1:
        return None
    available = await connection.scalar(select(products.c.stock).where(products.c.id == line.product_id))
    return Shortage(product_id=line.product_id, wanted=line.quantity, available=available or 0)


async def _put_back(connection: AsyncConnection, line: Line) -> None:
    await connection.execute(
        update(products).where(products.c.id == line.product_id).values(stock=products.c.stock + line.quantity)
    )


async def _record(connection: AsyncConnection, reservation_id: str, state: str, lines: list[Line]) -> None:
    now = datetime.now(timezone.utc)
    await connection.execute(insert(reservations).values(id=reservation_id, state=state, created_at=now))
    if lines:
        rows = [{"reservation_id": reservation_id, **line.model_dump()} for line in lines]
        await connection.execute(insert(reservation_lines), rows)
