"""permessage-deflate (RFC 7692), and clients that fall silent."""

from __future__ import annotations

import asyncio
import zlib

import pytest
import websockets
from conftest import on
from frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Talk
from servers import ASGI, Fleet, Running, Setting, play
from test_websocket import ACCEPT, CONNECT, ECHO, MAX_SIZE, gone
from waiting import until

OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
TAIL = b"\x00\x00\xff\xff"
LONG = b"a text that is long enough to be worth it, and repeats itself; " * 20
KEEPALIVE = "uvicorn --ws-ping-interval, --ws-ping-timeout"


class Deflated(Talk):
    """A conversation that compresses both ways, with a context for each."""

    def __init__(self, app: Running, target: str, offer: str = OFFER) -> None:
        super().__init__(app, target, offer)
        assert (self.answer.one("sec-websocket-extensions") or "").startswith("permessage-deflate"), self.answer
        self.agreed = self.answer.one("sec-websocket-extensions") or ""
        self.compressor = zlib.compressobj(wbits=-15)
        self.expander = zlib.decompressobj(wbits=-15)

    def squeeze(self, data: bytes) -> bytes:
        return (self.compressor.compress(data) + self.compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)

    def expand(self, data: bytes) -> bytes:
        if "server_no_context_takeover" in self.agreed:
            self.expander = zlib.decompressobj(wbits=-15)
        return self.expander.decompress(data + TAIL)


@on(*ASGI)
@pytest.mark.spec("RFC 7692 7.1")
def test_compression_is_agreed_on(app: Running, token: str) -> None:
    with Deflated(app, play(token, *ECHO)) as talk:
        for _ in range(3):
            talk.send(TEXT, talk.squeeze(LONG), reserved=4)
            back = talk.next_message()
            assert back.reserved == 4 and len(back.payload) < len(LONG) // 4
            assert talk.expand(back.payload) == LONG


@on(*ASGI)
@pytest.mark.spec("RFC 7692 5")
def test_compression_is_not_forced_on_anybody(app: Running, token: str) -> None:
    with Talk(app, play(token, *ECHO)) as talk:
        assert talk.answer.one("sec-websocket-extensions") is None
        talk.send(TEXT, LONG)
        back = talk.next_message()
        assert (back.reserved, back.payload) == (0, LONG)


@on(*ASGI)
@pytest.mark.spec("RFC 7692 6")
def test_an_uncompressed_message_is_read_all_the_same(app: Running, token: str) -> None:
    with Deflated(app, play(token, *ECHO)) as talk:
        talk.send(TEXT, b"short")
        back = talk.next_message()
        assert (talk.expand(back.payload) if back.reserved else back.payload) == b"short"


@on(*ASGI)
@pytest.mark.spec("RFC 7692 6.1")
def test_a_compressed_message_in_fragments(app: Running, token: str) -> None:
    with Deflated(app, play(token, *ECHO)) as talk:
        data = talk.squeeze(LONG)
        talk.send(BINARY, data[:10], final=False, reserved=4)
        talk.send(PING)
        assert talk.read().kind == PONG
        talk.send(CONTINUATION, data[10:])
        assert talk.expand(talk.next_message().payload) == LONG


@on(*ASGI)
@pytest.mark.spec("RFC 7692 7.1.1.2")
def test_a_client_that_forgets_its_context(app: Running, token: str) -> None:
    with Deflated(app, play(token, *ECHO), OFFER + "; client_no_context_takeover") as talk:
        for _ in range(3):
            talk.compressor = zlib.compressobj(wbits=-15)
            talk.send(TEXT, talk.squeeze(LONG), reserved=4)
            assert talk.expand(talk.next_message().payload) == LONG


@on(*ASGI)
@pytest.mark.spec("RFC 7692 7.2.3.2")
def test_an_empty_message_compressed(app: Running, token: str) -> None:
    with Deflated(app, play(token, *ECHO)) as talk:
        talk.send(TEXT, b"\x00", reserved=4)
        assert talk.next_message().payload in (b"", b"\x00", b"\x02\x00")


@on(*ASGI)
@pytest.mark.spec("RFC 7692 7.1")
@pytest.mark.parametrize(
    "offer",
    ["permessage-deflate; rumour", "permessage-deflate; server_max_window_bits=20", "other"],
    ids=["unknown-parameter", "odd-window", "other-extension"],
)
def test_an_offer_that_cannot_be_met_is_left(app: Running, token: str, offer: str) -> None:
    with Talk(app, play(token, *ECHO), f"Sec-WebSocket-Extensions: {offer}") as talk:
        assert (talk.answer.status, talk.answer.one("sec-websocket-extensions")) == (101, None)


