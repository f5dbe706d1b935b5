"""What goes over the wire."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

ReservationId = Annotated[str, Field(min_length=8, max_length=64, pattern=r"^[A-Za-z0-9-]+$")]


class Category(BaseModel):
    slug: str
    name: str
    description: str
    products: int = Field(description="How many products are in it.")


class Product(BaseModel):
    id: int
    sku: str
    name: str
    category: str = Field(description="The category's slug.")
    description: str
    picture: str = Field(description="The kind of thing it is, such as `mug`; a shop window draws it.")
    colour: str
    price_cents: int
    currency: str
    stock: int


class ProductPage(BaseModel):
    items: list[Product]
    total: int = Field(description="How many products match on all pages.")
    next: str | None = Field(description="The `cursor` of the next page.")
    previous: str | None = Field(description="The `cursor` of the page before.")


class ProductBatch(BaseModel):
    items: list[Product]
    missing: list[int] = Field(description="The ids that no product has.")


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    product_id: int = Field(ge=1)
    quantity: int = Field(ge=1, le=1000)


class ReservationRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    lines: list[Line] = Field(min_length=1, max_length=100)

    @model_validator(mode="after")
    def each_product_once(self) -> "ReservationRequest":
        if len({line.product_id for line in self.lines}) != len(self.lines):
            raise ValueError("a product stands in one line only")
        return self


class Reservation(BaseModel):
    id: str
    state: Literal["held", "released"]
    lines: list[Line]


class Shortage(BaseModel):
    product_id: int
    wanted: int
    available: int


class Problem(BaseModel):
    """RFC 9457."""

    title: str
    status: int
    detail: str


class ShortageProblem(Problem):
    shortages: list[Shortage] = []
