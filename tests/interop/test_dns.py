"""dnspython's resolver, unmodified, against the hub's names."""

from __future__ import annotations

import json
import socket

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.resolver
import pytest
from hub import Hub


@pytest.fixture
def resolver(hub: Hub) -> dns.resolver.Resolver:
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    resolver.port = hub.dns_port
    return resolver


def register(hub: Hub, name: str, number: int, **more: object) -> None:
    own = {"Name": name, "ID": f"{name}-{number}", "Address": f"127.0.0.{number}", "Port": 8000 + number}
    body = {**own, **more}
    status, _, text = hub.ask("PUT", "/v1/agent/service/register", json.dumps(body))
    assert status == 200, text


def addresses(resolver: dns.resolver.Resolver, name: str, kind: str = "A") -> set[str]:
    return {record.to_text() for record in resolver.resolve(name, kind)}


def test_services_are_found_by_name_and_tag(hub: Hub, resolver: dns.resolver.Resolver) -> None:
    register(hub, "web", 1, Tags=["v1"])
    register(hub, "web", 2, Tags=["V2"], Weights={"Passing": 7, "Warning": 1})
    register(hub, "web", 3, Check={"TTL": "60s"})
    assert addresses(resolver, "web.service.consul") == {"127.0.0.1", "127.0.0.2"}, "what is critical is not offered"
    assert addresses(resolver, "Web.service.dc1.consul.") == {"127.0.0.1", "127.0.0.2"}
    assert addresses(resolver, "v2.web.service.consul") == {"127.0.0.2"}
    assert addresses(resolver, "pinnace.node.consul") == {"127.0.0.1"}
    for name in ("web.service.consul", "_web._tcp.service.consul"):
        found = resolver.resolve(name, "SRV")
        assert {(record.port, record.weight) for record in found} == {(8001, 1), (8002, 7)}
        targets = {record.port: record.target.to_text() for record in found}
        assert addresses(resolver, targets[8002]) == {"127.0.0.2"}
        further = {item.to_text() for rrset in found.response.additional for item in rrset}
        assert further == {"127.0.0.1", "127.0.0.2"}, "a second question is spared"
    first = {resolver.resolve("web.service.consul")[0].to_text() for _ in range(4)}
    assert first == {"127.0.0.1", "127.0.0.2"}, "each has its turn"


def test_what_is_not_there_says_so(hub: Hub, resolver: dns.resolver.Resolver) -> None:
    register(hub, "web", 1)
    for name in ("absent.service.consul", "v9.web.service.consul", "absent.node.consul", "odd.consul"):
        with pytest.raises(dns.resolver.NXDOMAIN):
            resolver.resolve(name)
    register(hub, "six", 1, Address="::1")
    assert addresses(resolver, "six.service.consul", "AAAA") == {"::1"}
    with pytest.raises(dns.resolver.NoAnswer):
        resolver.resolve("web.service.consul", "AAAA")
    outside = dns.query.udp(dns.message.make_query("example.com", "A"), "127.0.0.1", port=hub.dns_port, timeout=5)
    assert outside.rcode() == dns.rcode.REFUSED


def test_what_has_no_room_in_a_datagram_is_answered_over_tcp(hub: Hub, resolver: dns.resolver.Resolver) -> None:
    for number in range(1, 101):
        register(hub, "web", number)
    for edns, limit in ((False, 512), (True, 1232)):
        query = dns.message.make_query("web.service.consul", "SRV", use_edns=edns, payload=4096)
        answer = dns.query.udp(query, "127.0.0.1", port=hub.dns_port, timeout=5)
        assert answer.flags & dns.flags.TC and len(answer.to_wire()) <= limit and answer.answer
        whole = dns.query.tcp(query, "127.0.0.1", port=hub.dns_port, timeout=5)
        assert not whole.flags & dns.flags.TC and len(whole.answer[0]) == len(whole.additional) == 100
    assert len(resolver.resolve("web.service.consul", "SRV")) == 100, "a resolver asks again by itself"


def test_no_message_takes_it_down(hub: Hub) -> None:
    register(hub, "web", 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for datagram in (b"", b"x", b"\0" * 12, b"\xff" * 600, bytes(range(256)) * 4):
            sender.sendto(datagram, ("127.0.0.1", hub.dns_port))
    question = dns.message.make_query("web.service.consul", "A")
    # Half-open ones, and one that says that more will come than any question has.
    half = [socket.create_connection(("127.0.0.1", hub.dns_port)) for _ in range(20)]
    for number, connection in enumerate(half):
        connection.sendall((b"\0", b"\0\x1d", b"\0\x1d\0", b"\xff\xff" + b"x" * 4096)[number % 4])
    for ask in (dns.query.udp, dns.query.tcp):
        assert ask(question, "127.0.0.1", port=hub.dns_port, timeout=5).rcode() == dns.rcode.NOERROR
    with socket.create_connection(("127.0.0.1", hub.dns_port), timeout=5) as connection:
        for _ in range(3):
            dns.query.send_tcp(connection, question)
            answer, _ = dns.query.receive_tcp(connection)
            assert len(answer.answer[0]) == 1, "a connection takes one question after the other"
    for connection in half:
        connection.close()
