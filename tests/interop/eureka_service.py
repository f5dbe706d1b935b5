"""A service that uses the whole of py-eureka-client; a program of its own, because the client's heartbeats never end.

It registers, beats, finds itself, hears of another that comes and goes, and takes its leave.

eureka_service.py SERVER
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import py_eureka_client.eureka_basic as eureka
from py_eureka_client.eureka_client import EurekaClient

# Longer than the lease: without heartbeats it would have ended.
LONG = 3.5


def names(client: EurekaClient) -> set[str]:
    """The applications that have instances, as the client knows them from its last look."""
    return {app.name for app in client.applications.applications if app.up_instances}


async def until(condition: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + 30
    while not condition():
        assert asyncio.get_running_loop().time() < deadline, "waited in vain"
        await asyncio.sleep(0.05)


async def main(server: str) -> None:
    client = EurekaClient(
        eureka_server=server,
        app_name="web",
        instance_host="127.0.0.1",
        instance_ip="127.0.0.1",
        instance_port=8001,
        renewal_interval_in_secs=1,
        duration_in_secs=2,
    )
    await client.start()
    await asyncio.sleep(LONG)
    (one,) = (await eureka.get_application(server, "WEB")).instances
    assert (one.port.port, one.status, one.vipAddress) == (8001, "UP", "web")
    print("waiting for shop", flush=True)
    await until(lambda: "SHOP" in names(client))
    print("shop has come", flush=True)
    await until(lambda: "SHOP" not in names(client))
    await client.stop()
    print("done")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
