"""asyncio as applications expect it, on our loop and on uvicorn's; the handlers are in `apps/asyncio_app.py`."""

from __future__ import annotations

import ast
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import on
from servers import APPS, Fleet

DOCUMENTS = {"anyio": "AnyIO: Cancellation, Threads, Streams", "starlette": "Starlette: Thread Pool"}
NAMES = [
    node.name.removeprefix("do_").replace("_", "-")
    for node in ast.parse((APPS / "asyncio_app.py").read_text()).body
    if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("do_")
]


@on("pinnace", "uvicorn-httptools")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.spec(DOCUMENTS.get(name.split("-")[0], "Python: asyncio, contextvars")))
        for name in NAMES
        if name != "hello"
    ],
)
def test_it_works_in_a_handler(server: str, fleet: Fleet, name: str) -> None:
    answer = fleet.ask(server, "asyncio_app:app").get(f"/{name}")
    assert (answer.status, answer.body) == (200, b"ok"), answer.body.decode()


@on("pinnace", "uvicorn-httptools")
@pytest.mark.spec("Python: asyncio")
def test_all_of_it_at_the_same_time(server: str, fleet: Fleet) -> None:
    running = fleet.ask(server, "asyncio_app:app")
    # Not what belongs to the whole process, and not what measures time.
    names = [name for name in NAMES if name not in ("signals", "clock", "hello", "anyio-limiter")] * 2
    with ThreadPoolExecutor(16) as clients:
        answers = list(clients.map(lambda name: running.get(f"/{name}"), names))
    failed = {name: answer.body.decode() for name, answer in zip(names, answers, strict=True) if answer.status != 200}
    assert failed == {}
