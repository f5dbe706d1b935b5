import pytest
from fastapi.testclient import TestClient

from catalog.paging import BadCursorError, Cursor


@pytest.mark.parametrize("sort", ["name", "price", "-price"])
def test_paging_shows_every_product_once_forwards_and_the_same_pages_backwards(client: TestClient, sort: str) -> None:
    pages, cursor = [], None
    while True:
        page = client.get("/api/products", params={"sort": sort, "limit": 50, **({"cursor": cursor} if cursor else {})})
        pages.append(page.json())
        if (cursor := pages[-1]["next"]) is None:
            break
    seen = [product["id"] for page in pages for product in page["items"]]
    assert len(seen) == len(set(seen)) == pages[0]["total"]
    assert len(seen) >= 300
    for earlier, later in zip(reversed(pages[:-1]), reversed(pages[1:]), strict=True):
        params = {"sort": sort, "limit": 50, "cursor": later["previous"]}
        assert client.get("/api/products", params=params).json()["items"] == earlier["items"]
    assert pages[0]["previous"] is None


def test_prices_are_in_order(client: TestClient) -> None:
    prices = [item["price_cents"] for item in client.get("/api/products?sort=-price&limit=100").json()["items"]]
    assert prices == sorted(prices, reverse=True)


def test_a_search_finds_products_that_have_all_words(client: TestClient) -> None:
    page = client.get("/api/products", params={"search": "mug SAGE"}).json()
    assert page["items"]
    assert all("Mug" in item["name"] and "Sage" in item["name"] for item in page["items"])


def test_the_wildcards_of_sql_are_plain_letters(client: TestClient) -> None:
    assert client.get("/api/products", params={"search": "%"}).json()["total"] == 0


def test_categories_count_their_products(client: TestClient) -> None:
    for category in client.get("/api/products/categories").json():
        listed = client.get("/api/products", params={"category": category["slug"]}).json()
        assert listed["total"] == category["products"] > 0


def test_a_batch_keeps_the_order_and_names_what_is_missing(client: TestClient) -> None:
    batch = client.get("/api/products/batch?id=7&id=3&id=99999&id=7").json()
    assert [item["id"] for item in batch["items"]] == [7, 3]
    assert batch["missing"] == [99999]


def test_an_unknown_product_is_a_problem_document(client: TestClient) -> None:
    response = client.get("/api/products/99999")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["detail"] == "there is no product 99999"


@pytest.mark.parametrize("cursor", ["x", "bm8", Cursor("price", 100, 1, False).encode(), "\u00e4"])
def test_a_bad_cursor_is_refused(client: TestClient, cursor: str) -> None:
    assert client.get("/api/products", params={"cursor": cursor}).status_code == 400


def test_a_cursor_survives_the_wire() -> None:
    cursor = Cursor("name", "Alma Mug", 12, True)
    assert Cursor.decode(cursor.encode(), "name") == cursor
    with pytest.raises(BadCursorError):
        Cursor.decode(cursor.encode(), "price")
