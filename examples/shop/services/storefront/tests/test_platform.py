"""What holds for every page: request ids, security headers, valid markup, pictures, settings."""

import stat
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from flask import Flask

from storefront.app import create_app, money
from storefront.pictures import PALETTES, kinds, picture_name
from storefront.settings import Settings, kept_key
from tests.fakes import FakeCatalog, FakeOrders
from tests.shopper import Page, Shopper

# The kinds that the catalogue opens with.
KINDS = {
    *("apron", "bag", "board", "bottle", "bowl", "brush", "can", "candle", "cushion", "flask", "jar", "knife", "lamp"),
    *("mug", "notebook", "pen", "pendant", "plant", "plate", "pot", "soap", "throw", "towel", "tray", "trowel"),
    "umbrella",
}


@pytest.fixture
def pages(shopper: Shopper) -> list[Page]:
    """Every kind of page. That they can be parsed strictly is the first thing to hold."""
    empty = [shopper.get(path) for path in ("/basket", "/my/orders", "/nowhere")]
    shopper.put_in_basket(1)
    full = [shopper.get(path) for path in ("/", "/products", "/products?search=x", "/products/1", "/products/13")]
    full += [shopper.get("/basket"), shopper.get("/checkout"), shopper.send("/checkout", {"csrf_token": "x"})]
    full += [shopper.send("/checkout", shopper.checkout_form() | {"name": ""})]
    full += [shopper.send("/checkout", shopper.checkout_form()), shopper.get("/my/orders")]
    return empty + full


def test_each_control_has_a_label_and_each_id_is_used_once(pages: list[Page]) -> None:
    for page in pages:
        labels = {label.get("for") for label in page.all("label")}
        for control in [*page.all("input"), *page.all("textarea")]:
            assert control.get("type") == "hidden" or control.get("id") in labels, (page.path, control.attrib)
        ids = [one.get("id") for one in page.root.iter() if one.get("id")]
        assert len(ids) == len(set(ids)), page.path


def test_each_page_has_landmarks_one_heading_and_a_title(pages: list[Page]) -> None:
    for page in pages:
        assert [len(page.all(tag)) for tag in ("header", "main", "footer", "h1", "title")] == [1] * 5, page.path
        assert page.all("html", lang="en")
        assert all(image.get("alt") is not None for image in page.all("img")), page.path
        names = [nav.get("aria-label") for nav in page.all("nav")]
        assert all(names), page.path
        assert len(names) == len(set(names)), page.path


def test_each_heading_is_at_most_one_level_below_the_one_before(pages: list[Page]) -> None:
    for page in pages:
        levels = [int(one.tag[1]) for one in page.root.iter() if one.tag in ("h1", "h2", "h3", "h4")]
        assert all(below - above <= 1 for above, below in pairwise(levels)), (page.path, levels)


def test_each_page_keeps_to_its_own_policy(pages: list[Page]) -> None:
    for page in pages:
        headers = page.response.headers
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "private, no-store"
        assert not page.all("script")
        assert not page.all("style")
        attributes = {name for one in page.root.iter() for name in one.attrib}
        assert not [name for name in attributes if name == "style" or name.startswith("on")]


def test_each_picture_and_file_that_a_page_names_is_there(pages: list[Page], shopper: Shopper) -> None:
    sources = {image.get("src", "") for page in pages for image in page.all("img")}
    sources |= {link.get("href", "") for page in pages for link in page.all("link")}
    assert sources
    for source in sources:
        with shopper.client.get(source) as response:
            assert response.status_code == 200, source
            assert "max-age=" in response.headers["Cache-Control"]
            assert "Set-Cookie" not in response.headers


def test_every_kind_is_drawn_in_every_colour(shopper: Shopper) -> None:
    assert kinds() >= KINDS
    for kind in kinds():
        for colour in PALETTES:
            response = shopper.client.get(f"/pictures/{kind}-{colour}.svg")
            assert (response.status_code, response.mimetype) == (200, "image/svg+xml")
            assert ElementTree.fromstring(response.text).tag == "{http://www.w3.org/2000/svg}svg"
            assert "$" not in response.text
            assert "style" not in response.text


