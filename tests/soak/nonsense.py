"""What nobody should send to a registry: requests, messages and half of them, drawn by a seed.

Each begins with something that is right, so that it gets past the first look, and is then broken in one way or several.
"""

from __future__ import annotations

import json
import random
import struct
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

# Nobody who breaks things is called like the one who has to be served meanwhile.
SERVICES = ("web", "shop", "Web", "wéb", "a.b", "x" * 255)
NODES = ("n1", "n2", "outside")

ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        [],
        {},
        [[]],
        "",
        " ",
        "\0",
        "\ud800",
        "a/b",
        "../..",
        "%00",
        "x" * 300,
        "x" * 5_000,
        "\u202e",
        "10s",
    ),
    *(-1, 0, 1, 65_536, 2**31, 2**63, 2**64, 10**400, 0.5, 1e308, "1e999s", "-5s", "99999999h", "passing", "UP"),
    *("http://127.0.0.1:1/", "http://169.254.169.254/", "127.0.0.1:1", "[::1]:1", "file:///etc/passwd", "<a>", "&amp;"),
)

READS = (
    *("/v1/health/service/web", "/v1/health/checks/web", "/v1/health/node/pinnace", "/v1/health/state/any"),
    *("/v1/catalog/services", "/v1/catalog/service/web", "/v1/catalog/nodes", "/v1/catalog/node/n1", "/v1/agent/self"),
    *("/v1/catalog/node-services/pinnace", "/v1/agent/services", "/v1/agent/checks", "/v1/agent/service/a1"),
    *("/v1/agent/health/service/name/web", "/v1/agent/health/service/id/a1", "/v1/kv/a", "/v1/session/list", "/v1/"),
    *("/v1/status/leader", "/v1/agent/members", "/eureka/apps", "/eureka/apps/delta", "/eureka/apps/WEB", "/eureka/x"),
    *("/eureka/v2/apps/WEB/a1", "/eureka/instances/a1", "/eureka/vips/web", "/eureka/svips/web", "/eureka/serverinfo"),
)

WRITES = (
    *("/v1/agent/check/pass/service:a1", "/v1/agent/check/warn/service:a2", "/v1/agent/check/fail/x"),
    *("/v1/agent/service/deregister/a3", "/v1/agent/service/maintenance/a1", "/v1/agent/check/deregister/service:a1"),
    *(
        "/eureka/apps/WEB/a1",
        "/eureka/apps/WEB/a1/status",
        "/eureka/apps/WEB/a1/metadata",
        "/eureka/peerreplication/batch",
    ),
)

EXPRESSIONS = (
    *(
        "Service.Tags contains v1",
        'Service.Meta.a == "b"',
        "not Port == 1",
        "Name matches `^(a|b)+$`",
        "ID is not empty",
    ),
    *(
        "Node.Meta is empty and Service.Port != 80",
        '"x" in Tags',
        "Service.ID matches `(a*)*b`",
        "ServiceTags is empty",
    ),
)


