"""A person at a browser: follows links, fills in the forms that a page has, and reads."""

from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element

import html5lib
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse


class Page:
    """A page as a browser understands it. Markup that is not valid fails the test."""

    def __init__(self, response: TestResponse) -> None:
        self.response = response
        self.status = response.status_code
        self.path = response.request.path
        parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
        self.root: Element = parser.parse(response.text)
        self.text = " ".join("".join(self.root.find("body").itertext()).split())

    def all(self, tag: str, **attributes: str) -> list[Element]:
        return [one for one in self.root.iter(tag) if all(one.get(name) == value for name, value in attributes.items())]

    def form(self, action: str) -> dict[str, str]:
        """What the form would send as it stands, without its buttons."""
        (form,) = self.all("form", action=action)
        fields = {one.get("name", ""): one.get("value", "") for one in form.iter("input")}
        return fields | {one.get("name", ""): (one.text or "").strip("\n") for one in form.iter("textarea")}

    def links(self) -> Iterator[str]:
        return (one.get("href", "") for one in self.all("a"))


class Shopper:
    def __init__(self, app: Flask) -> None:
        self.client: FlaskClient = app.test_client()

    def get(self, path: str, **headers: str) -> Page:
        return Page(self.client.get(path, follow_redirects=True, headers=headers))

    def send(self, action: str, fields: dict[str, Any]) -> Page:
        return Page(self.client.post(action, data=fields, follow_redirects=True))

    def put_in_basket(self, product: int, quantity: int = 1) -> Page:
        form = self.get(f"/products/{product}").form("/basket/add")
        return self.send("/basket/add", form | {"quantity": str(quantity)})

    def checkout_form(self) -> dict[str, str]:
        address = {"name": "Ada Lovelace", "email": "Ada@Example.org", "address": "1 Analytical Way\r\nLondon"}
        return self.get("/checkout").form("/checkout") | address

    def token(self) -> str:
        return self.get("/products/1").form("/basket/add")["csrf_token"]
