"""A running `pinnace serve`, as a test holds it."""

from __future__ import annotations

import http.client
import os
import sys
from pathlib import Path

import processes
from program import Program
from waiting import LONGEST_WAIT


class Served(Program):
    """A running `pinnace serve`."""

    def __init__(self, binary: Path, folder: Path, *arguments: str, **variables: str) -> None:
        command = [str(binary), "serve", "--python", sys.executable, "--port", "0", "--log-format", "text", *arguments]
        self.folder = folder
        super().__init__(command, folder, {**os.environ, **variables})

    @property
    def port(self) -> int:
        return int(self.wait_for(r"answers on http://127\.0\.0\.1:(\d+)")[1])

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=LONGEST_WAIT)

    def get(self, path: str = "/") -> tuple[int, str]:
        connection = self.connect()
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def workers(self) -> set[int]:
        """The workers that live, by their process ids."""
        return processes.workers(self.process.pid)
