"""Where a service listens: several addresses, Unix sockets, and sockets that were inherited."""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
from program import Program
from served import Served
from waiting import LONGEST_WAIT

Serve = Callable[..., Served]


class UnixConnection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=LONGEST_WAIT)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(LONGEST_WAIT)
        self.sock.connect(str(self.path))


def ask(connection: HTTPConnection, path: str = "/", **headers: str) -> tuple[int, str]:
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    found = response.status, response.read().decode()
    connection.close()
    return found


@pytest.fixture
def program(binary: Path, folder: Path) -> Iterator[Callable[..., Program]]:
    running: list[Program] = []

    def start(*arguments: str, descriptors: tuple[int, ...] = (), **variables: str) -> Program:
        command = [str(binary), "serve", "--python", sys.executable, "--log-format", "text", *arguments]
        running.append(Program(command, folder, {**os.environ, **variables}, descriptors))
        return running[-1]

    yield start
    for started in running:
        started.kill()


@contextmanager
def short_folder() -> Iterator[Path]:
    # A path of a Unix socket has at most 107 bytes; pytest's folders are longer.
    with tempfile.TemporaryDirectory(prefix="pn") as name:
        yield Path(name)


def test_several_places_at_once(program: Callable[..., Program]) -> None:
    with short_folder() as folder:
        path = folder / "a.sock"
        served = program("-b", "127.0.0.1:0", "-b", "127.0.0.1:0", "-b", f"unix:{path}", "-w", "2")
        address = r"http://127\.0\.0\.1:(\d+)"
        found = served.wait_for(rf"answers on {address}, {address}, unix:(\S+), 2 workers")
        assert found[3] == str(path)
        for port in (int(found[1]), int(found[2])):
            assert ask(HTTPConnection("127.0.0.1", port, timeout=LONGEST_WAIT))[0] == 200
        assert ask(UnixConnection(path))[0] == 200
        assert served.end() == 0
        assert not path.exists(), "the socket's file goes with the service"


def test_a_unix_socket_has_its_mode_and_its_peers_are_believed(program: Callable[..., Program], folder: Path) -> None:
    (folder / "main.py").write_text(
        "async def app(scope, receive, send):\n"
        "    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
        "    text = f\"{scope['client']} {scope['scheme']} {scope['server']}\"\n"
        "    await send({'type': 'http.response.body', 'body': text.encode()})\n"
    )
    with short_folder() as place:
        path = place / "a.sock"
        served = program("--uds", str(path), "--uds-mode", "660")
        served.wait_for("answers on unix:")
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        status, text = ask(UnixConnection(path), X_Forwarded_For="203.0.113.9", X_Forwarded_Proto="https")
        assert status == 200 and "203.0.113.9" in text and "https" in text, text
        assert "None http" in ask(UnixConnection(path))[1]
        assert ask(UnixConnection(path), "/-/metrics")[0] == 200, "who may connect is on this machine"
        served.tell(signal.SIGHUP)
        served.wait_for("reloaded in")
        assert ask(UnixConnection(path))[0] == 200
        assert served.end() == 0


def test_wsgi_over_a_unix_socket(program: Callable[..., Program], folder: Path) -> None:
    (folder / "main.py").write_text(
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
        "    return [repr((environ['REMOTE_ADDR'], environ['SERVER_NAME'])).encode()]\n"
    )
    with short_folder() as place:
        served = program("--uds", str(place / "a.sock"))
        served.wait_for("answers on unix:")
        status, text = ask(UnixConnection(place / "a.sock"))
        assert status == 200 and text.startswith("('',"), text
        assert served.end() == 0


def test_a_file_that_was_left_behind_makes_way_and_a_living_one_does_not(program: Callable[..., Program]) -> None:
    with short_folder() as place:
        path = place / "a.sock"
        left = socket.socket(socket.AF_UNIX)
        left.bind(str(path))
        left.close()
        served = program("--uds", str(path))
        served.wait_for("answers on unix:")
        second = program("--uds", str(path))
        assert second.wait() == 5
        assert f"cannot listen on unix:{path}: somebody listens there" in second.text and "hint:" in second.text
        assert ask(UnixConnection(path))[0] == 200, "the first one is not disturbed"
        served.end(signal.SIGKILL)
        assert path.exists()
        third = program("--uds", str(path))
        third.wait_for("answers on unix:")
        assert ask(UnixConnection(path))[0] == 200
        assert third.end() == 0


