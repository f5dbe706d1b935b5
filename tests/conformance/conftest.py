"""One case, every server: ours and the references; what differs is in `differences.py`, and asserted."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import differences
import pytest
import servers
from servers import PLAIN, Fleet, Running

_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "spec(section): the section that a case is from")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Every case says where it is from, and every row of the table of differences is about a case."""
    known = set()
    for item in items:
        if isinstance(item, pytest.Function):
            known.add(case_of(item))
            if item.get_closest_marker("spec") is None:
                raise pytest.UsageError(f"{item.nodeid}: the case does not say which section it is from")
    if config.args == [str(Path(__file__).parent)] or config.args == ["tests/conformance"]:
        lost = sorted(set(differences.TABLE) - known)
        if lost:
            raise pytest.UsageError(f"differences.py has rows about cases that there are not: {lost}")


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """A case that is known to fail on a server must fail, and for the reason that is written down."""
    key = case_of(pyfuncitem)
    known = differences.find(*key)
    if known is None:
        return (yield)
    try:
        outcome = yield
    except Exception as error:
        seen = f"{type(error).__name__}: {error}"
        if re.search(known.instead, seen, re.DOTALL) is None:
            raise
        pytest.xfail(known.reason)
    if known.at_times:
        return outcome
    pytest.fail(f"{key[1]} does now what {key[0]} asks for: take the row out of differences.py", pytrace=False)


def case_of(item: pytest.Function) -> tuple[str, str]:
    """The name of a case, and the server that it runs against."""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    server = str(parameters.get("server", "pinnace"))
    name = item.originalname.removeprefix("test_")
    if hasattr(item, "callspec"):
        # The id without the server in it, wherever pytest has put that.
        words = [word for word in item.callspec._idlist if word != server]
        name += f"[{'-'.join(words)}]" if words else ""
    return name, server


@pytest.fixture(scope="session")
def fleet(binary: Path) -> Iterator[Fleet]:
    fleet = Fleet(binary)
    yield fleet
    fleet.end()


@pytest.fixture
def token() -> str:
    """The name under which a scripted application notes down what it sees."""
    return f"case-{next(_numbers)}"


@pytest.fixture
def app(server: str, fleet: Fleet) -> Running:
    """The application of the cases about HTTP, on the server that the case is asked for."""
    return fleet.ask(server, "wsgi_app:app" if server == "gunicorn" else "asgi_app:app")


@pytest.fixture
def wsgi(server: str, fleet: Fleet) -> Running:
    return fleet.ask(server, "wsgi_app:app")


@pytest.fixture
def started(fleet: Fleet) -> Iterator[Callable[..., Running]]:
    """Starts servers that belong to the case alone."""
    own: list[Running] = []

    def start(server: str, target: str, setting: servers.Setting = PLAIN) -> Running:
        own.append(fleet.start(server, target, setting))
        return own[-1]

    yield start
    for running in own:
        running.kill()


def on(*names: str) -> pytest.MarkDecorator:
    """Runs a case on each of these servers."""
    return pytest.mark.parametrize("server", names)
