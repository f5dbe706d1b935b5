#!/usr/bin/env python3
"""What the registry does on one core: registrations (each on the disk before it is acknowledged), heartbeats, a change
that 200 wait for, and its memory with 2 000 instances.

    registry.py --binary target/release/pinnace

The hub is pinned to one core, the load to another. Where a disk is slow, so are registrations: its own figure is told
too.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

TOKEN = "0123456789abcdef0123456789abcdef"
INSTANCES = 2_000
SERVICES = 20
WATCHERS = 200


class Hub:
    """`pinnace hub` on a core of its own."""

    def __init__(self, binary: Path, folder: Path, core: int) -> None:
        token = folder / "token"
        token.write_text(TOKEN)
        command = [
            "taskset",
            "--cpu-list",
            str(core),
            str(binary),
            "hub",
            "--port",
            "0",
            "--data",
            str(folder / "data"),
        ]
        command += ["--control", str(folder / "none"), "--token-file", str(token), "--log-format", "text"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            if found := re.search(r"listening.*127\.0\.0\.1:(\d+)", line):
                self.port = int(found[1])
            if "the hub answers" in line:
                break
        threading.Thread(target=self.process.stderr.read, daemon=True).start()

    def memory(self, what: str) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(rf"{what}:\s+(\d+)", status)
        assert found
        return int(found[1]) / 1024


class Connection:
    """Just enough HTTP to be no slower than what it measures."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, method: str, path: str, body: str = "") -> bytes:
        fields = f"Host: localhost\r\nX-Consul-Token: {TOKEN}\r\nContent-Length: {len(body)}\r\n"
        head = f"{method} {path} HTTP/1.1\r\n{fields}\r\n"
        self.socket.sendall((head + body).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._more()
        assert answer.startswith(b"HTTP/1.1 200"), answer[:200]
        length = re.search(rb"content-length: (\d+)", answer)
        end = answer.index(b"\r\n\r\n") + 4 + (int(length[1]) if length else 0)
        while len(answer) < end:
            answer += self._more()
        return answer

    def _more(self) -> bytes:
        more = self.socket.recv(1 << 16)
        assert more, "the hub has closed"
        return more


def side_by_side(count: int, act: Callable[[int], None]) -> float:
    """How long all of them take."""
    threads = [threading.Thread(target=act, args=(number,)) for number in range(count)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - begun


def registration(number: int, port: int) -> str:
    check = {"TTL": "60s", "Status": "passing"}
    name = f"service-{number % SERVICES}"
    return json.dumps(
        {"Name": name, "ID": f"i-{number}", "Address": "127.0.0.1", "Port": port, "Tags": ["a"], "Check": check}
    )


def register(hub: Hub, writers: int, port: int) -> float:
    def write(writer: int) -> None:
        connection = Connection(hub.port)
        for number in range(writer, INSTANCES, writers):
            connection.ask("PUT", "/v1/agent/service/register", registration(number, port))

    return INSTANCES / side_by_side(writers, write)


def beat(hub: Hub, writers: int) -> float:
    def say(writer: int) -> None:
        connection = Connection(hub.port)
        for number in range(writer, INSTANCES, writers):
            connection.ask("PUT", f"/v1/agent/check/pass/service:i-{number}")

    return INSTANCES / side_by_side(writers, say)


def changes(hub: Hub, rounds: int) -> Iterator[tuple[float, float]]:
    """Milliseconds until half of those who wait were told of a change, and until all were."""
    path = "/v1/health/service/service-7?passing"
    for round_number in range(rounds):
        index = re.search(rb"x-consul-index: (\d+)", Connection(hub.port).ask("GET", path))
        assert index
        told: list[float] = []
        ready = threading.Barrier(WATCHERS + 1)

        def watch(known: int, told: list[float], ready: threading.Barrier) -> None:
            connection = Connection(hub.port)
            ready.wait()
            connection.ask("GET", f"{path}&index={known}&wait=60s")
            told.append(time.perf_counter())

        threads = [threading.Thread(target=watch, args=(int(index[1]), told, ready)) for _ in range(WATCHERS)]
        for thread in threads:
            thread.start()
        ready.wait()
        # Until all of them wait.
        time.sleep(1)
        word = "fail" if round_number % 2 == 0 else "pass"
        begun = time.perf_counter()
        Connection(hub.port).ask("PUT", f"/v1/agent/check/{word}/service:i-7")
        for thread in threads:
            thread.join()
        took = sorted(1000 * (at - begun) for at in told)
        yield statistics.median(took), took[-1]


def syncs(folder: Path) -> float:
    """How often a second the disk takes a page."""
    with (folder / "sync").open("wb", buffering=0) as file:
        begun = time.perf_counter()
        for _ in range(300):
            file.write(b"x" * 4096)
            os.fsync(file.fileno())
        return 300 / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, required=True, help="pinnace, built with --release")
    parser.add_argument("--core", type=int, default=0, help="the hub's core")
    parser.add_argument("--load-core", type=int, default=1, help="the load's core")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    os.sched_setaffinity(0, {options.load_core})
    with tempfile.TemporaryDirectory(prefix="pinnace-registry-") as folder:
        print(f"the disk alone: {syncs(Path(folder)):.0f} fsyncs a second")
        hub = Hub(options.binary.resolve(), Path(folder), options.core)
        try:
            print(f"memory at rest: {hub.memory('VmRSS'):.1f} MiB")
            port = 8_000
            for writers in (1, 16, 64):
                port += 1
                print(f"registrations, {writers} at a time: {register(hub, writers, port):.0f} a second")
            print(f"heartbeats that change nothing, 16 at a time: {beat(hub, 16):.0f} a second")
            for middle, last in changes(hub, options.rounds):
                print(f"a change: half of {WATCHERS} told after {middle:.1f} ms, all after {last:.1f} ms")
            now, most = hub.memory("VmRSS"), hub.memory("VmHWM")
            print(f"memory with {INSTANCES} instances: {now:.1f} MiB, at most {most:.1f} MiB")
        finally:
            hub.process.kill()
            hub.process.wait()


if __name__ == "__main__":
    main()