def test_what_nobody_has_drawn_yet_is_shown_as_a_parcel() -> None:
    assert picture_name("mug", "sage") == "mug-sage"
    assert picture_name("teapot", "sage") == "parcel-sage"
    assert picture_name("mug", "../x") == "mug-sand"


@pytest.mark.parametrize("name", ["teapot-sage", "mug-pink", "mug", "-", "..-sage"])
def test_a_picture_of_another_name_is_not_there(shopper: Shopper, name: str) -> None:
    assert shopper.client.get(f"/pictures/{name}.svg").status_code == 404


def test_a_request_keeps_its_id_through_all_services(
    shopper: Shopper, catalog: FakeCatalog, orders: FakeOrders
) -> None:
    shopper.put_in_basket(1)
    form = shopper.checkout_form()
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    headers = {"X-Request-Id": "id-of-mine", "traceparent": trace}
    response = shopper.client.post("/checkout", data=form, headers=headers)
    assert response.headers["X-Request-Id"] == "id-of-mine"
    for seen in (catalog.seen[-1], orders.seen[-1]):
        assert (seen.headers["X-Request-Id"], seen.headers["traceparent"]) == ("id-of-mine", trace)


@pytest.mark.parametrize("given", ["", "two words", "x" * 65, "<b>"])
def test_an_id_that_is_none_is_replaced(shopper: Shopper, given: str) -> None:
    made = shopper.client.get("/healthz", headers={"X-Request-Id": given}).headers["X-Request-Id"]
    assert made != given
    assert len(made) == 32


def test_no_cookie_and_no_proxy_goes_into_a_call(
    shopper: Shopper, catalog: FakeCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    shopper.put_in_basket(1)
    assert shopper.get("/basket").status == 200
    assert all("Cookie" not in seen.headers for seen in catalog.seen)


def test_it_is_healthy_whatever_the_others_are(shopper: Shopper, catalog: FakeCatalog, orders: FakeOrders) -> None:
    catalog.fails_with = orders.fails_with = 503
    response = shopper.client.get("/healthz")
    assert (response.status_code, response.json) == (200, {"status": "ok"})
    assert not catalog.seen


def test_the_key_of_development_is_made_once_by_many_workers(tmp_path: Path) -> None:
    path = tmp_path / "instance" / "secret-key"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: kept_key(path), range(8)))
    assert keys == {path.read_text()}
    assert len(path.read_text()) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == ["secret-key"]


def test_settings_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CATALOG_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("ORDERS_URL", "http://127.0.0.1:2")
    monkeypatch.setenv("SHIPPING_URL", "http://127.0.0.1:3")
    monkeypatch.setenv("SECRET_KEY", "from outside")
    monkeypatch.setenv("SECURE_COOKIES", "1")
    settings = Settings.from_environment(tmp_path)
    assert settings == Settings(
        "http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3", "from outside", secure_cookies=True
    )
    assert not list(tmp_path.iterdir())


def test_a_session_cookie_is_out_of_reach_of_scripts_and_other_sites(catalog: FakeCatalog, orders: FakeOrders) -> None:
    settings = Settings(catalog.url, orders.url, "http://127.0.0.1:9", "a key for tests", secure_cookies=True)
    app: Flask = create_app(settings)
    cookie = app.test_client().get("/products/1").headers["Set-Cookie"]
    for flag in ("HttpOnly", "SameSite=Lax", "Secure", "Max-Age="):
        assert flag in cookie or (flag == "Max-Age=" and "Expires=" in cookie)


def test_money_is_written_as_people_read_it() -> None:
    assert [money(5), money(123456), money(1450, "CHF")] == ["€0.05", "€1,234.56", "14.50 CHF"]