@dataclass(frozen=True)
class Request:
    """One request as it goes over the wire; `waits` says that nobody has to answer it soon."""

    kind: str
    method: str
    path: str
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    waits: bool = False

    def wire(self, token: str) -> bytes:
        fields = {"Host": "127.0.0.1", "X-Consul-Token": token, "Content-Length": str(len(self.body)), **self.headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        return f"{self.method} {self.path} HTTP/1.1\r\n{head}\r\n".encode() + self.body


def request(draw: random.Random) -> Request:
    makers = (registration, registration, instance, instance, question, question, act, stray)
    return draw.choice(makers)(draw)


def registration(draw: random.Random) -> Request:
    """JSON for Consul's face."""
    number = draw.randrange(100)
    check = {"TTL": "30s", "Status": "passing", "Notes": "n", "CheckID": f"service:a{number}"}
    service = {
        "Name": draw.choice(SERVICES),
        "ID": f"a{number}",
        "Address": "127.0.0.1",
        "Port": 1_000 + number,
        "Tags": ["v1"],
        "Meta": {"a": "b"},
        "Check": check,
        "Weights": {"Passing": 1, "Warning": 1},
    }
    node = {"Node": draw.choice(NODES), "Address": "10.0.0.1", "NodeMeta": {"a": "b"}}
    told = {"Name": "told", "Status": "passing", "ServiceID": f"a{number}"}
    documents: list[tuple[str, dict[str, Any]]] = [
        ("/v1/agent/service/register", service),
        ("/v1/agent/check/register", {**check, "Name": "more", "ServiceID": f"a{number}"}),
        (f"/v1/agent/check/update/service:a{number}", {"Status": "passing", "Output": "o"}),
        ("/v1/catalog/register", {**node, "Service": {"Service": "web", "ID": f"a{number}"}, "Check": told}),
        ("/v1/catalog/deregister", {**node, "ServiceID": f"a{number}"}),
    ]
    path, document = draw.choice(documents)
    return Request("json", "PUT", path, {}, json_text(draw, document))


def instance(draw: random.Random) -> Request:
    """JSON or XML for Eureka's face."""
    number = draw.randrange(100)
    app = draw.choice(("WEB", "SHOP"))
    fields: dict[str, Any] = {
        "instanceId": f"a{number}",
        "app": app,
        "hostName": "127.0.0.1",
        "ipAddr": "127.0.0.1",
        "status": "UP",
        "port": {"$": 8_000, "@enabled": "true"},
        "vipAddress": "web",
        "metadata": {"a": "b"},
        "dataCenterInfo": {"@class": "x", "name": "MyOwn"},
        "leaseInfo": {"durationInSecs": 30},
    }
    if draw.random() < 0.4:
        return Request("json", "POST", f"/eureka/apps/{app}", JSON, json_text(draw, {"instance": fields}))
    return Request("xml", "POST", f"/eureka/apps/{app}", {"Content-Type": "application/xml"}, xml_text(draw, fields))


JSON = {"Content-Type": "application/json", "Accept": "application/json"}


def question(draw: random.Random) -> Request:
    """A read with parameters that are none."""
    numbers = ("0", "1", "-1", "x", str(2**63), str(2**64 - 1), str(2**64), "9" * 400, "1.5", "%", "%zz", "%ff")
    values: dict[str, tuple[str, ...]] = {
        "index": numbers,
        "wait": ("1ms", "50ms", "0", "-1s", "forever", "1e9h", "99999999999999999999h", "µs", *numbers),
        "hash": ("0" * 16, "x", *numbers),
        "filter": tuple(quote(text) for text in (expression(draw), expression(draw), "(" * 3_000, "not " * 900)),
        "tag": ("v1", "", "%00", "x" * 2_000),
        "node-meta": ("a:b", ":", "a", "%ff:%fe"),
        "dc": ("dc1", "dc9", "%00"),
        "passing": ("", "false", "x"),
    }
    names = draw.sample(sorted(values), draw.randrange(4))
    query = "&".join(f"{name}={draw.choice(values[name])}" for name in names)
    accept = draw.choice(("application/json", "application/xml", "*/*", "text/html;q=x", ""))
    path = draw.choice(READS) + (f"?{query}" if query or draw.random() < 0.1 else "")
    method = "GET" if draw.random() < 0.95 else "HEAD"
    return Request("query", method, path, {"Accept": accept}, waits="index" in names or "hash" in names)


def act(draw: random.Random) -> Request:
    """A write without a document, with parameters that are none."""
    words = ("true", "false", "UP", "OUT_OF_SERVICE", "odd", "", "x" * 3_000, "%00", "%ff", "1")
    names = ("enable", "reason", "note", "value", "lastDirtyTimestamp", "a", "colour")
    query = "&".join(f"{draw.choice(names)}={draw.choice(words)}" for _ in range(draw.randrange(3)))
    method = draw.choice(("PUT", "PUT", "POST", "DELETE", "GET", "PATCH"))
    return Request("query", method, f"{draw.choice(WRITES)}?{query}")


def stray(draw: random.Random) -> Request:
    """A path that there is not, by a method that may not be one."""
    parts = (
        "v1",
        "eureka",
        "agent",
        "catalog",
        "apps",
        "..",
        "%2e%2e",
        "%00",
        "%ff",
        "é",
        "",
        "service",
        "x" * 900,
        "*",
    )
    path = "/" + "/".join(quote(draw.choice(parts), safe="%*") for _ in range(draw.randrange(1, 9)))
    return Request("query", draw.choice(("GET", "PUT", "BREW", "OPTIONS", "TRACE", "DELETE")), path, waits=False)


def expression(draw: random.Random) -> str:
    text = draw.choice(EXPRESSIONS)
    for _ in range(draw.randrange(3)):
        place = draw.randrange(len(text) + 1)
        text = (
            text[:place]
            + draw.choice(("(", ")", "`", '"', " and ", " or not ", "[", "==", "\0", "{999}"))
            + text[place:]
        )
    return text


def json_bytes(document: object) -> bytes:
    return json.dumps(document).encode()


def json_text(draw: random.Random, document: dict[str, Any]) -> bytes:
    for _ in range(draw.randrange(3)):
        replace_one(draw, document)
    text = json_bytes(document)
    broken = draw.randrange(12)
    if broken == 0:
        text = text[: draw.randrange(len(text))]
    elif broken == 1:
        text = spoiled(draw, text)
    elif broken == 2:
        opening = draw.choice((b"[", b'{"a":', b'{"Check":[')) * draw.choice((100, 130, 20_000, 60_000))
        text = opening[:240_000]
    elif broken == 3:
        text = b"[" + b"[]," * draw.choice((10, 70_000)) + b"[]]"
    elif broken == 4:
        text = text[:-1] + b',"Meta":{' + b",".join(b'"k%d":"v"' % number for number in range(9_000)) + b"}}"
    elif broken == 5:
        text = text + b" " * draw.choice((200_000, 262_145, 400_000))
    return text


def replace_one(draw: random.Random, document: dict[str, Any]) -> None:
    """Something odd in the place of one value, however deep."""
    place: Any = document
    while True:
        key = draw.choice(sorted(place))
        if isinstance(place[key], dict) and place[key] and draw.random() < 0.6:
            place = place[key]
            continue
        place[key] = draw.choice(ODD)
        return


def xml_text(draw: random.Random, fields: dict[str, Any]) -> bytes:
    def element(name: str, value: Any) -> str:
        if isinstance(value, dict):
            marks = "".join(f' {key[1:]}="{inner}"' for key, inner in value.items() if key.startswith("@"))
            inside = "".join(
                str(inner) if key == "$" else element(key, inner)
                for key, inner in value.items()
                if not key.startswith("@")
            )
            return f"<{name}{marks}>{inside}</{name}>"
        return f"<{name}>{value}</{name}>"

    text = element("instance", fields)
    bomb = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    broken = draw.randrange(16)
    if broken == 0:
        text = f'<!DOCTYPE x [<!ENTITY l0 "lol">{bomb}]><instance><app>&l11;</app></instance>'
    elif broken == 1:
        text = f'<!DOCTYPE x [<!ENTITY % e SYSTEM "file:///etc/passwd">%e;]>{text}'
    elif broken == 2:
        text = "<a>" * draw.choice((17, 1_000, 80_000))
    elif broken == 3:
        text = "<instance>" + "<a/>" * draw.choice((999, 60_000)) + "</instance>"
    elif broken == 4:
        text = "<instance " + " ".join(f'a{number}="x"' for number in range(draw.choice((10, 20_000)))) + "/>"
    elif broken == 5:
        text = text.replace(
            "127.0.0.1", draw.choice(("&#x110000;", "&#0;", "&undefined;", "&", "]]>", "<![CDATA[<]]>"))
        )
    elif broken == 6:
        text = text.replace("UP", "x" * draw.choice((300, 200_000, 400_000)))
    elif broken == 7:
        text = text.replace("</instance>", draw.choice(("", "</instanc>", "</instance><a/>", "<!-- -- -->", "<?x ?>")))
    data = text.encode()
    return data[: draw.randrange(len(data))] if broken == 8 else spoiled(draw, data) if broken in (9, 10) else data


def spoiled(draw: random.Random, data: bytes) -> bytes:
    """The same with some bytes that are others, most of them no UTF-8."""
    changed = bytearray(data)
    for _ in range(draw.randrange(1, 6)):
        changed[draw.randrange(len(changed))] = draw.choice((0, 0x80, 0xC0, 0xFF, 0xED, draw.randrange(256)))
    return bytes(changed)


def garbage(draw: random.Random) -> bytes:
    """What is no request at all."""
    head = b"PUT /v1/agent/service/register HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    return draw.choice(
        (
            draw.randbytes(draw.randrange(1, 4_000)),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + draw.randbytes(500),
            b"\x16\x03\x01" + draw.randbytes(300),
            b"GET /v1/agent/self HTTP/9.9\r\n\r\n",
            b"GET /" + b"x" * draw.choice((9_000, 100_000)) + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + b"".join(b"h%d: x\r\n" % number for number in range(2_000)) + b"\r\n",
            head + b"Content-Length: -1\r\n\r\n",
            head + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nx",
            head + b"Content-Length: 99999999999999999999\r\n\r\n",
            head + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nffffffffffffffffff\r\n",
            head + b"Transfer-Encoding: chunked\r\n\r\n" + b"-1\r\nx\r\n",
            head.replace(b"127.0.0.1", b"evil.example") + b"\r\n",
        )
    )


