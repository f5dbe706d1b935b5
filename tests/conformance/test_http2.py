"""HTTP/2 with prior knowledge (RFC 9113): frames of a rude client, and what an application sees."""

from __future__ import annotations

from typing import Any

import h2.settings
import pytest
from conftest import on
from h2peer import Peer
from servers import HTTP2, Running, play
from test_asgi_life import PLENTY
from test_http1_responses import body, start
from waiting import until

PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED, FRAME_SIZE_ERROR = 1, 3, 5, 6
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
Pairs = list[tuple[str, str]]


def works(peer: Peer) -> bool:
    return peer.get("/hello").body == b"hello"


# ---------------------------------------------------------------- semantics


@on(*HTTP2)
@pytest.mark.spec("RFC 9113 8.3.1")
def test_a_request(app: Running) -> None:
    with Peer(app) as peer:
        scope = peer.get("/caf%C3%A9?a=b", ("x-a", "1"), ("x-b", "2")).json()
        assert (scope["http_version"], scope["method"], scope["scheme"]) == ("2", "GET", "http")
        assert (scope["path"], scope["query_string"]) == ("/café", "a=b")
        assert ["host", "test"] in scope["headers"]
        assert not any(name.startswith(":") for name, _ in scope["headers"])


@on(*HTTP2)
@pytest.mark.spec("RFC 9113 8.2.3")
def test_cookies_are_joined(app: Running) -> None:
    with Peer(app) as peer:
        headers = peer.get("/x", ("cookie", "a=1"), ("cookie", "b=2")).json()["headers"]
        assert [value for name, value in headers if name == "cookie"] == ["a=1; b=2"]


