"""An application as FastAPI's tutorial builds it up: models, dependencies, errors, files, streams, background work."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from fastapi import (
    BackgroundTasks,
    Body,
    Cookie,
    Depends,
    FastAPI,
    Header,
    HTTPException,
    Query,
    Request,
    Response,
    WebSocket,
    WebSocketDisconnect,
)
from fastapi.middleware.cors import CORSMiddleware
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    StreamingResponse,
)
from fastapi.security import HTTPBasic, HTTPBasicCredentials
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, Field

written: list[str] = []


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
    yield {"started": "yes"}


app = FastAPI(title="tutorial", lifespan=lifespan)
app.add_middleware(CORSMiddleware, allow_origins=["https://example.org"], allow_methods=["*"])
app.add_middleware(GZipMiddleware, minimum_size=1000)
app.mount("/static", StaticFiles(directory=Path(__file__).parent), name="static")


class Item(BaseModel):
    name: str
    price: float = Field(gt=0)
    tags: set[str] = set()


class Missing(Exception):
    pass


@app.exception_handler(Missing)
async def missing(request: Request, error: Missing) -> JSONResponse:
    return JSONResponse({"missing": request.url.path}, status_code=418)


@app.middleware("http")
async def stamp(request: Request, call_next: Any) -> Response:
    response: Response = await call_next(request)
    response.headers["X-Stamp"] = request.method
    return response


def session() -> Iterator[str]:
    written.append("opened")
    try:
        yield "session"
    finally:
        written.append("closed")


@app.get("/")
def root(request: Request) -> dict[str, str]:
    return {"hello": "world", "started": request.state.started}


@app.get("/items/{number}")
async def read(number: int, q: Annotated[str | None, Query(max_length=5)] = None) -> dict[str, Any]:
    return {"number": number, "q": q}


@app.post("/items", status_code=201)
def create(item: Item) -> Item:
    return item


@app.put("/items/{number}")
async def update(number: int, item: Item, importance: Annotated[int, Body()]) -> dict[str, Any]:
    return {"number": number, "item": item, "importance": importance}


@app.delete("/items/{number}", status_code=204)
def delete(number: int) -> None:
    return None


@app.get("/asked")
def asked(
    user_agent: Annotated[str | None, Header()] = None, taste: Annotated[str | None, Cookie()] = None
) -> dict[str, str | None]:
    return {"agent": user_agent, "taste": taste}


@app.get("/session")
async def with_session(opened: Annotated[str, Depends(session)]) -> str:
    return opened


@app.get("/written")
async def what_was_written() -> list[str]:
    return written


@app.get("/missing")
async def raises_missing() -> None:
    raise Missing


@app.get("/forbidden")
async def forbidden() -> None:
    raise HTTPException(403, "not yours", headers={"X-Why": "because"})


@app.get("/broken")
async def broken() -> None:
    raise ValueError("not handled")


@app.get("/me")
def me(credentials: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]) -> str:
    return credentials.username


@app.post("/notify")
async def notify(tasks: BackgroundTasks) -> str:
    tasks.add_task(written.append, "background")
    return "sent"


@app.get("/stream")
async def stream() -> StreamingResponse:
    async def parts() -> AsyncIterator[str]:
        for number in range(10):
            yield f"part {number}\n"

    return StreamingResponse(parts(), media_type="text/plain")


@app.get("/file")
def file() -> FileResponse:
    return FileResponse(__file__, headers={"etag": '"fixed"', "last-modified": "Sun, 06 Nov 1994 08:49:37 GMT"})


@app.get("/large")
def large() -> PlainTextResponse:
    return PlainTextResponse("a long text " * 1000)


@app.get("/page", response_class=HTMLResponse)
def page() -> str:
    return "<h1>caf\u00e9</h1>"


@app.get("/away")
def away() -> RedirectResponse:
    return RedirectResponse("/items/1")


@app.get("/cookie")
def cookie(response: Response) -> str:
    response.set_cookie("taste", "sweet")
    response.set_cookie("size", "large", httponly=True)
    return "set"


@app.post("/raw")
async def raw(request: Request) -> dict[str, Any]:
    body = await request.body()
    return {"length": len(body), "type": request.headers.get("content-type")}


@app.websocket("/chat")
async def chat(socket: WebSocket) -> None:
    await socket.accept()
    try:
        while True:
            await socket.send_json({"said": await socket.receive_json()})
    except WebSocketDisconnect as end:
        written.append(f"chat ended {end.code}")
