"""A person at a browser: keeps cookies, follows redirects, sends the forms that a page has."""

from __future__ import annotations

from html.parser import HTMLParser
from types import TracebackType

import httpx

PERSON = {"name": "Ada Lovelace", "address": "1 Analytical Way\nLondon"}


class Forms(HTMLParser):
    """The forms of a page, by where they are sent to: the fields and their values."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.by_action: dict[str, dict[str, str]] = {}
        self._fields: dict[str, str] | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag == "form":
            self._fields = self.by_action.setdefault(given.get("action", ""), {})
        elif tag in ("input", "textarea") and self._fields is not None and "name" in given:
            self._fields[given["name"]] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._fields = None


class Browser:
    def __init__(self, gateway: str) -> None:
        self.client = httpx.Client(base_url=gateway, follow_redirects=True, timeout=30)

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()

    def get(self, path: str) -> httpx.Response:
        return _well(self.client.get(path))

    def send(self, action: str, fields: dict[str, str], **headers: str) -> httpx.Response:
        return _well(self.client.post(action, data=fields, headers=headers))

    def put_in_basket(self, product: int, quantity: int = 1) -> httpx.Response:
        form = Forms(self.get(f"/products/{product}").text).by_action["/basket/add"]
        return self.send("/basket/add", form | {"quantity": str(quantity)})

    def checkout_form(self, email: str) -> dict[str, str]:
        return Forms(self.get("/checkout").text).by_action["/checkout"] | PERSON | {"email": email}

    def token_on(self, page: httpx.Response) -> dict[str, str]:
        """The token that every form of this person has, taken from a page with a form."""
        return {
            "csrf_token": next(
                form["csrf_token"] for form in Forms(page.text).by_action.values() if form.get("csrf_token")
            )
        }

    def order(self, product: int, email: str) -> httpx.Response:
        """The whole way from the shelf to the order."""
        self.put_in_basket(product)
        return self.send("/checkout", self.checkout_form(email))


def _well(response: httpx.Response) -> httpx.Response:
    assert response.status_code == 200, (
        f"{response.request.method} {response.url} {response.status_code}: {response.text}"
    )
    return response
