from concurrent.futures import ThreadPoolExecutor

from fastapi.testclient import TestClient

KEY = "11111111-2222-3333-4444-55555555"


def stock(client: TestClient, product_id: int) -> int:
    found: int = client.get(f"/api/products/{product_id}").json()["stock"]
    return found


def lines(*pairs: tuple[int, int]) -> dict[str, object]:
    return {"lines": [{"product_id": product_id, "quantity": quantity} for product_id, quantity in pairs]}


def in_stock(client: TestClient) -> int:
    items = client.get("/api/products?limit=100").json()["items"]
    return next(int(item["id"]) for item in items if item["stock"] >= 10)


def test_a_repeated_reservation_holds_the_stock_once(client: TestClient) -> None:
    product = in_stock(client)
    before = stock(client, product)
    assert client.put(f"/reservations/{KEY}", json=lines((product, 2))).status_code == 201
    assert client.put(f"/reservations/{KEY}", json=lines((product, 2))).status_code == 200
    assert stock(client, product) == before - 2
    assert client.put(f"/reservations/{KEY}", json=lines((product, 3))).status_code == 409


def test_a_shortage_in_one_line_holds_nothing(client: TestClient) -> None:
    product = in_stock(client)
    before = stock(client, product)
    response = client.put(f"/reservations/{KEY}", json=lines((product, 1), (product + 1, 1000)))
    assert response.status_code == 409
    assert [shortage["product_id"] for shortage in response.json()["shortages"]] == [product + 1]
    assert stock(client, product) == before
    assert client.get(f"/reservations/{KEY}").status_code == 404


def test_a_release_gives_the_stock_back_once(client: TestClient) -> None:
    product = in_stock(client)
    before = stock(client, product)
    client.put(f"/reservations/{KEY}", json=lines((product, 2)))
    for _ in range(2):
        assert client.delete(f"/reservations/{KEY}").json()["state"] == "released"
    assert stock(client, product) == before


def test_a_reservation_that_arrives_after_its_release_is_refused(client: TestClient) -> None:
    client.delete(f"/reservations/{KEY}")
    assert client.put(f"/reservations/{KEY}", json=lines((1, 1))).status_code == 409


def test_many_at_once_never_sell_more_than_there_is(client: TestClient) -> None:
    product = in_stock(client)
    before = stock(client, product)

    def reserve(number: int) -> int:
        status: int = client.put(f"/reservations/{KEY}-{number}", json=lines((product, 3))).status_code
        return status

    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(reserve, range(before)))
    assert statuses.count(201) == before // 3
    assert set(statuses) == {201, 409}
    assert stock(client, product) == before % 3


def test_nonsense_is_refused(client: TestClient) -> None:
    for body in ({}, lines(), lines((1, 0)), lines((1, 1), (1, 2)), {**lines((1, 1)), "extra": 1}):
        assert client.put(f"/reservations/{KEY}", json=body).status_code == 422


def test_it_is_healthy(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
