"""Unmodified FastAPI, Flask and Django REST Framework applications, with real clients."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import parent
import websockets


def test_fastapi_runs_unchanged(apps: Path) -> None:
    with parent.serving("fastapi_app", apps) as worker, httpx.Client(base_url=worker.url) as client:
        loaded = worker.events[0]
        assert loaded["target"] == "fastapi_app:app"
        assert loaded["interface"] == "asgi"
        assert loaded["framework"].startswith("FastAPI 0.")
        found = client.get("/items/7", params={"q": "ä"})
        assert found.json() == {"item_id": 7, "q": "ä", "greeting": "hello"}
        assert found.headers["x-middleware"] == "yes"
        assert found.headers["x-request-id"]
        assert client.post("/items", json={"name": "a", "price": 1.5}).status_code == 201
        assert client.post("/items", json={"name": "a"}).status_code == 422
        assert client.get("/sync").json() == {"ran": "in a thread"}
        assert client.get("/missing").status_code == 404
        assert client.get("/stream").text == "0\n1\n2\n3\n4\n"
        assert client.get("/timeout").json() == "timed out"
        assert client.get("/background").status_code == 200
        until(lambda: client.get("/background-seen").json() == ["ran"])


def test_an_exception_in_fastapi_is_500_and_logged_once(apps: Path) -> None:
    with parent.serving("fastapi_app", apps) as worker, httpx.Client(base_url=worker.url) as client:
        assert client.get("/broken").status_code == 500
        assert worker.wait_for_log("broken on purpose").count("RuntimeError: broken on purpose") == 1


def test_an_idle_stream_is_cleaned_up_when_the_client_goes(apps: Path) -> None:
    with parent.serving("fastapi_app", apps) as worker, httpx.Client(base_url=worker.url) as client:
        with client.stream("GET", "/idle-stream") as response:
            assert next(response.iter_text()) == "first\n"
        until(lambda: client.get("/cleaned").json() == ["idle"])


def test_fastapi_speaks_websocket(apps: Path) -> None:
    async def converse(address: tuple[str, int]) -> list[str | bytes]:
        async with websockets.connect(f"ws://{address[0]}:{address[1]}/ws") as socket:
            await socket.send("one")
            await socket.send("two")
            return [await socket.recv(), await socket.recv()]

    with parent.serving("fastapi_app", apps) as worker:
        assert asyncio.run(converse(worker.address)) == ["echo one", "echo two"]


def test_a_flask_factory_runs_unchanged(apps: Path) -> None:
    with parent.serving("flask_app:create_app", apps) as worker, httpx.Client(base_url=worker.url) as client:
        loaded = worker.events[0]
        assert loaded["target"] == "flask_app:create_app()"
        assert loaded["interface"] == "wsgi"
        assert loaded["framework"].startswith("Flask 3.")
        assert client.get("/hello/w%C3%B6rld?q=1").json() == {"hello": "wörld", "q": "1"}
        assert client.post("/json", json={"a": [1]}).json() == {"a": [1]}
        sent = client.post("/form", data={"a": "b"}, files={"file": b"x" * 300_000})
        assert sent.json() == {"a": "b", "file": 300_000}
        assert client.get("/stream").text == "0\n1\n2\n3\n4\n"
        assert client.get("/broken").status_code == 500


def test_django_rest_framework_is_found_by_convention(apps: Path) -> None:
    with parent.serving(None, apps / "django_project") as worker, httpx.Client(base_url=worker.url) as client:
        loaded = worker.events[0]
        assert loaded["target"] == "project.wsgi:application"
        assert loaded["framework"].startswith("Django ")
        assert client.get("/orders/").json() == {"answer": 42}
        assert client.post("/orders/", json={"product": "a", "quantity": 0}).status_code == 400
        made = client.post("/orders/", json={"product": "a", "quantity": 2})
        assert (made.status_code, made.json()) == (201, {"product": "a", "quantity": 2})


def test_django_runs_as_asgi_where_it_is_told_to(apps: Path) -> None:
    with parent.serving(None, apps / "django_project", interface="asgi") as worker:
        assert worker.events[0]["target"] == "project.asgi:application"
        assert httpx.get(worker.url + "/orders/").json() == {"answer": 42}


def until(condition, attempts: int = 500) -> None:  # type: ignore[no-untyped-def]
    """Asks until it is so."""
    import time

    for _ in range(attempts):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come true")