def half(draw: random.Random, token: str) -> bytes:
    """The beginning of something whose end never comes."""
    head = f"PUT /v1/agent/service/register HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Consul-Token: {token}\r\n".encode()
    size = draw.choice((1, 10_000, 200_000))
    return draw.choice(
        (
            b"",
            head[: draw.randrange(len(head))],
            head,
            head + b"Content-Length: 262144\r\n\r\n" + b" " * size,
            head + b"Transfer-Encoding: chunked\r\n\r\n40000\r\n" + b" " * size,
        )
    )


def message(draw: random.Random) -> bytes:
    """A question of DNS, or something that looks like one."""
    labels = (
        b"web",
        b"keeper",
        b"service",
        b"node",
        b"consul",
        b"_web",
        b"_tcp",
        b"x" * 63,
        b"",
        b"\xff\0",
        b"7f000001",
        b"addr",
    )
    name = b"".join(bytes([len(label)]) + label for label in draw.choices(labels, k=draw.randrange(1, 9)) if label)
    kind = draw.choice((1, 5, 28, 33, 41, 252, 255, 65_535))
    head = struct.pack(
        ">HHHHHH", draw.randrange(65_536), draw.choice((0x0100, 0, 0x2800)), 1, 0, 0, draw.choice((0, 1))
    )
    opt = b"\0\0\x29" + struct.pack(">H", draw.choice((0, 512, 1_232, 65_535))) + b"\0" * 6
    whole = head + name + b"\0" + struct.pack(">HH", kind, 1) + opt
    broken = draw.randrange(8)
    if broken == 0:
        return spoiled(draw, whole)
    if broken == 1:
        return whole[: draw.randrange(len(whole))]
    if broken == 2:
        return head + b"\xc0\x0c" * draw.choice((1, 200)) + b"\0\1\0\1"
    return draw.randbytes(draw.randrange(600)) if broken == 3 else whole
