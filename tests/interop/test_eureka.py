"""py-eureka-client, unmodified, against the hub."""

from __future__ import annotations

import asyncio
import http.client
import json
import sys
import time
from base64 import b64encode
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import HTTPError
from urllib.parse import urlsplit

import py_eureka_client.eureka_basic as eureka
import pytest
from hub import TOKEN, Hub, service_token
from program import Program
from waiting import LONGEST_WAIT, until

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


def instance(name: str = "web", number: int = 1, **more: Any) -> eureka.Instance:
    fields: dict[str, Any] = {
        "instanceId": f"127.0.0.1:{name}:{number}",
        "app": name.upper(),
        "hostName": "127.0.0.1",
        "ipAddr": "127.0.0.1",
        "vipAddress": name,
        "secureVipAddress": f"{name}-secure",
        "status": "UP",
        "overriddenstatus": "UNKNOWN",
        "port": eureka.PortWrapper(port=8000 + number, enabled=True),
        "securePort": eureka.PortWrapper(port=443, enabled=False),
        "metadata": {"zone": "a<&>b"},
        "homePageUrl": f"http://127.0.0.1:{8000 + number}/",
        "lastDirtyTimestamp": 1_000,
    }
    return eureka.Instance(**{**fields, **more})


def instance_of(server: str, instance_id: str, app: str | None = None) -> eureka.Instance:
    async def ask() -> eureka.Instance:
        asked = eureka.get_app_instance(server, app, instance_id) if app else eureka.get_instance(server, instance_id)
        found: Any = await asked
        # The client hands its own coroutine on.
        return await found if asyncio.iscoroutine(found) else found

    return run(ask())


def ids(server: str, app: str = "web") -> list[str]:
    try:
        return [one.instanceId for one in run(eureka.get_application(server, app)).instances]
    except HTTPError as error:
        assert error.code == 404
        return []


def test_an_instance_registers_is_found_everywhere_and_leaves(either: str) -> None:
    one = instance()
    run(eureka.register(either, one))
    found = run(eureka.get_application(either, "WEB")).instances[0]
    assert (found.instanceId, found.app, found.status, found.port.port) == (one.instanceId, "WEB", "UP", 8001)
    assert found.metadata == {"zone": "a<&>b"} and found.homePageUrl == one.homePageUrl
    assert found.leaseInfo.durationInSecs == 90 and found.leaseInfo.registrationTimestamp > 0
    everything = run(eureka.get_applications(either))
    assert everything.appsHashcode == "UP_1_" and [app.name for app in everything.applications] == ["WEB"]
    assert run(eureka.get_vip(either, "web")).appsHashcode == "UP_1_"
    assert run(eureka.get_secure_vip(either, "web-secure")).appsHashcode == "UP_1_"
    assert instance_of(either, one.instanceId).app == "WEB"
    assert instance_of(either, one.instanceId, "web").app == "WEB"
    run(eureka.send_heartbeat(either, "web", one.instanceId, 1_000))
    run(eureka.cancel(either, "web", one.instanceId))
    assert ids(either) == []
    for lost in [
        eureka.cancel(either, "web", one.instanceId),
        eureka.send_heartbeat(either, "web", one.instanceId, 1_000),
        eureka.get_application(either, "web"),
    ]:
        with pytest.raises(HTTPError) as error:
            run(lost)
        assert error.value.code == 404
    assert run(eureka.get_vip(either, "web")).applications == []


def test_an_override_holds_until_it_is_removed(either: str) -> None:
    one = instance()
    run(eureka.register(either, one))
    run(eureka.status_update(either, "web", one.instanceId, 1_000, "OUT_OF_SERVICE"))
    run(eureka.send_heartbeat(either, "web", one.instanceId, 1_000))
    run(eureka.register(either, one))
    found = instance_of(either, one.instanceId)
    # Below its old root, Netflix' server calls everything DOWN in XML that is not UP; ours says what it is.
    assert found.status in ("OUT_OF_SERVICE", "DOWN") and found.overriddenstatus == "OUT_OF_SERVICE"
    assert run(eureka.get_applications(either)).appsHashcode == "OUT_OF_SERVICE_1_"
    run(eureka.delete_status_override(either, "web", one.instanceId, "1000"))
    with pytest.raises(HTTPError) as error:
        run(eureka.send_heartbeat(either, "web", one.instanceId, 1_000))
    assert error.value.code == 404, "the instance has to say how it is"
    run(eureka.register(either, one))
    found = instance_of(either, one.instanceId)
    assert (found.status, found.overriddenstatus) == ("UP", "UNKNOWN")


