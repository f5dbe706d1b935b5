"""A FastAPI application as anybody would write it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import BackgroundTasks, FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.middleware.base import BaseHTTPMiddleware


class Item(BaseModel):
    """What is posted."""

    name: str
    price: float


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, str]]:
    """Gives every request a greeting."""
    yield {"greeting": "hello"}


app = FastAPI(lifespan=lifespan)
cleaned: list[str] = []
background: list[str] = []


async def header(request: Request, call_next):  # type: ignore[no-untyped-def]
    """A middleware of the expensive kind."""
    response = await call_next(request)
    response.headers["x-middleware"] = "yes"
    return response


app.add_middleware(BaseHTTPMiddleware, dispatch=header)


@app.get("/items/{item_id}")
async def read_item(item_id: int, request: Request, q: str | None = None) -> dict[str, object]:
    return {"item_id": item_id, "q": q, "greeting": request.state.greeting}


@app.post("/items", status_code=201)
async def create_item(item: Item) -> Item:
    return item


@app.get("/sync")
def sync() -> dict[str, str]:
    return {"ran": "in a thread"}


@app.get("/missing")
async def missing() -> None:
    raise HTTPException(404, "not here")


@app.get("/broken")
async def broken() -> None:
    raise RuntimeError("broken on purpose")


@app.get("/stream")
async def stream() -> StreamingResponse:
    async def parts() -> AsyncIterator[str]:
        try:
            for number in range(5):
                yield f"{number}\n"
                await asyncio.sleep(0.01)
        finally:
            cleaned.append("stream")

    return StreamingResponse(parts())


@app.get("/idle-stream")
async def idle_stream() -> StreamingResponse:
    async def parts() -> AsyncIterator[str]:
        try:
            yield "first\n"
            await asyncio.Event().wait()
        finally:
            cleaned.append("idle")

    return StreamingResponse(parts())


@app.get("/cleaned")
async def show_cleaned() -> list[str]:
    return cleaned


@app.get("/background")
async def start_background(tasks: BackgroundTasks) -> str:
    tasks.add_task(background.append, "ran")
    return "started"


@app.get("/background-seen")
async def show_background() -> list[str]:
    return background


@app.get("/timeout")
async def timeout() -> str:
    import anyio

    with anyio.move_on_after(0.05) as scope:
        await anyio.sleep(30)
    return "timed out" if scope.cancelled_caught else "slept"


@app.websocket("/ws")
async def ws(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(f"echo {text}")
