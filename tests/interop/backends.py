"""The backends of discovery, each with what a test has to do to its server."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any, Protocol

from agent import Agent
from hub import TOKEN, Hub
from shell import Shell
from spring import Spring

# What the registry may take to lose everything: an own hub, an own agent, an own virtual machine.
LOSING = ("embedded-consul", "embedded-eureka", "consul", "spring")
ALL = ("memory", *LOSING)
# Spring's server, told to answer what is and not what was up to 30 s ago.
PRESENT = {
    "eureka.client.register-with-eureka": False,
    "eureka.client.fetch-registry": False,
    "eureka.server.enable-self-preservation": False,
    "eureka.server.eviction-interval-timer-in-ms": 200,
    "eureka.server.use-read-only-response-cache": False,
    "eureka.server.wait-time-in-ms-when-sync-empty": 0,
}


class Server(Protocol):
    """A registry as a process."""

    port: int

    def kill(self) -> None: ...


class Backend:
    """An address, and the server behind it where there is one."""

    def __init__(self, binary: Path, name: str, server: Server | None) -> None:
        self.binary = binary
        self.name = name
        self.server = server
        self.shells: list[Shell] = []

    @property
    def address(self) -> str:
        if self.server is None:
            return "memory"
        place = f"127.0.0.1:{self.server.port}"
        return {
            "embedded-consul": f"consul://{place}",
            "embedded-eureka": f"eureka://orders:{TOKEN}@{place}",
            "consul": f"consul://{place}",
            "spring": f"eureka://{place}/eureka",
        }[self.name]

    def shell(self) -> Shell:
        """Another process that uses it; with the memory of one, that one."""
        if self.server is None and self.shells:
            return self.shells[0]
        variables = {"CONSUL_HTTP_TOKEN": TOKEN} if self.name == "embedded-consul" else {}
        shell = Shell(self.binary, self.address, **variables)
        self.shells.append(shell)
        return shell

    def start_without_memory(self) -> None:
        """Starts the server again, which was killed, on its port, with nothing in it."""
        match self.server:
            case Hub() as hub:
                shutil.rmtree(hub.folder / "data")
                hub.start()
            case Agent() as agent:
                agent.start()
            case Spring() as spring:
                spring.start()
            case _:
                raise AssertionError(f"{self.name} has no server")

    def known_ids(self, service: str) -> list[str]:
        """What the server itself says."""
        rows: Any
        if isinstance(self.server, Spring):
            apps = self.server.json("/eureka/apps")
            rows = [one for app in apps["applications"]["application"] for one in app["instance"]]
            return sorted(row["instanceId"] for row in rows if row["app"] == service.upper())
        assert isinstance(self.server, Hub | Agent)
        rows = self.server.json(f"/v1/health/service/{service}?passing=true")
        return sorted(row["Service"]["ID"] for row in rows)

    def end(self) -> None:
        for shell in self.shells:
            shell.kill()
