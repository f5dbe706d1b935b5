"""Hello as JSON, as FastAPI's own first example has it, also from a plain function; an order that is sent back."""

from __future__ import annotations

from datetime import datetime

from fastapi import FastAPI
from pydantic import BaseModel, Field

app = FastAPI()


class Customer(BaseModel):
    name: str = Field(min_length=1, max_length=80)
    email: str
    vip: bool = False


class Line(BaseModel):
    sku: str
    quantity: int = Field(ge=1)
    price: float


class Order(BaseModel):
    id: int
    customer: Customer
    lines: list[Line]
    tags: list[str] = []
    created: datetime
    note: str | None = None


@app.get("/")
async def hello() -> dict[str, str]:
    return {"message": "Hello, World!"}


@app.get("/sync")
def hello_from_a_thread() -> dict[str, str]:
    return {"message": "Hello, World!"}


@app.post("/orders")
async def order(order: Order) -> Order:
    return order