def test_a_plain_file_is_left_alone(program: Callable[..., Program]) -> None:
    with short_folder() as place:
        path = place / "kept"
        path.write_text("kept")
        served = program("--uds", str(path))
        assert served.wait() == 5
        assert "no socket" in served.text
        assert path.read_text() == "kept"


@pytest.mark.parametrize("form", ["--fd={}", "--bind=fd://{}"])
@pytest.mark.parametrize("listens", [True, False])
def test_a_socket_that_was_inherited_by_its_number(program: Callable[..., Program], form: str, listens: bool) -> None:
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        if listens:
            own.listen()
        served = program(form.format(own.fileno()), descriptors=(own.fileno(),))
        port = own.getsockname()[1]
        served.wait_for(rf"answers on http://127\.0\.0\.1:{port}, 1 worker")
        assert ask(HTTPConnection("127.0.0.1", port, timeout=LONGEST_WAIT))[0] == 200
        assert served.end() == 0


def test_a_number_without_a_socket_is_told(program: Callable[..., Program]) -> None:
    served = program("--fd", "99")
    assert served.wait() == 1
    assert "cannot listen on fd://99: no such descriptor was inherited" in served.text


def test_sockets_by_systemds_protocol_tcp_and_unix(binary: Path, folder: Path) -> None:
    with short_folder() as place, socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(place / "a.sock"))
        unix.listen()
        start = (
            "import os, sys\n"
            f"os.dup2({tcp.fileno()}, 103); os.dup2({unix.fileno()}, 104)\n"
            "os.dup2(103, 3); os.dup2(104, 4)\n"
            "os.environ.update(LISTEN_FDS='2', LISTEN_PID=str(os.getpid()))\n"
            "os.execv(sys.argv[1], sys.argv[1:])\n"
        )
        serve = [str(binary), "serve", "--python", sys.executable, "--log-format", "text"]
        command = [sys.executable, "-c", start, *serve]
        served = Program(command, folder, dict(os.environ), (tcp.fileno(), unix.fileno()))
        try:
            served.wait_for(r"answers on http://127\.0\.0\.1:\d+, unix:\S+a\.sock, 1 worker")
            port = tcp.getsockname()[1]
            assert ask(HTTPConnection("127.0.0.1", port, timeout=LONGEST_WAIT))[0] == 200
            assert ask(UnixConnection(place / "a.sock"))[0] == 200
            assert served.end() == 0
            assert (place / "a.sock").exists(), "who made it takes it away"
        finally:
            served.kill()


def test_a_port_that_is_taken_names_who_has_it(program: Callable[..., Program]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        served = program("--port", str(port))
        assert served.wait() == 5
    assert f"cannot listen on 127.0.0.1:{port}" in served.text
    assert f"process {os.getpid()} has it" in served.text and "--port" in served.text


def test_variables_say_where_and_how_many(program: Callable[..., Program]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    served = program(PORT=str(port), WEB_CONCURRENCY="2")
    served.wait_for(rf"answers on http://127\.0\.0\.1:{port}, 2 workers")
    assert served.end() == 0
    # The option goes before the variable of its name, that before the one of others.
    served = program("--port", "0", PORT=str(port), WEB_CONCURRENCY="2", PINNACE_SERVE_WORKERS="1")
    found = served.wait_for(r"answers on http://127\.0\.0\.1:(\d+), 1 worker$")
    assert int(found[1]) != port
    assert served.end() == 0


def test_variables_of_other_servers_are_told_and_not_read(program: Callable[..., Program]) -> None:
    served = program("--port", "0", UVICORN_WORKERS="2", GUNICORN_CMD_ARGS="--workers 2")
    served.wait_for(r"not read: GUNICORN_CMD_ARGS, UVICORN_WORKERS")
    served.wait_for(r", 1 worker$")
    assert served.end() == 0


def test_the_file_with_its_number_goes_with_it(program: Callable[..., Program], folder: Path) -> None:
    served = program("--port", "0", "--pid", "serve.pid")
    served.wait_for("answers on")
    assert int((folder / "serve.pid").read_text()) == served.process.pid
    assert served.end() == 0
    assert not (folder / "serve.pid").exists()