def test_differences_and_their_hash_code_lead_to_the_same_as_everything(either: str) -> None:
    for number in (1, 2):
        run(eureka.register(either, instance(number=number)))
    run(eureka.status_update(either, "web", instance().instanceId, 1_000, "DOWN"))
    run(eureka.register(either, instance("shop")))
    run(eureka.cancel(either, "shop", instance("shop").instanceId))
    delta = run(eureka.get_delta(either))
    changed = {one.instanceId: one.actionType for app in delta.applications for one in app.instances}
    assert changed == {
        "127.0.0.1:web:1": "MODIFIED",
        "127.0.0.1:web:2": "ADDED",
        "127.0.0.1:shop:1": "DELETED",
    }
    assert delta.appsHashcode == run(eureka.get_applications(either)).appsHashcode == "DOWN_1_UP_1_"


def test_a_lease_that_nobody_renews_ends(either: str) -> None:
    short = eureka.LeaseInfo(renewalIntervalInSecs=1, durationInSecs=1)
    run(eureka.register(either, instance(leaseInfo=short)))
    begun = time.monotonic()
    until(lambda: ids(either) == [], "the lease ends")
    # Spring's server adds the duration twice, and looks every 200 ms.
    assert 0.8 < time.monotonic() - begun < 4


def test_our_leases_end_within_their_term(server: str) -> None:
    short = eureka.LeaseInfo(renewalIntervalInSecs=1, durationInSecs=1)
    run(eureka.register(server, instance(leaseInfo=short)))
    begun = time.monotonic()
    until(lambda: ids(server) == [], "the lease ends")
    assert 0.8 < time.monotonic() - begun < 1.9


def test_self_preservation_is_a_choice(binary: Path, tmp_path: Path) -> None:
    hub = Hub(binary, tmp_path, "--self-preservation")
    try:
        server = f"http://operator:{TOKEN}@127.0.0.1:{hub.port}/eureka/"
        short = eureka.LeaseInfo(renewalIntervalInSecs=1, durationInSecs=1)
        for number in range(10):
            run(eureka.register(server, instance(number=number, leaseInfo=short)))
        deadline = time.monotonic() + 2.5
        until(lambda: time.monotonic() > deadline, "more than a term")
        assert len(ids(server)) == 8, "at most 15 % go within a minute"
    finally:
        hub.kill()


def test_leases_survive_a_kill_with_a_whole_term(server: str, hub: Hub) -> None:
    one = instance()
    run(eureka.register(server, one))
    run(eureka.status_update(server, "web", one.instanceId, 1_000, "OUT_OF_SERVICE"))
    hub.kill()
    hub.start()
    assert instance_of(server, one.instanceId).overriddenstatus == "OUT_OF_SERVICE"
    run(eureka.send_heartbeat(server, "web", one.instanceId, 1_000))


def test_both_faces_show_what_came_through_the_other(server: str, hub: Hub) -> None:
    run(eureka.register(server, instance()))
    shown = hub.json("/v1/health/service/web?passing")
    assert isinstance(shown, list) and [item["Service"]["Port"] for item in shown] == [8001]
    run(eureka.status_update(server, "web", instance().instanceId, 1_000, "DOWN"))
    assert hub.json("/v1/health/service/web?passing") == []
    body = {"Name": "shop", "Port": 9000, "Address": "127.0.0.1", "Tags": ["x"]}
    assert hub.ask("PUT", "/v1/agent/service/register", json.dumps(body))[0] == 200
    found = run(eureka.get_application(server, "SHOP")).instances[0]
    assert (found.status, found.port.port, found.ipAddr, found.vipAddress) == ("UP", 9000, "127.0.0.1", "shop")
    status, _, _ = hub.ask("PUT", "/v1/agent/service/deregister/127.0.0.1:web:1")
    assert status == 403, "what came through Eureka's face is Eureka's clients' matter"


