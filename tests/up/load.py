"""Steady requests, on connections that are kept, while something happens to a system."""

from __future__ import annotations

import threading
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import urlsplit

from waiting import LONGEST_WAIT, until

# Between two requests of one client: steady, and a machine of two cores has time left for what is tested.
PAUSE = 0.005
CLIENTS = 2


class Places(Protocol):
    """Who knows where services are: a `pinnace up`, for one."""

    def service(self, name: str) -> dict[str, Any]: ...


class Load:
    """Requests to a service, through the gateway and directly. All of them have to be answered with 200."""

    def __init__(self, up: Places, name: str, path: str, method: str = "POST") -> None:
        self._method = method
        self.answers: list[str] = []
        self.failures: list[str] = []
        self._stop = threading.Event()
        targets = [(up.service(place)["url"], path) for place in ("gateway", name)] * CLIENTS
        self._clients = [threading.Thread(target=self._ask, args=target) for target in targets]

    def __enter__(self) -> Load:
        for client in self._clients:
            client.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for client in self._clients:
            client.join()
        if error is None:
            assert self.failures == [], self.failures[:5]
            assert len(self.answers) > 20, "there was a load"

    def versions(self, after: int = 0) -> set[str]:
        """Which code has answered, leaving out the first answers."""
        return {answer.split()[0] for answer in self.answers[after:]}

    def until_answered_by(self, version: str) -> None:
        """Waits until all of some answers in a row come from this code."""
        seen = len(self.answers)

        def look() -> bool:
            return len(self.answers) > seen + 20 and self.versions(len(self.answers) - 10) == {version}

        until(look, lambda: f"answers of {version}; there are {self.answers[-5:]}, failures {self.failures}")

    def _ask(self, url: str, path: str) -> None:
        address = urlsplit(url).netloc
        connection = HTTPConnection(address, timeout=LONGEST_WAIT)
        while not self._stop.wait(PAUSE):
            try:
                connection.request(self._method, path, body=b"x" * 100)
                response = connection.getresponse()
                text = response.read().decode()
                self.answers.append(text)
                if response.status != 200:
                    self.failures.append(f"{address}: {response.status} {text}")
            except (OSError, HTTPException) as error:
                self.failures.append(f"{address}: {error!r}")
                connection.close()
        connection.close()
