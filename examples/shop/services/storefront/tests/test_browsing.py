from tests.fakes import FakeCatalog
from tests.shopper import Shopper


def test_the_first_page_leads_to_every_category_and_to_products(shopper: Shopper) -> None:
    page = shopper.get("/")
    links = set(page.links())
    assert page.status == 200
    assert {"/products", "/products?category=kitchen", "/products?category=table", "/products/1"} <= links


def test_paging_leads_through_all_products_and_back(shopper: Shopper) -> None:
    page = shopper.get("/products")
    seen: list[str] = []
    while True:
        seen += [link for link in page.links() if link.startswith("/products/")]
        following = page.all("a", rel="next")
        if not following:
            break
        page = shopper.get(following[0].get("href", ""))
    assert seen == [f"/products/{number}" for number in range(1, 61)]
    while before := page.all("a", rel="prev"):
        page = shopper.get(before[0].get("href", ""))
    assert "/products/1" in page.links()


def test_a_search_is_kept_by_paging_and_shown_in_its_field(shopper: Shopper) -> None:
    page = shopper.get("/products?search=%20mug%20%20&category=kitchen&sort=price")
    assert page.all("input", id="search")[0].get("value") == "mug"
    assert page.all("a", rel="next")[0].get("href") == "/products?cursor=24&search=mug&category=kitchen&sort=price"


def test_a_search_for_nothing_that_there_is_says_so(shopper: Shopper) -> None:
    page = shopper.get("/products?search=<script>alert(1)</script>")
    assert page.status == 200
    assert "Nothing here answers to that" in page.text
    assert not page.all("script")


def test_a_damaged_cursor_leads_to_the_first_page(shopper: Shopper) -> None:
    page = shopper.get("/products?category=table&cursor=nonsense")
    assert (page.status, page.response.request.full_path) == (200, "/products?category=table")


def test_a_product_page_has_what_a_shopper_asks_for(shopper: Shopper) -> None:
    page = shopper.get("/products/7")
    for words in ("Mug 7", "€14.50", "<by hand> & glazed", "In stock", "KIT-7"):
        assert words in page.text


def test_what_is_sold_out_cannot_be_put_in_the_basket(shopper: Shopper) -> None:
    page = shopper.get("/products/13")
    assert "Sold out" in page.text
    assert not page.all("form", action="/basket/add")
    form = {"product": "13", "quantity": "1", "csrf_token": shopper.token()}
    assert "sold out just now" in shopper.send("/basket/add", form).text


def test_an_unknown_page_and_an_unknown_product_are_kind_404s(shopper: Shopper) -> None:
    for path in ("/products/999", "/products/99999999999999", "/nowhere", "/pictures/mug-sage.png"):
        page = shopper.get(path)
        assert (page.status, "There is nothing here" in page.text) == (404, True)


def test_categories_are_asked_for_once_a_minute(shopper: Shopper, catalog: FakeCatalog) -> None:
    for _ in range(5):
        shopper.get("/products")
    assert len(catalog.calls("GET", "/api/products/categories")) == 1
