"""WebSocket: the handshake, frames, closing (RFC 6455), and what an application hears (ASGI WebSocket spec 2.4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import pytest
from conftest import on
from frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Talk, frame
from servers import ASGI, Running, play
from test_asgi_life import PLENTY
from waiting import until

ACCEPT = ["send", {"type": "websocket.accept"}]
CONNECT = ["receive"]
ECHO = (CONNECT, ACCEPT, ["echo"])
MAX_SIZE = 16 << 20


def echo(app: Running, token: str, *headers: str) -> Talk:
    talk = Talk(app, play(token, *ECHO), *headers)
    assert talk.answer.status == 101, talk.answer
    return talk


def gone(app: Running, token: str) -> Any:
    """The disconnect that the application has heard."""
    until(lambda: any(note[0] == "gone" for note in app.seen(token)), "the disconnect")
    return next(note[1] for note in app.seen(token) if note[0] == "gone")


# ---------------------------------------------------------------- handshake


@on(*ASGI)
@pytest.mark.spec("RFC 6455 4.2.2")
def test_the_handshake_is_answered(app: Running, token: str) -> None:
    with echo(app, token) as talk:
        assert talk.answer.one("sec-websocket-accept") == talk.expected
        assert (talk.answer.one("upgrade") or "").lower() == "websocket"
        assert (talk.answer.one("connection") or "").lower() == "upgrade"
        assert talk.answer.one("content-length") is None
        talk.text("x")
        assert talk.read().payload == b"x"


@on(*ASGI)
@pytest.mark.spec("RFC 6455 1.3")
def test_the_key_of_the_rfc(app: Running, token: str) -> None:
    with Talk(app, play(token, *ECHO), key="dGhlIHNhbXBsZSBub25jZQ==") as talk:
        assert talk.answer.one("sec-websocket-accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\n"
VERSION = "Sec-WebSocket-Version: 13\r\n"
HANDSHAKES = {
    "no-key": UPGRADE + VERSION,
    "odd-key": UPGRADE + VERSION + "Sec-WebSocket-Key: short\r\n",
    "old-version": UPGRADE + KEY + "Sec-WebSocket-Version: 8\r\n",
    "no-version": UPGRADE + KEY,
}


@on(*ASGI)
@pytest.mark.spec("RFC 6455 4.2.1")
@pytest.mark.parametrize("name", HANDSHAKES)
def test_a_bad_handshake_is_refused(app: Running, token: str, name: str) -> None:
    with app.connect() as connection:
        connection.send(f"GET {play(token, *ECHO)} HTTP/1.1\r\nHost: test\r\n{HANDSHAKES[name]}\r\n".encode())
        assert connection.head().status in (400, 426)
    assert app.seen(token) == []


@on(*ASGI)
@pytest.mark.spec("RFC 6455 4.4")
def test_another_version_is_told_which_one_is_spoken(app: Running, token: str) -> None:
    with app.connect() as connection:
        lines = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n"
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        connection.send(f"GET {play(token, *ECHO)} HTTP/1.1\r\nHost: test\r\n{lines}{key}\r\n".encode())
        answer = connection.answer()
        assert (answer.status, answer.one("sec-websocket-version")) == (426, "13")


@on(*ASGI)
@pytest.mark.spec("RFC 6455 4.2.1")
def test_tokens_may_be_written_in_any_case_and_company(app: Running, token: str) -> None:
    with app.connect() as connection:
        lines = "Upgrade: WebSocket\r\nConnection: keep-alive, upgrade\r\nSec-WebSocket-Version: 13\r\n"
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        connection.send(f"GET {play(token, *ECHO)} HTTP/1.1\r\nHost: test\r\n{lines}{key}\r\n".encode())
        assert connection.head().status == 101


@on(*ASGI)
@pytest.mark.spec("ASGI WebSocket: Accept - send event")
def test_a_subprotocol_is_chosen(app: Running, token: str) -> None:
    accept = ["send", {"type": "websocket.accept", "subprotocol": "chat"}]
    target = play(token, CONNECT, ["scope"], accept, ["echo"])
    with Talk(app, target, "Sec-WebSocket-Protocol: other, chat") as talk:
        assert (talk.answer.status, talk.answer.one("sec-websocket-protocol")) == (101, "chat")
    assert app.seen(token)[1][1]["subprotocols"] == ["other", "chat"]  # type: ignore[index]


@on(*ASGI)
@pytest.mark.spec("ASGI WebSocket: Accept - send event")
def test_fields_of_the_application(app: Running, token: str) -> None:
    accept = [
        "send",
        {"type": "websocket.accept", "headers": [["x-a", "1"], ["set-cookie", "b=2"], ["set-cookie", "c=3"]]},
    ]
    with Talk(app, play(token, CONNECT, accept, ["echo"])) as talk:
        assert (talk.answer.one("x-a"), talk.answer.all("set-cookie")) == ("1", ["b=2", "c=3"])


@on(*ASGI)
@pytest.mark.spec("ASGI WebSocket: Connection scope")
def test_the_scope(app: Running, token: str) -> None:
    with Talk(app, play(token, CONNECT, ["scope"], ACCEPT, ["echo"]) + "&q=%20", "X-A: b"):
        pass
    until(lambda: len(app.seen(token)) > 1, "the scope")
    assert app.seen(token)[0] == ["received", {"type": "websocket.connect"}]
    scope: Any = app.seen(token)[1][1]
    assert (scope["type"], scope["scheme"], scope["path"], scope["http_version"]) == ("websocket", "ws", "/play", "1.1")
    assert ["x-a", "b"] in scope["headers"] and scope["query_string"].endswith("&q=%20")
    assert scope["subprotocols"] == []
    assert "websocket.http.response" in scope["extensions"]


@on(*ASGI)
@pytest.mark.spec("ASGI WebSocket: Close - send event")
def test_a_close_before_accept_is_403(app: Running, token: str) -> None:
    with Talk(app, play(token, CONNECT, ["send", {"type": "websocket.close"}])) as talk:
        assert talk.answer.status == 403


@on(*ASGI)
@pytest.mark.spec("ASGI Extensions: WebSocket Denial Response")
def test_a_denial_of_the_application(app: Running, token: str) -> None:
    head = ["send", {"type": "websocket.http.response.start", "status": 418, "headers": [["x-a", "b"]]}]
    first = ["send", {"type": "websocket.http.response.body", "body": "short and ", "more_body": True}]
    second = ["send", {"type": "websocket.http.response.body", "body": "stout"}]
    with Talk(app, play(token, CONNECT, head, first, second)) as talk:
        answer = talk.wire.body(talk.answer)
        assert (answer.status, answer.one("x-a"), answer.body) == (418, "b", b"short and stout")


@on(*ASGI)
@pytest.mark.spec("ASGI WebSocket: Accept - send event")
@pytest.mark.parametrize("steps", [[["raise", "x"]], [["note", "nothing"]]], ids=["raises", "returns"])
def test_an_application_that_ends_before_accept_is_500(app: Running, token: str, steps: list[Any]) -> None:
    with Talk(app, play(token, CONNECT, *steps)) as talk:
        assert talk.answer.status == 500


@on(*ASGI)
@pytest.mark.spec("ASGI WebSocket: Disconnect - receive event")
def test_a_client_that_goes_before_accept(app: Running, token: str) -> None:
    connection = app.connect()
    lines = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    connection.send(f"GET {play(token, CONNECT, ['gone'])} HTTP/1.1\r\nHost: test\r\n{lines}{key}\r\n".encode())
    until(lambda: app.seen(token) != [], "the application has begun")
    connection.close()
    assert gone(app, token)["code"] == 1006


@on(*ASGI)
@pytest.mark.spec("RFC 6455 4.1")
def test_frames_behind_the_handshake_are_read(app: Running, token: str) -> None:
    lines = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    head = f"GET {play(token, *ECHO)} HTTP/1.1\r\nHost: test\r\n{lines}{key}\r\n".encode()
    with app.connect() as connection:
        connection.socket.settimeout(2)
        connection.send(head + frame(TEXT, b"early"))
        assert connection.head().status == 101
        assert connection.take(7) == b"\x81\x05early"


# ---------------------------------------------------------------- frames that are right


@on(*ASGI)
@pytest.mark.spec("RFC 6455 5.2")
@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 1_000_000])
@pytest.mark.parametrize("kind", [TEXT, BINARY], ids=["text", "binary"])
def test_a_message_of_any_length(app: Running, token: str, kind: int, size: int) -> None:
    with echo(app, token) as talk:
        talk.send(kind, b"x" * size)
        back = talk.next_message()
        assert (back.final, back.reserved, back.kind, back.masked) == (True, 0, kind, False)
        assert back.payload == b"x" * size


@on(*ASGI)
@pytest.mark.spec("RFC 6455 5.4")
def test_fragments_are_one_message(app: Running, token: str) -> None:
    with echo(app, token) as talk:
        talk.send(TEXT, b"one ", final=False)
        talk.send(CONTINUATION, b"", final=False)
        talk.send(CONTINUATION, b"two ", final=False)
        talk.send(CONTINUATION, b"three")
        assert (talk.next_message().payload) == b"one two three"


@on(*ASGI)
@pytest.mark.spec("RFC 6455 5.4")
def test_a_ping_between_fragments(app: Running, token: str) -> None:
    with echo(app, token) as talk:
        talk.send(BINARY, b"one ", final=False)
        talk.send(PING, b"now")
        pong = talk.read()
        assert (pong.kind, pong.payload) == (PONG, b"now")
        talk.send(CONTINUATION, b"two")
        assert talk.next_message().payload == b"one two"


@on(*ASGI)
@pytest.mark.spec("RFC 6455 5.6")
def test_a_character_over_two_fragments(app: Running, token: str) -> None:
    data = "café €".encode()
    with echo(app, token) as talk:
        for at in range(len(data) - 1):
            talk.send(CONTINUATION if at else TEXT, data[at : at + 1], final=False)
        talk.send(CONTINUATION, data[-1:])
        assert talk.next_message().payload == data


@on(*ASGI)
@pytest.mark.spec("RFC 6455 5.5.3")
@pytest.mark.parametrize("payload", [b"", b"x", b"\xff\x00" * 62 + b"z"], ids=["empty", "one", "longest"])
def test_a_ping_is_answered(app: Running, token: str, payload: bytes) -> None:
    with echo(app, token) as talk:
        talk.send(PING, payload)
        pong = talk.read()
        assert (pong.kind, pong.payload) == (PONG, payload)


@on(*ASGI)
@pytest.mark.spec("RFC 6455 5.5.3")
def test_a_pong_that_nobody_asked_for_is_no_matter(app: Running, token: str) -> None:
    with echo(app, token) as talk:
        talk.send(PONG, b"hello")
        talk.text("x")
        assert talk.next_message().payload == b"x"


@on(*ASGI)
@pytest.mark.spec("RFC 6455 5.1")
def test_frames_that_come_byte_by_byte(app: Running, token: str) -> None:
    with echo(app, token) as talk:
        data = frame(TEXT, b"a" * 200) + frame(BINARY, b"b")
        for at in range(len(data)):
            talk.wire.send(data[at : at + 1])
        assert [talk.next_message().payload for _ in range(2)] == [b"a" * 200, b"b"]


@on(*ASGI)
@pytest.mark.spec("ASGI WebSocket: Receive - receive event")
def test_many_messages_keep_their_order(app: Running, token: str) -> None:
    with echo(app, token) as talk:
        talk.wire.send(b"".join(frame(TEXT, f"number {n}".encode()) for n in range(300)))
        assert [talk.next_message().payload for _ in range(300)] == [f"number {n}".encode() for n in range(300)]


# ---------------------------------------------------------------- frames that are wrong


@dataclass(frozen=True)
class Wrong:
    """Frames, and the code that they are closed with."""

    name: str
    frames: bytes
    codes: tuple[int, ...]
    patience: float = 5

    def __str__(self) -> str:
        return self.name


def wrong(name: str, spec: str, frames: bytes, *codes: int) -> Any:
    patience = 1 if name == "announced-too-large" else 5
    return pytest.param(Wrong(name, frames, codes or (1002,), patience), id=name, marks=pytest.mark.spec(spec))


def closing(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, struct.pack(">H", code) + reason)


WRONG = [
    wrong("not-masked", "RFC 6455 5.1", frame(TEXT, b"x", mask=False)),
    wrong("reserved-bit-1", "RFC 6455 5.2", frame(TEXT, b"x", reserved=4)),
    wrong("reserved-bit-2", "RFC 6455 5.2", frame(TEXT, b"x", reserved=2)),
    wrong("reserved-bit-3", "RFC 6455 5.2", frame(TEXT, b"x", reserved=1)),
    wrong("reserved-data-opcode", "RFC 6455 5.2", frame(0x3, b"x")),
    wrong("reserved-control-opcode", "RFC 6455 5.2", frame(0xB, b"x")),
    wrong("ping-in-fragments", "RFC 6455 5.5", frame(PING, b"x", final=False)),
    wrong("ping-too-long", "RFC 6455 5.5", frame(PING, b"x" * 126)),
    wrong("close-too-long", "RFC 6455 5.5", closing(1000, b"x" * 124)),
    wrong("continuation-of-nothing", "RFC 6455 5.4", frame(CONTINUATION, b"x")),
    wrong("text-within-fragments", "RFC 6455 5.4", frame(TEXT, b"x", final=False) + frame(TEXT, b"y")),
    wrong("length-with-the-highest-bit", "RFC 6455 5.2", frame(BINARY, b"", length=b"\x7f" + b"\xff" * 8), 1002, 1009),
    # A server that takes it closes with the code of the close behind it.
    wrong("length-not-shortest", "RFC 6455 5.2", frame(BINARY, b"abc", length=b"\x7e\x00\x03") + closing(1000)),
    wrong("text-is-no-utf-8", "RFC 6455 8.1", frame(TEXT, b"\xff\xfe"), 1007),
    wrong("text-ends-in-a-character", "RFC 6455 8.1", frame(TEXT, b"caf\xc3"), 1007),
    wrong("text-is-a-surrogate", "RFC 6455 8.1", frame(TEXT, b"\xed\xa0\x80"), 1007),
    wrong("fragment-is-no-utf-8", "RFC 6455 8.1", frame(TEXT, b"ok", final=False) + frame(CONTINUATION, b"\xff"), 1007),
    wrong("close-of-one-byte", "RFC 6455 5.5.1", frame(CLOSE, b"\x03")),
    wrong("close-reason-is-no-utf-8", "RFC 6455 5.5.1", closing(1000, b"\xff"), 1002, 1007),
    wrong("close-with-0", "RFC 6455 7.4.2", closing(0)),
    wrong("close-with-999", "RFC 6455 7.4.2", closing(999)),
    wrong("close-with-1005", "RFC 6455 7.4.1", closing(1005)),
    wrong("close-with-1006", "RFC 6455 7.4.1", closing(1006)),
    wrong("close-with-1015", "RFC 6455 7.4.1", closing(1015)),
    wrong("close-with-2999", "RFC 6455 7.4.2", closing(2999)),
    wrong("close-with-65535", "RFC 6455 7.4.2", closing(65535)),
    wrong("message-too-large", "RFC 6455 7.4.1", frame(BINARY, b"x" * (MAX_SIZE + 1)), 1009),
    wrong(
        "fragments-too-large",
        "RFC 6455 7.4.1",
        frame(BINARY, b"x" * (MAX_SIZE // 2), final=False) + frame(CONTINUATION, b"x" * (MAX_SIZE // 2 + 1)),
        1009,
    ),
    wrong(
        "announced-too-large", "RFC 6455 7.4.1", frame(BINARY, b"x", length=b"\x7f" + struct.pack(">Q", 1 << 40)), 1009
    ),
]


@on(*ASGI)
@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_closed(app: Running, token: str, case: Wrong) -> None:
    with echo(app, token) as talk:
        talk.wire.socket.settimeout(case.patience)
        talk.wire.send(case.frames)
        code = talk.closed_with()
        assert code in case.codes, f"closed with {code}"
    assert gone(app, token)["type"] == "websocket.disconnect"


# ---------------------------------------------------------------- closing


@on(*ASGI)
@pytest.mark.spec("RFC 6455 7.1.5")
@pytest.mark.parametrize("code", [1000, 1001, 1003, 1008, 1011, 1012, 1014, 3000, 4000, 4999])
def test_a_close_of_the_client_is_answered_and_told(app: Running, token: str, code: int) -> None:
    with echo(app, token) as talk:
        talk.close(code, "goodbye é".encode())
        back = talk.next_message()
        assert (back.kind, back.code) == (CLOSE, code)
        assert talk.wire.ends()
    event = gone(app, token)
    assert event["code"] == code


@on(*ASGI)
@pytest.mark.spec("ASGI WebSocket: Disconnect - receive event")
def test_the_reason_of_a_close_is_told(app: Running, token: str) -> None:
    with echo(app, token) as talk:
        talk.close(4000, "goodbye é".encode())
        talk.next_message()
    assert gone(app, token)["reason"] == "goodbye é"


@on(*ASGI)
@pytest.mark.spec("RFC 6455 7.1.5")
def test_a_close_without_a_code_is_1005(app: Running, token: str) -> None:
    with echo(app, token) as talk:
        talk.close()
        assert talk.next_message().kind == CLOSE
    assert gone(app, token)["code"] == 1005


@on(*ASGI)
@pytest.mark.spec("RFC 6455 7.1.5")
@pytest.mark.parametrize("how", ["close", "abort"])
def test_a_broken_connection_is_1006(app: Running, token: str, how: str) -> None:
    talk = echo(app, token)
    talk.text("x")
    talk.next_message()
    getattr(talk.wire, how)()
    assert gone(app, token)["code"] == 1006


@on(*ASGI)
@pytest.mark.spec("ASGI WebSocket: Close - send event")
@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [({}, 1000, ""), ({"code": 4001, "reason": "enough é"}, 4001, "enough é")],
    ids=["plain", "with-reason"],
)
def test_the_application_closes(app: Running, token: str, message: dict[str, Any], code: int, reason: str) -> None:
    with Talk(app, play(token, CONNECT, ACCEPT, ["send", {"type": "websocket.close", **message}])) as talk:
        back = talk.next_message()
        assert (back.code, back.reason) == (code, reason)
        talk.close(code)
        assert talk.wire.ends()


@on(*ASGI)
@pytest.mark.spec("RFC 6455 7.4.1")
def test_an_exception_is_1011(app: Running, token: str) -> None:
    with Talk(app, play(token, CONNECT, ACCEPT, ["raise", "x"])) as talk:
        assert talk.closed_with() == 1011


@on(*ASGI)
@pytest.mark.spec("RFC 6455 7.4.1")
def test_an_application_that_returns_closes(app: Running, token: str) -> None:
    with Talk(app, play(token, CONNECT, ACCEPT)) as talk:
        assert talk.closed_with() == 1000


@on(*ASGI)
@pytest.mark.spec("ASGI WebSocket: Send - send event")
def test_a_message_after_the_close_is_an_error(app: Running, token: str) -> None:
    late = ["try", {"type": "websocket.send", "text": "late"}]
    with Talk(app, play(token, CONNECT, ACCEPT, ["send", {"type": "websocket.close"}], late)) as talk:
        assert talk.closed_with() == 1000
    until(lambda: ["ended"] in app.seen(token), "the end of the script")
    assert app.seen(token)[1][:2] == ["refused", "websocket.send"]


@on(*ASGI)
@pytest.mark.spec("ASGI WebSocket: Disconnected Client - send exception")
def test_a_message_to_a_client_that_has_gone_is_an_oserror(app: Running, token: str) -> None:
    late = ["try", {"type": "websocket.send", "text": "late"}]
    with Talk(app, play(token, CONNECT, ACCEPT, ["gone"], late)) as talk:
        talk.close(1000)
        talk.next_message()
    until(lambda: ["ended"] in app.seen(token), "the end of the script")
    assert ["refused", "websocket.send", True] in app.seen(token)


@on(*ASGI)
@pytest.mark.spec("ASGI WebSocket: Send - send event")
@pytest.mark.parametrize(
    "message",
    [{"type": "websocket.send", "text": "early"}, {"type": "websocket.rumour"}],
    ids=["send-before-accept", "unknown-message"],
)
def test_a_wrong_message_is_an_error(app: Running, token: str, message: dict[str, Any]) -> None:
    with Talk(app, play(token, CONNECT, ["try", message], ACCEPT, ["echo"])) as talk:
        assert talk.answer.status == 101
    until(lambda: len(app.seen(token)) > 1, "the script")
    assert app.seen(token)[1][0] == "refused"


@on(*ASGI)
@pytest.mark.spec("ASGI WebSocket: Send - send event")
@pytest.mark.parametrize(
    ("message", "kind", "payload"),
    [
        ({"text": "tëxt"}, TEXT, "tëxt".encode()),
        ({"bytes": "bytes"}, BINARY, b"bytes"),
        ({"text": "", "bytes": None}, TEXT, b""),
        ({"text": None, "bytes": "x"}, BINARY, b"x"),
    ],
    ids=["text", "bytes", "empty-text", "text-is-none"],
)
def test_what_the_application_sends(app: Running, token: str, message: Any, kind: int, payload: bytes) -> None:
    with Talk(app, play(token, CONNECT, ACCEPT, ["send", {"type": "websocket.send", **message}], ["echo"])) as talk:
        back = talk.next_message()
        assert (back.kind, back.payload) == (kind, payload)


# ---------------------------------------------------------------- back-pressure


@on(*ASGI)
@pytest.mark.spec("ASGI WebSocket: Send - send event")
def test_a_slow_reader_holds_the_application_up(app: Running, token: str) -> None:
    with Talk(app, play(token, CONNECT, ACCEPT, ["flood", PLENTY])) as talk:
        assert talk.answer.status == 101
        until(lambda: len(app.seen(token)) > 1, "the flood")
        last, same = -1, 0
        while same < 5:
            current = int(str(app.seen(token)[1][1]))
            same = same + 1 if current == last else 0
            last = current
        assert last < 32 << 20, f"{last} bytes were taken for a client that does not read"


@on(*ASGI)
@pytest.mark.spec("ASGI WebSocket: Receive - receive event")
def test_a_slow_application_holds_the_client_up(app: Running, token: str) -> None:
    with Talk(app, play(token, CONNECT, ACCEPT, ["gate", token], ["echo"])) as talk:
        message = frame(BINARY, b"y" * 65536)
        talk.wire.socket.settimeout(0.3)
        sent = 0
        try:
            while sent < 64 << 20:
                sent += talk.wire.socket.send(message)
        except (TimeoutError, BlockingIOError):
            pass
        assert sent < 48 << 20, f"{sent} bytes were taken that nobody reads"