@on(*HTTP2)
@pytest.mark.spec("RFC 9113 8.1")
@pytest.mark.parametrize("size", [0, 1, 16_384, 65_535, 65_536, 1_000_000])
def test_a_body(app: Running, size: int) -> None:
    data = (bytes(range(256)) * (size // 256 + 1))[:size]
    with Peer(app) as peer:
        assert peer.read(peer.ask("POST", "/echo", body=data)).body == data


@on(*HTTP2)
@pytest.mark.spec("RFC 9113 8.1")
def test_trailers_end_a_request(app: Running) -> None:
    with Peer(app) as peer:
        stream = peer.ask("POST", "/echo", body=b"abc", end=False)
        peer.state.send_headers(stream, [("x-sum", "1")], end_stream=True)
        peer.flush()
        assert peer.read(stream).body == b"abc"


@on(*HTTP2)
@pytest.mark.spec("RFC 9113 5.1.2")
def test_streams_run_beside_each_other(app: Running, token: str) -> None:
    with Peer(app) as peer:
        slow = peer.ask("GET", play(token, ["gate", token], start(), body("slow")))
        fast = [peer.ask("GET", "/hello") for _ in range(20)]
        assert [peer.read(stream).body for stream in fast] == [b"hello"] * 20
        app.get(f"/open?gate={token}")
        assert peer.read(slow).body == b"slow"


@on(*HTTP2)
@pytest.mark.spec("RFC 9110 9.3.2")
def test_head(app: Running) -> None:
    with Peer(app) as peer:
        answer = peer.read(peer.ask("HEAD", "/hello"))
        assert (answer.status, answer.all("content-length"), answer.body) == (200, ["5"], b"")


@on(*HTTP2)
@pytest.mark.spec("RFC 9110 15.3.5")
@pytest.mark.parametrize("status", [204, 304])
def test_no_body_where_none_may_be(app: Running, token: str, status: int) -> None:
    with Peer(app) as peer:
        answer = peer.get(play(token, start(status), body()))
        assert (answer.status, answer.body, answer.ended) == (status, b"", True)


@on(*HTTP2)
@pytest.mark.spec("RFC 9113 8.2.2")
def test_fields_about_the_connection_are_not_sent(app: Running, token: str) -> None:
    headers = (("connection", "close"), ("transfer-encoding", "chunked"), ("keep-alive", "x"), ("x-a", "b"))
    with Peer(app) as peer:
        answer = peer.get(play(token, start(200, *headers), body("x")))
        assert (answer.status, answer.body, answer.all("x-a")) == (200, b"x", ["b"])
        assert not {name for name, _ in answer.headers} & {"connection", "transfer-encoding", "keep-alive"}


@on(*HTTP2)
@pytest.mark.spec("RFC 9113 8.2.1")
def test_names_are_sent_in_small_letters(app: Running, token: str) -> None:
    with Peer(app) as peer:
        answer = peer.get(play(token, start(200, ("X-Mixed", "v")), body("x")))
        assert answer.all("x-mixed") == ["v"]


@on(*HTTP2)
@pytest.mark.spec("RFC 9113 8.1")
def test_an_exception_is_500(app: Running, token: str) -> None:
    with Peer(app) as peer:
        assert peer.get(play(token, ["raise", "x"])).status == 500
        assert works(peer)


@on(*HTTP2)
@pytest.mark.spec("RFC 9113 8.1")
def test_an_exception_in_the_middle_resets_the_stream(app: Running, token: str) -> None:
    with Peer(app) as peer:
        answer = peer.get(play(token, start(), body("begun", True), ["raise", "x"]))
        assert answer.reset is not None and not answer.ended
        assert works(peer)


@on(*HTTP2)
@pytest.mark.spec("ASGI HTTP: Disconnect - receive event")
def test_a_reset_is_a_disconnect(app: Running, token: str) -> None:
    with Peer(app) as peer:
        stream = peer.ask("GET", play(token, ["read"], ["gone"]))
        until(lambda: app.seen(token) == [["read", 0]], "the application waits")
        peer.state.reset_stream(stream)
        peer.flush()
        until(lambda: ["ended"] in app.seen(token), "the end of the script")
        assert app.seen(token)[1] == ["gone", {"type": "http.disconnect"}]
        assert works(peer)


@on(*HTTP2)
@pytest.mark.spec("ASGI HTTP: Disconnect - receive event")
def test_the_end_of_the_connection_is_a_disconnect(app: Running, token: str) -> None:
    with Peer(app) as peer:
        peer.ask("GET", play(token, ["read"], ["gone"]))
        until(lambda: app.seen(token) == [["read", 0]], "the application waits")
    until(lambda: ["ended"] in app.seen(token), "the end of the script")
    assert app.seen(token)[1] == ["gone", {"type": "http.disconnect"}]


# ---------------------------------------------------------------- flow control


@on(*HTTP2)
@pytest.mark.spec("RFC 9113 5.2")
def test_a_full_window_holds_the_application_up(app: Running, token: str) -> None:
    with Peer(app, acknowledges=False) as peer:
        stream = peer.ask("GET", play(token, start(), ["flood", PLENTY]))
        while len(peer.answers[stream].body) < 65_535:
            assert peer.step()
        last, same = -1, 0
        while same < 5:
            current = int(str(app.seen(token)[0][1]))
            same = same + 1 if current == last else 0
            last = current
        assert last < 16 << 20, f"{last} bytes were taken for a window of 65535"
        assert len(peer.answers[stream].body) == 65_535


@on(*HTTP2)
@pytest.mark.spec("RFC 9113 6.9.2")
def test_a_small_initial_window_is_kept_to(app: Running, token: str) -> None:
    with Peer(app, {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 10}) as peer:
        answer = peer.get(play(token, start(), body("0123456789" * 3)))
        assert answer.body == b"0123456789" * 3


@on(*HTTP2)
@pytest.mark.spec("RFC 9113 5.2")
def test_a_slow_application_holds_the_client_up(app: Running, token: str) -> None:
    with Peer(app) as peer:
        stream = peer.ask("POST", play(token, ["gate", token], ["read"], start(), body("ok")), end=False)
        peer.socket.settimeout(0.3)
        sent = 0
        try:
            while sent < 64 << 20:
                room = min(peer.state.local_flow_control_window(stream), peer.state.max_outbound_frame_size)
                if room == 0:
                    assert peer.step()
                    continue
                peer.state.send_data(stream, b"y" * room)
                peer.flush()
                sent += room
        except (TimeoutError, BlockingIOError):
            pass
        assert sent < 32 << 20, f"{sent} bytes were taken that nobody reads"


# ---------------------------------------------------------------- requests that are malformed


PSEUDO: Pairs = [(":method", "GET"), (":scheme", "http"), (":authority", "test"), (":path", "/hello")]
MALFORMED: dict[str, tuple[str, Pairs]] = {
    "name-in-capitals": ("RFC 9113 8.2.1", [*PSEUDO, ("X-A", "b")]),
    "name-with-space": ("RFC 9113 8.2.1", [*PSEUDO, ("x a", "b")]),
    "value-with-line-feed": ("RFC 9113 8.2.1", [*PSEUDO, ("x-a", "b\nc")]),
    "value-with-nul": ("RFC 9113 8.2.1", [*PSEUDO, ("x-a", "b\0c")]),
    "connection": ("RFC 9113 8.2.2", [*PSEUDO, ("connection", "keep-alive")]),
    "transfer-encoding": ("RFC 9113 8.2.2", [*PSEUDO, ("transfer-encoding", "chunked")]),
    "keep-alive": ("RFC 9113 8.2.2", [*PSEUDO, ("keep-alive", "x")]),
    "upgrade": ("RFC 9113 8.2.2", [*PSEUDO, ("upgrade", "websocket")]),
    "te-gzip": ("RFC 9113 8.2.2", [*PSEUDO, ("te", "gzip")]),
    "no-method": ("RFC 9113 8.3.1", PSEUDO[1:]),
    "no-scheme": ("RFC 9113 8.3.1", [PSEUDO[0], *PSEUDO[2:]]),
    "no-path": ("RFC 9113 8.3.1", PSEUDO[:3]),
    "empty-path": ("RFC 9113 8.3.1", [*PSEUDO[:3], (":path", "")]),
    "two-paths": ("RFC 9113 8.3.1", [*PSEUDO, (":path", "/other")]),
    "unknown-pseudo-field": ("RFC 9113 8.3", [*PSEUDO, (":rumour", "x")]),
    "pseudo-field-of-a-response": ("RFC 9113 8.3", [*PSEUDO, (":status", "200")]),
    "pseudo-field-behind-others": ("RFC 9113 8.3", [*PSEUDO[:3], ("x-a", "b"), (":path", "/hello")]),
}


def malformed() -> list[Any]:
    return [pytest.param(pairs, id=name, marks=pytest.mark.spec(spec)) for name, (spec, pairs) in MALFORMED.items()]


@on(*HTTP2)
@pytest.mark.parametrize("pairs", malformed())
def test_a_malformed_request_is_refused(app: Running, pairs: Pairs) -> None:
    with Peer(app) as peer:
        stream, answer = peer.begin()
        peer.frame(HEADERS, END_STREAM | END_HEADERS, stream, peer.block(*pairs))
        while answer.status == 0 and answer.reset is None and peer.step():
            pass
        told = answer.reset or (peer.gone and peer.gone.error_code) or answer.status
        assert told == PROTOCOL_ERROR or 400 <= int(told) < 500, f"it was told {told}"


@on(*HTTP2)
@pytest.mark.spec("RFC 9113 8.1.1")
@pytest.mark.parametrize("length", ["2", "5"], ids=["more-than-its-length", "less-than-its-length"])
def test_a_body_that_contradicts_its_length(app: Running, length: str) -> None:
    with Peer(app) as peer:
        answer = peer.read(peer.ask("POST", "/echo", ("content-length", length), body=b"abc"))
        assert answer.status != 200, "it was answered with 200"


# ---------------------------------------------------------------- errors of the connection


BROKEN: dict[str, tuple[str, tuple[int, int, int, bytes], tuple[int, ...]]] = {
    "data-on-stream-0": ("RFC 9113 6.1", (DATA, 0, 0, b"x"), (PROTOCOL_ERROR,)),
    "headers-on-stream-0": ("RFC 9113 6.2", (HEADERS, END_HEADERS, 0, b""), (PROTOCOL_ERROR,)),
    "even-stream": ("RFC 9113 5.1.1", (HEADERS, END_HEADERS | END_STREAM, 2, b"\x82"), (PROTOCOL_ERROR,)),
    "data-on-an-idle-stream": ("RFC 9113 5.1", (DATA, 0, 9, b"x"), (PROTOCOL_ERROR, STREAM_CLOSED)),
    "continuation-of-nothing": ("RFC 9113 6.10", (CONTINUATION, END_HEADERS, 1, b""), (PROTOCOL_ERROR,)),
    "settings-of-odd-size": ("RFC 9113 6.5", (SETTINGS, 0, 0, b"12345"), (FRAME_SIZE_ERROR,)),
    "settings-on-a-stream": ("RFC 9113 6.5", (SETTINGS, 0, 1, b""), (PROTOCOL_ERROR,)),
    "acknowledgement-with-content": ("RFC 9113 6.5", (SETTINGS, ACK, 0, b"123456"), (FRAME_SIZE_ERROR,)),
    "window-too-large": ("RFC 9113 6.5.2", (SETTINGS, 0, 0, b"\x00\x04\xff\xff\xff\xff"), (FLOW_CONTROL_ERROR,)),
    "frame-size-too-small": ("RFC 9113 6.5.2", (SETTINGS, 0, 0, b"\x00\x05\x00\x00\x00\x01"), (PROTOCOL_ERROR,)),
    "push-is-neither": ("RFC 9113 6.5.2", (SETTINGS, 0, 0, b"\x00\x02\x00\x00\x00\x02"), (PROTOCOL_ERROR,)),
    "ping-of-odd-size": ("RFC 9113 6.7", (PING, 0, 0, b"1234567"), (FRAME_SIZE_ERROR,)),
    "ping-on-a-stream": ("RFC 9113 6.7", (PING, 0, 1, b"12345678"), (PROTOCOL_ERROR,)),
    "window-update-of-0": ("RFC 9113 6.9", (WINDOW_UPDATE, 0, 0, b"\0\0\0\0"), (PROTOCOL_ERROR,)),
    "window-overflows": ("RFC 9113 6.9.1", (WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"), (FLOW_CONTROL_ERROR,)),
    "window-update-of-odd-size": ("RFC 9113 6.9", (WINDOW_UPDATE, 0, 0, b"\0\0\0"), (FRAME_SIZE_ERROR,)),
    "reset-of-an-idle-stream": ("RFC 9113 6.4", (RST_STREAM, 0, 9, b"\0\0\0\0"), (PROTOCOL_ERROR,)),
    "push-from-a-client": ("RFC 9113 8.4", (PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\2"), (PROTOCOL_ERROR,)),
    "frame-too-large": ("RFC 9113 4.2", (DATA, 0, 1, b"x" * 16_385), (FRAME_SIZE_ERROR,)),
    "bad-compression": ("RFC 9113 4.3", (HEADERS, END_HEADERS | END_STREAM, 1, b"\xff\xff\xff\xff\xff"), (9,)),
}


def broken() -> list[Any]:
    return [pytest.param(rest, id=name, marks=pytest.mark.spec(spec)) for name, (spec, *rest) in BROKEN.items()]


@on(*HTTP2)
@pytest.mark.parametrize("case", broken())
def test_a_broken_connection_is_ended(app: Running, case: tuple[tuple[int, int, int, bytes], tuple[int, ...]]) -> None:
    frame, codes = case
    with Peer(app) as peer:
        peer.frame(*frame)
        code = peer.until_gone()
        assert code in codes, f"GOAWAY with {code}"
    assert app.get("/hello").body == b"hello"


@on(*HTTP2)
@pytest.mark.spec("RFC 9113 6.10")
def test_nothing_comes_between_headers_and_their_continuation(app: Running) -> None:
    with Peer(app) as peer:
        peer.frame(HEADERS, END_STREAM, 1, peer.block(*PSEUDO))
        peer.frame(PING, 0, 0, b"12345678")
        assert peer.until_gone() == PROTOCOL_ERROR


@on(*HTTP2)
@pytest.mark.spec("RFC 9113 6.10")
def test_headers_in_pieces(app: Running) -> None:
    with Peer(app) as peer:
        stream, answer = peer.begin()
        block = peer.block(*PSEUDO, ("x-long", "v" * 100))
        peer.frame(HEADERS, END_STREAM, stream, block[:3])
        for at in range(3, len(block), 60):
            peer.frame(CONTINUATION, END_HEADERS if at + 60 >= len(block) else 0, stream, block[at : at + 60])
        while not answer.ended and peer.step():
            pass
        assert answer.body == b"hello"


@on(*HTTP2)
@pytest.mark.spec("RFC 9113 6.7")
def test_a_ping_is_answered(app: Running) -> None:
    with Peer(app) as peer:
        peer.state.ping(b"12345678")
        peer.flush()
        until(
            lambda: peer.step() and any(type(event).__name__ == "PingAckReceived" for event in peer.events),
            "the answer",
        )
        assert works(peer)


@on(*HTTP2)
@pytest.mark.spec("RFC 9113 5.1")
def test_an_unknown_frame_is_no_matter(app: Running) -> None:
    with Peer(app) as peer:
        peer.frame(0x77, 0xFF, 0, b"whatever")
        assert works(peer)


@on(*HTTP2)
@pytest.mark.spec("RFC 9113 6.5.2")
def test_an_unknown_setting_is_no_matter(app: Running) -> None:
    with Peer(app) as peer:
        peer.frame(SETTINGS, 0, 0, b"\x77\x77\0\0\0\1")
        assert works(peer)


@on(*HTTP2)
@pytest.mark.spec("RFC 9113 5.1.2")
def test_streams_are_limited(app: Running, token: str) -> None:
    with Peer(app) as peer:
        assert works(peer)
        limit = peer.state.remote_settings.max_concurrent_streams
        assert limit is not None and limit <= 1000, f"the limit is {limit}"


# ---------------------------------------------------------------- floods


@on(*HTTP2)
@pytest.mark.spec("RFC 9113 10.5, CVE-2023-44487 (rapid reset)")
def test_rapid_resets_end_the_connection(app: Running, token: str) -> None:
    with Peer(app) as peer:
        assert works(peer)
        block = peer.block(*PSEUDO[:3], (":path", play(token, ["gate", token])))
        for number in range(2000):
            stream = 3 + 2 * number
            peer.frame(HEADERS, END_STREAM | END_HEADERS, stream, block)
            peer.frame(RST_STREAM, 0, stream, b"\0\0\0\x08")
        peer.socket.settimeout(2)
        try:
            code = peer.until_gone()
        except TimeoutError:
            code = None
        app.get(f"/open?gate={token}")
        assert code is not None, "it went on"
    assert app.get("/hello").body == b"hello"


@on(*HTTP2)
@pytest.mark.spec("RFC 9113 10.5, CVE-2024-27316 (CONTINUATION)")
def test_endless_headers_end_the_connection(app: Running) -> None:
    with Peer(app) as peer:
        assert works(peer)
        block = peer.block(*PSEUDO)
        peer.frame(HEADERS, END_STREAM, 3, block)
        # A literal field that is not remembered, over and over.
        field = b"\x00\x05x-abc\x7f\xa1\x1f" + b"v" * 4128
        for _ in range(1000):
            if peer.closed:
                break
            peer.frame(CONTINUATION, 0, 3, field)
        peer.socket.settimeout(2)
        try:
            code = peer.until_gone()
        except TimeoutError:
            code = -1
        assert code != -1, "it went on"
    assert app.get("/hello").body == b"hello"


@on(*HTTP2)
@pytest.mark.spec("RFC 9113 10.5, CVE-2019-9512 and -9515 (PING, SETTINGS)")
@pytest.mark.parametrize("kind", ["ping", "settings"])
def test_a_flood_whose_answers_nobody_reads_is_held_up(app: Running, kind: str) -> None:
    with Peer(app) as peer:
        assert works(peer)
        one = b"\0\0\x08\x06\0\0\0\0\0" + b"12345678" if kind == "ping" else b"\0\0\0\x04\0\0\0\0\0"
        peer.socket.settimeout(0.5)
        sent = 0
        try:
            while sent < 32 << 20:
                sent += peer.socket.send(one * 5000)
        except OSError:
            pass
        assert sent < 32 << 20, f"{sent} bytes were taken"
    assert app.get("/hello").body == b"hello"
