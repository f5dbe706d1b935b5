"""Spring Cloud Netflix' Eureka, server and client, built from `tests/peers/eureka` once for each text of it."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from waiting import LONGEST_WAIT, until

PEERS = Path(__file__).parent.parent / "peers/eureka"
# A virtual machine on a busy one takes its time.
START = 120.0


def built(binary: Path) -> Path:
    """The folder with `server/target/server-1.jar` and the client's."""
    for tool in ("java", "mvn"):
        if not shutil.which(tool):
            pytest.skip(f"left out: {tool} is not on PATH, so Spring's Eureka was not tried")
    files = sorted(path for path in PEERS.rglob("*") if path.is_file())
    text = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
    folder = binary.resolve().parent.parent / "peers-eureka" / text
    if not (folder / "done").exists():
        shutil.copytree(PEERS, folder, dirs_exist_ok=True)
        command = ["mvn", "--quiet", "--batch-mode", "-DskipTests", "package"]
        subprocess.run(command, cwd=folder, check=True, timeout=900)
        (folder / "done").touch()
    return folder


class Spring:
    """One of the two, on a port that it finds itself."""

    def __init__(self, peers: Path, part: str, **properties: object) -> None:
        jar = peers / part / "target" / f"{part}-1.jar"
        named = [
            f"--{name}={str(value).lower() if isinstance(value, bool) else value}" for name, value in properties.items()
        ]
        # One thread of compiler and a small heap: others test at the same time.
        self.command = ["java", "-XX:TieredStopAtLevel=1", "-Xmx256m", "-jar", str(jar), *named]
        self.port = 0
        self._launch()

    def _launch(self) -> None:
        command = [*self.command, f"--server.port={self.port}"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.lines: list[str] = []
        self.port = 0
        self.reader = threading.Thread(target=self._read, args=(self.process,), daemon=True)
        self.reader.start()

    def start(self) -> Spring:
        """Starts it again, on its port."""
        self._launch()
        return self.started()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self.lines.append(line)
            if found := re.search(r"Tomcat started on port (\d+)", line):
                self.port = int(found[1])

    def started(self) -> Spring:
        for _ in range(int(START / LONGEST_WAIT)):
            try:
                until(lambda: bool(self.port) or self.process.poll() is not None, "it starts")
            except AssertionError:
                continue
            break
        assert self.port, "".join(self.lines[-40:])
        return self

    def json(self, path: str) -> dict[str, Any]:
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers={"Accept": "application/json"})
        with urllib.request.urlopen(asked, timeout=LONGEST_WAIT) as response:
            value: dict[str, Any] = json.load(response)
            return value

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(LONGEST_WAIT)

    def end(self, patience: float = LONGEST_WAIT) -> None:
        self.process.terminate()
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(LONGEST_WAIT)
