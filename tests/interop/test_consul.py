"""py-consul, unmodified, against the hub."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from consul import Check, Consul
from consul.exceptions import ACLPermissionDenied, BadRequest, ConsulException
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from hub import TOKEN, Hub, service_token
from waiting import until


@pytest.fixture
def consul(hub: Hub) -> Consul:
    return Consul(host="127.0.0.1", port=hub.port, token=TOKEN)


def ids(consul: Consul, service: str, **options: Any) -> list[str]:
    return [item["Service"]["ID"] for item in consul.health.service(service, **options)[1]]


def test_a_service_registers_is_found_and_leaves(consul: Consul) -> None:
    assert consul.agent.service.register(
        "web", service_id="web-1", address="127.0.0.1", port=8000, tags=["v1", "Blue"], meta={"zone": "a"}
    )
    assert consul.agent.service.register("web", service_id="web-2", address="127.0.0.1", port=8001, tags=["v2"])
    index, found = consul.health.service("web")
    assert int(index) > 0
    assert [item["Service"]["Port"] for item in found] == [8000, 8001]
    first = found[0]
    assert (first["Node"]["Node"], first["Node"]["Address"]) == ("pinnace", "127.0.0.1")
    assert first["Service"]["Meta"] == {"zone": "a"} and first["Service"]["Tags"] == ["v1", "Blue"]
    assert {check["CheckID"] for check in first["Checks"]} == {"serfHealth"}
    assert ids(consul, "web", tag="blue") == ["web-1"]
    assert ids(consul, "WEB", tag=["v1", "blue"]) == ["web-1"]
    assert ids(consul, "web", filter_expr='Service.Meta.zone == "a" or Service.Port == 1') == ["web-1"]
    assert ids(consul, "web", filter_expr='"v2" in Service.Tags and Service.Meta is empty') == ["web-2"]
    assert ids(consul, "web", filter_expr='Service.Meta.zone matches "^[a-c]$"') == ["web-1"]
    assert ids(consul, "web", filter_expr="Service.ID not matches `-1$` and Node.Node == pinnace") == ["web-2"]
    _, services = consul.catalog.services()
    assert services == {"consul": [], "web": ["Blue", "v1", "v2"]}
    _, catalog = consul.catalog.service("web")
    assert [(item["ServiceID"], item["ServicePort"]) for item in catalog] == [("web-1", 8000), ("web-2", 8001)]
    assert set(consul.agent.services()) == {"web-1", "web-2"}
    assert consul.agent.services(filter_expr="Port == 8001").keys() == {"web-2"}
    assert consul.agent.service.deregister("web-1")
    assert ids(consul, "web") == ["web-2"]
    assert not consul.agent.service.deregister("web-1"), "what is gone is not found"


def test_the_agent_and_its_cluster_answer(consul: Consul) -> None:
    assert consul.agent.self()["Config"]["NodeName"] == "pinnace"
    assert [member["Name"] for member in consul.agent.members()] == ["pinnace"]
    assert consul.status.leader() == "127.0.0.1:8300" and consul.status.peers() == ["127.0.0.1:8300"]
    assert consul.catalog.datacenters() == ["dc1"]
    assert [node["Node"] for node in consul.catalog.nodes()[1]] == ["pinnace"]
    assert consul.catalog.node("pinnace")[1]["Node"]["Address"] == "127.0.0.1"
    assert [check["CheckID"] for check in consul.health.node("pinnace")[1]] == ["serfHealth"]
    with pytest.raises(ConsulException, match="501"):
        consul.kv.get("anything")
    with pytest.raises(ConsulException, match="No path to datacenter"):
        consul.health.service("web", dc="dc9")


def test_a_ttl_check_passes_with_each_beat_and_is_critical_without(consul: Consul) -> None:
    consul.agent.service.register("web", port=8000, check=Check.ttl("1s"))
    assert ids(consul, "web") == ["web"] and ids(consul, "web", passing=True) == []
    assert consul.agent.check.ttl_pass("service:web", "all is well")
    assert ids(consul, "web", passing=True) == ["web"]
    check = consul.agent.checks()["service:web"]
    assert (check["Status"], check["Output"], check["Type"]) == ("passing", "all is well", "ttl")
    assert consul.agent.check.ttl_warn("service:web", "hm")
    assert consul.agent.checks()["service:web"]["Status"] == "warning"
    assert consul.agent.check.ttl_fail("service:web")
    assert consul.agent.checks()["service:web"]["Status"] == "critical"
    assert consul.agent.check.ttl_pass("service:web")
    index, _ = consul.health.service("web", passing=True)
    begun = time.monotonic()
    _, found = consul.health.service("web", passing=True, index=index, wait="10s")
    assert found == [], "dying without a word wakes whoever waits"
    assert 0.5 < time.monotonic() - begun < 2
    assert not consul.agent.check.ttl_pass("service:nobody")


def test_a_blocking_query_ends_with_the_change_and_not_with_others(consul: Consul, hub: Hub) -> None:
    consul.agent.service.register("web", port=8000)
    index, _ = consul.health.service("web")
    woken: list[tuple[float, list[Any]]] = []

    def wait() -> None:
        other = Consul(host="127.0.0.1", port=hub.port, token=TOKEN)
        woken.append((0, other.health.service("web", index=index, wait="10s")[1]))
        woken[-1] = (time.monotonic(), woken[-1][1])

    waiting = threading.Thread(target=wait)
    waiting.start()
    consul.agent.service.register("unrelated", port=9000)
    waiting.join(0.3)
    assert waiting.is_alive(), "another service's change is no change of this one"
    changed = time.monotonic()
    consul.agent.service.register("web", service_id="web-2", port=8001)
    waiting.join(10)
    assert woken[0][0] - changed < 1 and len(woken[0][1]) == 2
    begun = time.monotonic()
    same, _ = consul.health.service("web", index=consul.health.service("web")[0], wait="300ms")
    assert time.monotonic() - begun >= 0.3 and same == consul.health.service("web")[0]


def test_indexes_and_registrations_survive_kills(consul: Consul, hub: Hub) -> None:
    last = 0
    for number in range(5):
        consul.agent.service.register("web", service_id=f"web-{number}", port=8000 + number, check=Check.ttl("30s"))
        consul.agent.check.ttl_pass(f"service:web-{number}")
        if number == 3:
            consul.agent.service.deregister("web-0")
        index = int(consul.health.service("web")[0])
        assert index > last
        hub.kill()
        hub.start()
        after = int(consul.health.service("web")[0])
        assert after >= index
        last = after
    assert ids(consul, "web", passing=True) == [f"web-{number}" for number in range(1, 5)]


def test_maintenance_takes_a_service_out(consul: Consul) -> None:
    consul.agent.service.register("web", port=8000)
    assert consul.agent.service.maintenance("web", True, "new disks")
    assert ids(consul, "web", passing=True) == [] and ids(consul, "web") == ["web"]
    assert consul.agent.checks()["_service_maintenance:web"]["Notes"] == "new disks"
    consul.agent.service.register("web", port=8000)
    assert ids(consul, "web", passing=True) == [], "registering again does not end it"
    assert consul.agent.service.maintenance("web", False)
    assert ids(consul, "web", passing=True) == ["web"]
    assert consul.agent.maintenance(True, "all of it")
    assert ids(consul, "web", passing=True) == []
    assert consul.agent.maintenance(False)
    assert ids(consul, "web", passing=True) == ["web"]


@pytest.fixture
def status() -> Iterator[Callable[[int], int]]:
    """An HTTP server whose status is set by calling it with one; returns its port."""
    answer = [200]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answer[0])
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def set_status(status: int) -> int:
        answer[0] = status
        return server.server_address[1]

    yield set_status
    server.shutdown()


def test_an_http_check_follows_what_the_service_answers(consul: Consul, status: Callable[[int], int]) -> None:
    port = status(200)
    check = Check.http(f"http://127.0.0.1:{port}/health", "1s", timeout="1s", deregister="1m")
    consul.agent.service.register("web", address="127.0.0.1", port=port, check=check)
    until(lambda: ids(consul, "web", passing=True) == ["web"], "the check passes")
    assert "200 OK" in consul.agent.checks()["service:web"]["Output"]
    for code, word in [(429, "warning"), (500, "critical"), (204, "passing")]:
        status(code)
        until(lambda word=word: consul.agent.checks()["service:web"]["Status"] == word, word)  # type: ignore[misc]


def test_a_tcp_check_follows_the_socket(consul: Consul) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        consul.agent.service.register("web", port=port, check=Check.tcp("127.0.0.1", port, "1s"))
        until(lambda: ids(consul, "web", passing=True) == ["web"], "the port is open")
    until(lambda: ids(consul, "web", passing=True) == [], "the port is closed")


def test_checks_that_run_programs_or_call_elsewhere_are_refused(consul: Consul) -> None:
    for check in [
        Check.script(["true"], "1s"),
        Check.docker("x", "sh", "true", "1s"),
        Check.http("http://169.254.169.254/latest/meta-data", "1s"),
        Check.http("http://example.com/", "1s"),
        Check.tcp("10.0.0.1", 22, "1s"),
    ]:
        with pytest.raises(BadRequest, match="Invalid check"):
            consul.agent.service.register("web", port=8000, check=check)
    assert ids(consul, "web") == []


def test_checks_may_be_added_and_removed_later(consul: Consul) -> None:
    consul.agent.service.register("web", port=8000)
    assert consul.agent.check.register("deep", Check.ttl("10s"), check_id="web-deep", service_id="web")
    assert ids(consul, "web", passing=True) == []
    assert consul.agent.check.ttl_pass("web-deep")
    assert ids(consul, "web", passing=True) == ["web"]
    assert [check["CheckID"] for check in consul.health.checks("web")[1]] == ["web-deep"]
    assert [check["CheckID"] for check in consul.health.state("passing")[1]] == ["serfHealth", "web-deep"]
    assert consul.agent.check.deregister("web-deep")
    assert consul.health.checks("web")[1] == []


def test_the_catalog_takes_what_no_agent_looks_after(consul: Consul) -> None:
    service = {"service": "database", "id": "db-1", "port": 5432, "tags": ["primary"]}
    check = {"node": "outside", "name": "ping", "checkid": "ping", "serviceid": "db-1", "status": "passing"}
    assert consul.catalog.register("outside", "10.0.0.7", service=service, check=check)
    _, found = consul.health.service("database", passing=True)
    assert [(item["Node"]["Address"], item["Service"]["Port"]) for item in found] == [("10.0.0.7", 5432)]
    assert {node["Node"] for node in consul.catalog.nodes()[1]} == {"outside", "pinnace"}
    assert set(consul.catalog.node("outside")[1]["Services"]) == {"db-1"}
    assert "db-1" not in consul.agent.services()
    assert consul.catalog.deregister("outside", service_id="db-1")
    assert ids(consul, "database") == []
    assert consul.catalog.deregister("outside")
    assert {node["Node"] for node in consul.catalog.nodes()[1]} == {"pinnace"}


def test_a_service_registers_itself_alone(consul: Consul, hub: Hub) -> None:
    orders = Consul(host="127.0.0.1", port=hub.port, token=service_token("orders"))
    consul.agent.service.register("payments", port=9000, check=Check.ttl("10s"))
    assert orders.agent.service.register("orders", service_id="orders-1", port=8000, check=Check.ttl("10s"))
    assert orders.agent.check.ttl_pass("service:orders-1")
    assert ids(orders, "payments") == ["payments"], "it reads everything"
    acts: list[Callable[[], object]] = [
        lambda: orders.agent.service.register("payments", service_id="mine", port=1),
        lambda: orders.agent.service.register("orders", service_id="payments", port=1),
        lambda: orders.agent.service.deregister("payments"),
        lambda: orders.agent.service.maintenance("payments", True),
        lambda: orders.agent.check.ttl_fail("service:payments"),
        lambda: orders.agent.maintenance(True),
        lambda: orders.catalog.register("outside", "10.0.0.7"),
        lambda: orders.catalog.deregister("pinnace", service_id="payments"),
        lambda: Consul(host="127.0.0.1", port=hub.port, token="wrong").catalog.services(),
        lambda: Consul(host="127.0.0.1", port=hub.port).catalog.services(),
    ]
    for act in acts:
        with pytest.raises(ACLPermissionDenied):
            act()
    assert hub.ask("GET", "/api/v1/system", Authorization=f"Bearer {service_token('orders')}")[0] == 401
    assert orders.agent.service.deregister("orders-1")


def test_one_service_is_waited_for_by_its_hash(consul: Consul, hub: Hub) -> None:
    consul.agent.service.register("web", port=8000)
    _, headers, _ = hub.ask("GET", "/v1/agent/service/web")
    known = headers["x-consul-contenthash"]
    begun = time.monotonic()
    assert hub.ask("GET", f"/v1/agent/service/web?hash={known}&wait=300ms")[1]["x-consul-contenthash"] == known
    assert time.monotonic() - begun >= 0.3
    threading.Timer(0.2, lambda: consul.agent.service.register("web", port=8001)).start()
    assert hub.ask("GET", f"/v1/agent/service/web?hash={known}&wait=10s")[1]["x-consul-contenthash"] != known
    for path, status in [("id/web", 200), ("name/web", 200), ("id/absent", 404)]:
        assert hub.ask("GET", f"/v1/agent/health/service/{path}")[0] == status
    consul.agent.service.maintenance("web", True)
    assert hub.ask("GET", "/v1/agent/health/service/id/web?format=text")[::2] == (503, "critical")


def test_nonsense_is_refused_and_the_hub_goes_on(hub: Hub) -> None:
    for method, path, body, status in [
        ("PUT", "/v1/agent/service/register", "{", 400),
        ("PUT", "/v1/agent/service/register", "[]", 400),
        ("PUT", "/v1/agent/service/register", "{}", 400),
        ("PUT", "/v1/agent/service/register", '{"Name":"a","Port":70000}', 400),
        ("PUT", "/v1/agent/service/register", '{"Name":"a/b"}', 400),
        ("PUT", "/v1/agent/service/register", '{"Name":"' + "x" * 300 + '"}', 400),
        ("PUT", "/v1/agent/service/register", '{"Name":"a","Connect":{"Native":true}}', 400),
        ("PUT", "/v1/agent/service/register", "[" * 100_000, 400),
        ("PUT", "/v1/agent/service/register", "x" * 300_000, 413),
        ("PUT", "/v1/agent/check/update/x", '{"Status":"fine"}', 400),
        ("PUT", "/v1/agent/service/maintenance/x", None, 400),
        ("PUT", "/v1/catalog/register", '{"Node":"n","Address":"10.0.0.1","Datacenter":"dc9"}', 500),
        ("GET", "/v1/health/service/web?index=x", None, 400),
        ("GET", "/v1/health/service/web?index=-1", None, 400),
        ("GET", "/v1/health/service/web?index=99999999999999999999", None, 400),
        ("GET", "/v1/health/service/web?index=1&wait=forever", None, 400),
        ("GET", "/v1/health/service/web?filter=((", None, 400),
        ("GET", "/v1/health/state/odd", None, 400),
        ("GET", "/v1/agent/service/absent", None, 404),
        ("GET", "/v1/nowhere", None, 404),
        ("GET", "/v1/kv/a", None, 501),
        ("GET", "/v1/agent/metrics", None, 501),
        ("GET", "/v1/health/service/%ff%00", None, 200),
    ]:
        answered, _, text = hub.ask(method, path, body)
        assert answered == status, f"{method} {path} {(body or '')[:40]}: {answered} {text[:200]}"
    assert hub.ask("GET", "/v1/status/leader")[0] == 200


def test_a_grpc_check_speaks_the_health_protocol_to_grpcio(consul: Consul) -> None:
    server = grpc.server(ThreadPoolExecutor(2))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    name = "orders.v1." + "long" * 40
    try:
        serving, not_serving = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
        servicer.set("", serving)
        servicer.set(name, serving)
        consul.agent.service.register(
            "orders",
            port=port,
            check=Check.grpc(f"127.0.0.1:{port}", "1s"),
            extra_checks=[Check.grpc(f"127.0.0.1:{port}/{name}", "1s")],
        )
        until(lambda: ids(consul, "orders", passing=True) == ["orders"], "both are served")
        servicer.set(name, not_serving)
        until(lambda: consul.agent.checks()["service:orders:2"]["Status"] == "critical", "one is not served")
        assert consul.agent.checks()["service:orders:1"]["Status"] == "passing"
    finally:
        server.stop(0)
    until(lambda: consul.agent.checks()["service:orders:1"]["Status"] == "critical", "nobody answers")


def test_a_grpc_service_whose_connection_has_ended_is_gone_at_once(consul: Consul) -> None:
    server = grpc.server(ThreadPoolExecutor(2))
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    consul.agent.service.register("orders", port=port, check=Check.grpc(f"127.0.0.1:{port}", "60s"))
    until(lambda: ids(consul, "orders", passing=True) == ["orders"], "it is served")
    # The connection that it was asked over is a second old.
    index, _ = consul.health.service("orders", passing=True, wait="1100ms", index=consul.health.service("orders")[0])
    begun = time.monotonic()
    server.stop(0)
    assert consul.health.service("orders", passing=True, wait="20s", index=index)[1] == []
    # Five times what is stated, and a minute before its next check.
    assert time.monotonic() - begun < 0.5


def test_what_was_acknowledged_is_there_after_kills_in_the_middle_of_writes(consul: Consul, hub: Hub) -> None:
    acknowledged: set[str] = set()

    def write(writer: int, kill_round: int) -> None:
        for number in range(10_000):
            service_id = f"web-{kill_round}-{writer}-{number}"
            try:
                client = Consul(host="127.0.0.1", port=hub.port, token=TOKEN)
                client.agent.service.register("web", service_id=service_id, port=8000)
            except OSError:
                return
            acknowledged.add(service_id)

    last = 0
    for kill_round in range(5):
        before = len(acknowledged)
        writers = [threading.Thread(target=write, args=(writer, kill_round)) for writer in range(8)]
        for writer in writers:
            writer.start()
        until(lambda before=before: len(acknowledged) > before + 50, "registrations")  # type: ignore[misc]
        hub.kill()
        for writer in writers:
            writer.join()
        hub.start()
        index, found = consul.health.service("web")
        assert {item["Service"]["ID"] for item in found} >= acknowledged
        assert int(index) > last
        last = int(index)