def test_json_and_xml_are_read_and_written(hub: Hub) -> None:
    body = """<?xml version="1.0"?><instance><instanceId>x-1</instanceId><hostName>127.0.0.1</hostName><app>WEB</app>
      <ipAddr>127.0.0.1</ipAddr><status>UP</status><port enabled="true">8001</port><vipAddress>web</vipAddress>
      <dataCenterInfo class="com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo"><name>MyOwn</name></dataCenterInfo>
      <metadata><version>1 &amp; 2</version></metadata></instance>"""
    assert hub.ask("POST", "/eureka/v2/apps/web", body, Content_Type="application/xml")[0] == 204
    shown = hub.json("/eureka/apps/WEB/x-1")
    assert isinstance(shown, dict)
    found = shown["instance"]
    assert found["port"] == {"$": 8001, "@enabled": "true"} and found["metadata"] == {"version": "1 & 2"}
    assert found["dataCenterInfo"]["name"] == "MyOwn" and found["overriddenStatus"] == "UNKNOWN"
    status, headers, text = hub.ask("GET", "/eureka/apps/WEB/x-1")
    assert (status, headers["content-type"]) == (200, "application/xml")
    assert "<metadata><version>1 &amp; 2</version></metadata>" in text and '<port enabled="true">8001</port>' in text
    assert hub.ask("PUT", "/eureka/apps/WEB/x-1/metadata?colour=blue")[0] == 200
    shown = hub.json("/eureka/apps/WEB/x-1")
    assert isinstance(shown, dict) and shown["instance"]["metadata"] == {"version": "1 & 2", "colour": "blue"}


def test_nonsense_is_refused_and_the_hub_goes_on(hub: Hub) -> None:
    good = {"hostName": "h", "app": "WEB", "dataCenterInfo": {"name": "MyOwn"}}
    bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><instance><app>&b;</app></instance>'
    for method, path, body, media_type, status in [
        ("POST", "/eureka/apps/WEB", json.dumps({"instance": {**good, "app": "OTHER"}}), "application/json", 400),
        ("POST", "/eureka/apps/WEB", json.dumps({"instance": {**good, "hostName": ""}}), "application/json", 400),
        ("POST", "/eureka/apps/WEB", json.dumps({"instance": {"app": "WEB"}}), "application/json", 400),
        ("POST", "/eureka/apps/WEB", json.dumps({"other": good}), "application/json", 400),
        ("POST", "/eureka/apps/WEB", "{" * 1000, "application/json", 400),
        ("POST", "/eureka/apps/WEB", bomb, "application/xml", 400),
        ("POST", "/eureka/apps/WEB", "<a>" * 50_000, "application/xml", 400),
        ("POST", "/eureka/apps/WEB", "x" * 300_000, "application/xml", 413),
        ("PUT", "/eureka/apps/WEB/x/status?value=UP", None, "", 404),
        ("PUT", "/eureka/apps/WEB/x/status?value=odd", None, "", 404),
        ("PUT", "/eureka/apps/WEB/x/metadata?a=b", None, "", 404),
        ("PATCH", "/eureka/apps/WEB", None, "", 405),
        ("GET", "/eureka/apps/WEB", None, "", 404),
        ("GET", "/eureka/nowhere", None, "", 404),
        ("POST", "/eureka/peerreplication/batch", "{}", "application/json", 501),
    ]:
        answered, _, text = hub.ask(method, path, body, Content_Type=media_type)
        assert answered == status, f"{method} {path} {(body or '')[:40]}: {answered} {text[:200]}"
    status, headers, _ = hub.ask("GET", "/eureka/apps", token="wrong")
    assert status == 401 and headers["www-authenticate"].startswith("Basic")
    assert hub.ask("GET", "/eureka/apps")[0] == 200


def test_a_service_registers_itself_alone(hub: Hub) -> None:
    server = f"http://orders:{service_token('orders')}@127.0.0.1:{hub.port}/eureka/"
    run(eureka.register(server, instance("orders")))
    for act in [eureka.register(server, instance("payments")), eureka.cancel(server, "payments", "x")]:
        with pytest.raises(HTTPError) as error:
            run(act)
        assert error.value.code == 403
    assert ids(server, "orders") == ["127.0.0.1:orders:1"]


SERVICE = Path(__file__).parent / "eureka_service.py"