@on(*ASGI)
@pytest.mark.spec("RFC 7692 7.1")
def test_the_second_offer_is_taken_where_the_first_cannot_be_met(app: Running, token: str) -> None:
    offer = "Sec-WebSocket-Extensions: permessage-deflate; rumour, permessage-deflate"
    with Talk(app, play(token, *ECHO), offer) as talk:
        assert (talk.answer.one("sec-websocket-extensions") or "").startswith("permessage-deflate")


@on(*ASGI)
@pytest.mark.spec("RFC 7692 6.2")
@pytest.mark.parametrize("name", ["no-deflate", "bit-on-continuation", "bit-on-control", "bomb"])
def test_wrong_compression_is_closed(app: Running, token: str, name: str) -> None:
    with Deflated(app, play(token, *ECHO)) as talk:
        if name == "no-deflate":
            talk.send(BINARY, b"\xff\xff\xff\xff", reserved=4)
        elif name == "bit-on-continuation":
            talk.send(BINARY, talk.squeeze(LONG)[:5], reserved=4, final=False)
            talk.send(CONTINUATION, b"x", reserved=4)
        elif name == "bit-on-control":
            talk.send(PING, b"x", reserved=4)
        else:
            talk.send(BINARY, talk.squeeze(b"\0" * (MAX_SIZE + 1)), reserved=4)
        code = talk.closed_with()
        assert code == {"bomb": 1009, "no-deflate": code if code in (1002, 1007) else 1007}.get(name, 1002)


@on(*ASGI)
@pytest.mark.spec("RFC 7692, as the client of `websockets` speaks it")
def test_a_client_from_pypi(app: Running, token: str) -> None:
    async def converse() -> None:
        url = f"ws://127.0.0.1:{app.port}{play(token, *ECHO)}"
        async with websockets.connect(url, max_size=None) as socket:
            assert "permessage-deflate" in socket.response.headers["sec-websocket-extensions"]  # type: ignore[union-attr]
            for message in ("text ä" * 100, b"bytes", "x" * 1_000_000, ""):
                await socket.send(message)
                assert await socket.recv() == message
            await (await socket.ping())
            await socket.close(4000, "enough")

    asyncio.run(converse())
    assert gone(app, token)["code"] == 4000


# ---------------------------------------------------------------- silence


@on("pinnace", "uvicorn-httptools", "uvicorn-h11", "hypercorn")
@pytest.mark.spec(KEEPALIVE)
def test_a_silent_client_is_pinged(server: str, fleet: Fleet, token: str) -> None:
    app = fleet.ask(server, "asgi_app:app", Setting(ping_interval=0.2, ping_timeout=5))
    with Talk(app, play(token, *ECHO)) as talk:
        for _ in range(2):
            ping = talk.read()
            assert ping.kind == PING
            talk.send(PONG, ping.payload)
        talk.text("still here")
        assert talk.next_message().payload == b"still here"


@on("pinnace", "uvicorn-httptools", "uvicorn-h11")
@pytest.mark.spec(KEEPALIVE)
def test_a_client_that_does_not_answer_pings_is_given_up(server: str, fleet: Fleet, token: str) -> None:
    app = fleet.ask(server, "asgi_app:app", Setting(ping_interval=0.2, ping_timeout=0.2))
    with Talk(app, play(token, *ECHO)) as talk:
        assert talk.read().kind == PING
        end = talk.next_message()
        assert (end.kind, end.code) == (CLOSE, 1011)
    assert gone(app, token)["code"] in (1006, 1011)


@on("pinnace")
@pytest.mark.spec(KEEPALIVE)
def test_a_client_that_is_not_read_is_not_given_up(server: str, fleet: Fleet, token: str) -> None:
    """Back-pressure is no silence: its pongs are behind what the application has not taken yet."""
    app = fleet.ask(server, "asgi_app:app", Setting(ping_interval=0.2, ping_timeout=0.2))
    with Talk(app, play(token, CONNECT, ACCEPT, ["gate", token], ["echo"])) as talk:
        for number in range(40):
            talk.text(f"number {number}")
        for _ in range(3):
            # Each takes a while in which the other conversation is due to be pinged and given up.
            with Talk(app, play(token + "-other", *ECHO)) as other:
                assert other.read().kind == PING
                assert other.next_message().kind == CLOSE
        app.get(f"/open?gate={token}")
        assert [talk.next_message().payload for _ in range(40)] == [f"number {n}".encode() for n in range(40)]
    until(lambda: app.seen(token)[-1] == ["ended"], "the end of the script")
