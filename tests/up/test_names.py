"""`pinnace up --dns`: the services of a system by their names, also while the hub is started again."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Callable

import dns.message
import dns.query
import dns.resolver
from harbour import Harbour, Up
from waiting import LONGEST_WAIT, until


def resolver_of(up: Up) -> dns.resolver.Resolver:
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = ["127.0.0.1"]
    said = up.command("logs", "hub").stdout
    told = re.findall(r"resolvers are answered.*127\.0\.0\.1:(\d+)", said)
    assert told, said
    resolver.port = int(told[-1])
    return resolver


def found(resolver: dns.resolver.Resolver, name: str) -> set[int]:
    """The ports behind a name."""
    try:
        return {record.port for record in resolver.resolve(name, "SRV", lifetime=LONGEST_WAIT)}
    except dns.resolver.NXDOMAIN:
        return set()


def test_services_have_names_that_outlive_the_hub(harbour: Harbour, start: Callable[..., Up]) -> None:
    harbour.program("web")
    up = start("--no-watch", "--dns", "127.0.0.1:0").settled()
    resolver = resolver_of(up)
    port = int(up.service("web")["url"].rsplit(":")[-1].rstrip("/"))
    until(lambda: found(resolver, "web.service.consul") == {port}, "the service has a name")
    assert found(resolver, "_web._tcp.service.dc1.consul") == {port}
    until(lambda: len(found(resolver, "gateway.service.consul")) == 1, "the gateway has one too")

    os.kill(up.leader("hub"), signal.SIGKILL)
    # The question waits in the socket, which belongs to the system, until the next hub takes it.
    question = dns.message.make_query("web.service.consul", "SRV")
    for ask in (dns.query.udp, dns.query.tcp):
        answer = ask(question, "127.0.0.1", port=resolver.port, timeout=LONGEST_WAIT)
        assert [record.port for record in answer.answer[0]] == [port]

    up.end()
    again = start("--no-watch", "--dns", "127.0.0.1:0").settled()
    assert resolver_of(again).port == resolver.port, "a port that was free is kept"


def test_an_address_that_another_has_is_refused(harbour: Harbour, start: Callable[..., Up]) -> None:
    harbour.program("web")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        up = start("--no-watch", "--dns", f"127.0.0.1:{port}")
        assert up.wait() == 5
        assert up.says(f"error: dns cannot listen on 127.0.0.1:{port}") and up.says("hint: .*--dns"), up.text
