"""Every option of uvicorn and gunicorn, as they are installed here, is answered: the pages for their users say how."""

from __future__ import annotations

import http.client
import importlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from program import Program
from served import Served
from waiting import LONGEST_WAIT, until

Serve = Callable[..., Served]

DOCS = Path(__file__).parents[2] / "docs" / "hosting"
ROW = re.compile(r"^\| `(?:-(\w), )?--([\w-]+)` \| (.*?) \| (.*) \|$", re.MULTILINE)


def page(server: str) -> dict[str, str]:
    """The options of a page and what each does here."""
    text = (DOCS / f"from-{server}.md").read_text()
    return {match[2]: match[3] for match in ROW.finditer(text)}


def refused() -> list[str]:
    pages = [page(server) for server in ("uvicorn", "gunicorn", "granian")]
    return sorted({name for options in pages for name, here in options.items() if here == "refused"})


def run(binary: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(binary), "serve", "--python", sys.executable, "--port", "0", *arguments]
    return subprocess.run(
        command, cwd=folder, env=dict(os.environ), capture_output=True, text=True, timeout=60, check=False
    )


def test_the_page_has_every_option_of_uvicorn() -> None:
    # The package gives its command the name of the module.
    command: Any = uvicorn.main
    options = {
        name.removeprefix("--")
        for parameter in command.params
        for name in [*parameter.opts, *parameter.secondary_opts]
        if name.startswith("--")
    }
    assert options - {"version", "help"} == set(page("uvicorn"))


def test_the_page_has_every_option_of_gunicorn() -> None:
    settings: Any = importlib.import_module("gunicorn.config").KNOWN_SETTINGS
    options = {name.removeprefix("--") for setting in settings for name in setting.cli or [] if name.startswith("--")}
    assert options == set(page("gunicorn"))


def test_what_is_refused_says_what_to_do_instead_and_starts_nothing(binary: Path, folder: Path) -> None:
    names = refused()
    assert len(names) > 40
    for name in names:
        ended = run(binary, folder, f"--{name}", "main:app")
        if "a value is required" in ended.stderr or "is not taken" not in ended.stderr:
            ended = run(binary, folder, "main:app", f"--{name}", "7")
        assert ended.returncode == 2, (name, ended.stderr)
        assert f"`--{name}" in ended.stderr and "hint: " in ended.stderr, (name, ended.stderr)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-k", "gevent"), "greenlets"),
        (("-k", "eventlet"), "greenlets"),
        (("--worker-class", "tornado"), "--threads"),
        (("--loop", "uvloop"), "asyncio's loop stands on"),
        (("--interface", "rsgi"), "RSGI is granian's own"),
        (("--access-logfile", "access.log"), "redirect them"),
        (("--host", "example.org"), "is no address"),
        (("--bind", "unix:"), "the path"),
        (("--bind", ":0", "--port", "1"), "--port"),
        (("--env", "1=2"), "NAME=value"),
        (("--env", "PINNACE_SERVICE=x"), "set by Pinnace alone"),
        (("--header", "Date:now"), "written by the server"),
        (("--factory",), "TARGET"),
    ],
)
def test_a_value_that_cannot_be_meant_is_told(
    binary: Path, folder: Path, arguments: tuple[str, ...], words: str
) -> None:
    command = [str(binary), "serve", *arguments]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2, ended.stderr
    assert words in ended.stderr


def test_what_changes_nothing_is_told_and_the_rest_does_what_it_says(serve: Serve, folder: Path) -> None:
    (folder / "variables.env").write_text("# of the shop\nCURRENCY=EUR\nexport GREETING='good day'\nHOME=elsewhere\n")
    (folder / "main.py").write_text(
        "import os\n"
        "def make():\n"
        "    async def app(scope, receive, send):\n"
        "        names = ('CURRENCY', 'GREETING', 'HOME', 'COLOUR')\n"
        "        body = ' '.join(os.environ[name] for name in names)\n"
        "        await send({'type': 'http.response.start', 'status': 200, 'headers': [(b'server', b'mine')]})\n"
        "        await send({'type': 'http.response.body', 'body': body.encode()})\n"
        "    return app\n"
    )
    served = serve(
        *("main:make", "--factory", "--preload", "-k", "uvicorn.workers.UvicornWorker", "--loop", "asyncio"),
        *("--env-file", "variables.env", "-e", "COLOUR=blue", "--header", "X-Frame-Options:DENY", "--no-access-log"),
        *("--http", "h11", "--lifespan", "off", "--interface", "asgi3", "-t", "30"),
    )
    assert served.get() == (200, f"EUR good day {os.environ['HOME']} blue"), "what is set already stays"
    served.wait_for("note: --preload changes nothing: workers are started fresh")
    served.wait_for("note: --worker-class changes nothing")
    served.wait_for("note: --loop changes nothing")
    assert served.end() == 0


def test_fields_and_variables(serve: Serve, folder: Path) -> None:
    (folder / "variables.env").write_text("CURRENCY=EUR\nHOME=elsewhere\n")
    (folder / "main.py").write_text(
        "import os\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
        "    return [' '.join(os.environ[name] for name in ('CURRENCY', 'HOME', 'COLOUR')).encode()]\n"
    )
    fields = ("--header", "X-A: 1", "--header", "X-A: 2", "--server-header")
    served = serve("--env-file", "variables.env", "-e", "COLOUR=blue", *fields)
    connection = served.connect()
    connection.request("GET", "/")
    response = connection.getresponse()
    assert response.read().decode() == f"EUR {os.environ['HOME']} blue", "what is set already stays"
    assert response.headers.get_all("x-a") == ["1", "2"]
    assert response.headers.get_all("server") == ["pinnace"]
    connection.close()
    assert served.end() == 0


def test_a_connection_may_take_so_much(serve: Serve) -> None:
    heads = ("--header-timeout", "1s", "--limit-request-fields", "10", "--max-header-size", "8KiB")
    served = serve("--keep-alive", "1", *heads)
    connection = served.connect()
    connection.request("GET", "/")
    connection.getresponse().read()
    assert connection.sock is not None
    assert connection.sock.recv(1) == b"", "an idle connection is closed"
    connection.close()
    with socket.create_connection(("127.0.0.1", served.port), timeout=LONGEST_WAIT) as slow:
        slow.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        assert slow.recv(100).startswith(b"HTTP/1.1 408 ")
    for fields in ({f"X-{number}": "1" for number in range(20)}, {"X-Long": "x" * 9000}):
        connection = served.connect()
        connection.request("GET", "/", headers=fields)
        assert connection.getresponse().status == 431
        connection.close()
    assert served.end() == 0


def test_above_info_only_what_is_amiss_is_written(binary: Path, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    # Nothing tells that it answers, so it is asked until it does.
    command = [str(binary), "serve", "--python", sys.executable, "--log-format", "text", "--port", str(port)]
    quiet = Program([*command, "--log-level", "warning"], folder, dict(os.environ))
    try:
        until(lambda: answers(port), "it answers")
        assert quiet.end() == 0
        assert quiet.text == ""
    finally:
        quiet.kill()


def answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONGEST_WAIT)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
