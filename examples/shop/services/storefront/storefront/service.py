"""How the shop window talks to the services behind it.

Connections are kept and shared by all threads. Nothing waits long, and only what may be repeated is repeated: reads,
and writes with a key by which the other side knows a repetition.
"""

import logging
from collections.abc import Callable, Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any, TypeVar

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from storefront import tracing

CONNECT_TIMEOUT = 1.0
CONNECTIONS = 16

REPEAT = Retry(
    total=3,
    connect=2,
    read=1,
    status=2,
    redirect=0,
    other=0,
    # `Service` has no other method than these, and its POST always has a key.
    allowed_methods=frozenset({"GET", "POST"}),
    status_forcelist=frozenset({502, 503, 504}),
    backoff_factor=0.1,
    respect_retry_after_header=False,
    raise_on_status=False,
)

T = TypeVar("T")
Parse = Callable[[Any], T]

log = logging.getLogger(__name__)


class ServiceDownError(Exception):
    """No answer, none in time, or none that makes sense."""

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"{service}: {reason}")
        self.service = service


class RefusedError(Exception):
    """The service understood and said no; `problem` is its RFC 9457 document, or empty."""

    def __init__(self, service: str, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{service} answered {status}: {problem.get('detail', 'no detail')}")
        self.status = status
        self.problem = problem


class Service:
    """One of the services behind; `patience` is how many seconds an answer may take to begin."""

    def __init__(self, name: str, url: str, patience: float) -> None:
        self.name = name
        self._patience = patience
        self._url = url.rstrip("/")
        self._session = requests.Session()
        # Neither a proxy for the outside world nor a cookie of one shopper belongs into these calls.
        self._session.trust_env = False
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=CONNECTIONS, max_retries=REPEAT)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def get(self, path: str, parse: Parse[T], params: Mapping[str, Any] | None = None) -> T:
        return self._call("GET", path, parse, params=params)

    def post(self, path: str, parse: Parse[T], document: object, *, key: str) -> T:
        """Sends the document. However often it arrives, the key makes it count once."""
        return self._call("POST", path, parse, json=document, headers={"Idempotency-Key": key})

    def _call(
        self,
        method: str,
        path: str,
        parse: Parse[T],
        *,
        params: Mapping[str, Any] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        try:
            response = self._session.request(
                method,
                self._url + path,
                params=params,
                json=json,
                headers={"Accept": "application/json", **tracing.outgoing_headers(), **(headers or {})},
                timeout=(CONNECT_TIMEOUT, self._patience),
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise self._down(f"{method} {path} failed: {error}") from error
        if response.ok and not response.is_redirect:
            try:
                return parse(response.json())
            except (KeyError, TypeError, ValueError) as error:
                raise self._down(f"{method} {path} answered what nobody expected: {error!r}") from error
        if 400 <= response.status_code < 500 and response.status_code != 429:
            raise RefusedError(self.name, response.status_code, _problem(response))
        raise self._down(f"{method} {path} answered {response.status_code}")

    def _down(self, reason: str) -> ServiceDownError:
        log.warning("%s is down: %s [request %s]", self.name, reason, tracing.request_id())
        return ServiceDownError(self.name, reason)


def _problem(response: requests.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