def test_the_whole_client_starts_beats_finds_watches_and_stops(either: str, tmp_path: Path) -> None:
    program = Program([sys.executable, str(SERVICE), either], tmp_path)
    try:
        program.wait_for("^waiting for shop$")
        run(eureka.register(either, instance("shop")))
        program.wait_for("^shop has come$")
        run(eureka.cancel(either, "shop", instance("shop").instanceId))
        assert (program.wait(), program.lines[-1:]) == (0, ["done"]), program.text
    finally:
        program.kill()
    assert ids(either) == []


def test_the_whole_client_that_is_killed_is_gone_when_its_lease_ends(either: str, tmp_path: Path) -> None:
    program = Program([sys.executable, str(SERVICE), either], tmp_path)
    try:
        program.wait_for("^waiting for shop$")
        assert len(ids(either)) == 1
    finally:
        program.kill()
    until(lambda: ids(either) == [], "the lease ends")


def test_statuses_are_the_same(either: str) -> None:
    good = {"hostName": "h", "app": "WEB", "dataCenterInfo": {"@class": CLASS, "name": "MyOwn"}, "instanceId": "x"}

    def without(name: str) -> str:
        return json.dumps({"instance": {key: value for key, value in good.items() if key != name}})

    whole = json.dumps({"instance": {**good, "vipAddress": "web", "status": "UP", **MORE}})
    other = json.dumps({"instance": {**good, "app": "OTHER"}})
    steps = [
        ("GET", "apps/WEB", None, 404),
        ("GET", "apps/WEB/x", None, 404),
        ("GET", "instances/x", None, 404),
        ("GET", "vips/web", None, 200),
        ("GET", "svips/web", None, 200),
        ("PUT", "apps/WEB/x", None, 404),
        ("PUT", "apps/WEB/x/status?value=DOWN", None, 404),
        ("DELETE", "apps/WEB/x/status", None, 404),
        ("PUT", "apps/WEB/x/metadata?a=b", None, 404),
        ("DELETE", "apps/WEB/x", None, 404),
        ("POST", "apps/WEB", without("hostName"), 400),
        ("POST", "apps/WEB", without("app"), 400),
        ("POST", "apps/WEB", without("dataCenterInfo"), 400),
        ("POST", "apps/WEB", other, 400),
        ("POST", "apps/WEB", whole, 204),
        ("POST", "apps/WEB", whole, 204),
        ("GET", "apps", None, 200),
        ("GET", "apps/delta", None, 200),
        ("GET", "apps/WEB", None, 200),
        ("GET", "apps/web", None, 200),
        ("GET", "apps/WEB/x", None, 200),
        ("GET", "instances/x", None, 200),
        ("PUT", "apps/WEB/x", None, 200),
        ("PUT", "apps/WEB/x?status=UP&lastDirtyTimestamp=1000", None, 200),
        ("PUT", "apps/WEB/x?status=UP&lastDirtyTimestamp=999", None, 200),
        ("PUT", "apps/WEB/x?status=UP&lastDirtyTimestamp=1001", None, 404),
        ("PUT", "apps/WEB/x/status?value=OUT_OF_SERVICE", None, 200),
        ("PUT", "apps/WEB/x/status?value=ODD", None, 500),
        ("DELETE", "apps/WEB/x/status?value=UP", None, 200),
        ("PUT", "apps/WEB/x/metadata?a=b", None, 200),
        ("DELETE", "apps/WEB/x", None, 200),
        ("DELETE", "apps/WEB/x", None, 404),
    ]
    seen = [(method, path, body, status_of(either, method, path, body)) for method, path, body, _ in steps]
    assert seen == steps


MORE = {"ipAddr": "127.0.0.1", "port": {"$": 8000, "@enabled": "true"}, "lastDirtyTimestamp": "1000"}
CLASS = "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo"


def status_of(server: str, method: str, path: str, body: str | None) -> int:
    address = urlsplit(server)
    assert address.hostname
    fields = {"Accept": "application/json", "Content-Type": "application/json"}
    if address.username:
        user = b64encode(f"{address.username}:{address.password}".encode()).decode()
        fields["Authorization"] = f"Basic {user}"
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=LONGEST_WAIT)
    try:
        connection.request(method, address.path + path, body, fields)
        return connection.getresponse().status
    finally:
        connection.close()
