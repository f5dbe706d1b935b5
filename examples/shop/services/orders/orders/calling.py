"""How this service calls others.

All calls may be repeated, so a call that met a closed door or a busy server is repeated, a few times and after a pause
that differs from caller to caller. One that got no answer in time is not: whoever waits has waited long enough, and
`orders.placing` goes on later from where it stopped.
"""

import logging
import random
import threading
import time
from dataclasses import dataclass
from typing import Any, ClassVar

import requests

from orders.request_id import HEADER

ATTEMPTS = 3
LONGEST_PAUSE_SECONDS = 0.4
BUSY = frozenset({502, 503, 504})

log = logging.getLogger(__name__)


class ServiceError(Exception):
    """The service gave no answer that we understand; what it did is unknown."""


class UnreachableError(ServiceError):
    """The service gave no answer at all, or said that it is busy."""

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"{service}: {reason}")
        self.service = service


class RefusedError(Exception):
    """The service will never do it: for catalog, hold stock that was released; for shipping, book what was cancelled or
    take back what is on its way."""


@dataclass(frozen=True)
class Service:
    name: ClassVar[str]

    url: str
    timeout: tuple[float, float]
    request_id: str

    def _call(self, method: str, path: str, **options: Any) -> requests.Response:
        reason: object = None
        for attempt in range(1, ATTEMPTS + 1):
            if attempt > 1:
                time.sleep(random.uniform(0, LONGEST_PAUSE_SECONDS))
            try:
                answer = _session().request(
                    method,
                    self.url + path,
                    headers={HEADER: self.request_id},
                    timeout=self.timeout,
                    allow_redirects=False,
                    **options,
                )
            except requests.ReadTimeout as error:
                raise UnreachableError(self.name, f"{method} {path} got no answer in {self.timeout[1]} s") from error
            except requests.ConnectionError as error:
                reason = error
            except requests.RequestException as error:
                raise ServiceError(f"{method} {path} failed: {error}") from error
            else:
                if answer.status_code not in BUSY:
                    return answer
                reason = f"status {answer.status_code}"
            log.info("%s: %s %s: attempt %d of %d: %s", self.name, method, path, attempt, ATTEMPTS, reason)
        raise UnreachableError(self.name, f"{method} {path} failed {ATTEMPTS} times, last: {reason}")


_own = threading.local()


def _session() -> requests.Session:
    """The thread's connections; a session is not made to be shared."""
    session: requests.Session | None = getattr(_own, "session", None)
    if session is None:
        session = _own.session = requests.Session()
        # No proxy and no password file stands between two services of one system.
        session.trust_env = False
    return session


def unexpected(answer: requests.Response) -> ServiceError:
    return ServiceError(
        f"{answer.request.method} {answer.url}: unexpected answer {answer.status_code} {answer.text:.200}"
    )
