"""A worker's life: found and imported, ready, drained, ended; and what it says when that fails."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import httpx
import parent
import pytest


def failure(target: str | None, folder: Path, **settings: Any) -> dict[str, Any]:
    with parent.start(target, folder, **settings) as worker:
        failed = worker.until("failed")
        assert worker.wait() == 1
        return failed


def write(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text))


WSGI = """
def app(environ, start_response):
    start_response("200 OK", [])
    return [b"found"]
"""


@pytest.mark.parametrize(
    ("file", "text", "target"),
    [
        ("main.py", WSGI, "main:app"),
        ("app.py", WSGI.replace("def app", "def application"), "app:application"),
        ("shop/wsgi.py", WSGI.replace("def app", "def application"), "shop.wsgi:application"),
        ("shop/__init__.py", WSGI, "shop:app"),
        ("src/shop/__init__.py", WSGI, "shop:app"),
        (
            "main.py",
            WSGI.replace("def app", "def inner") + "def create_app():\n    return inner\n",
            "main:create_app()",
        ),
    ],
)
def test_applications_are_found_by_convention(tmp_path: Path, file: str, text: str, target: str) -> None:
    write(tmp_path, file, text)
    with parent.serving(None, tmp_path) as worker:
        assert worker.events[0]["target"] == target
        assert httpx.get(worker.url).text == "found"


def test_what_was_tried_is_listed_where_nothing_is_found(tmp_path: Path) -> None:
    write(tmp_path, "main.py", "value = 1\n")
    failed = failure(None, tmp_path)
    assert failed["kind"] == "not-found"
    assert "main:app: the module has no `app`" in failed["detail"]
    assert "app:app: there is no app.py" in failed["detail"]


def test_an_import_error_shows_the_users_traceback_alone(tmp_path: Path) -> None:
    write(tmp_path, "requirements.txt", "")
    write(tmp_path, "main.py", "def deep():\n    import not_installed_here\ndeep()\napp = None\n")
    failed = failure("main:app", tmp_path)
    assert failed["kind"] == "import"
    assert f"`not_installed_here` is not installed in {sys.prefix}" in failed["hint"]
    assert "--python" in failed["hint"]
    text = "\n".join(failed["detail"])
    assert "main.py" in text
    assert "importlib" not in text
    assert "_application.py" not in text


def test_the_environment_in_the_folder_is_hinted_at(tmp_path: Path) -> None:
    write(tmp_path, ".venv/bin/python", "")
    write(tmp_path, "main.py", "import not_installed_here\n")
    assert "--python .venv/bin/python" in failure("main:app", tmp_path)["hint"]


def test_a_missing_setting_of_django_is_hinted_at(apps: Path, tmp_path: Path) -> None:
    write(tmp_path, "project/settings.py", "")
    write(tmp_path, "main.py", "from django.conf import settings\nsettings.DEBUG\n")
    assert "project.settings" in failure("main:app", tmp_path)["hint"]


def test_a_syntax_error_and_an_exit_are_failures_of_the_import(tmp_path: Path) -> None:
    write(tmp_path, "wrong.py", "def (:\n")
    assert "SyntaxError" in failure("wrong:app", tmp_path)["message"]
    write(tmp_path, "exits.py", "import sys\nsys.exit(3)\n")
    assert failure("exits:app", tmp_path)["kind"] == "import"


@pytest.mark.parametrize("target", ["absent:app", "main:absent", "main:number"])
def test_a_wrong_target_is_not_found(tmp_path: Path, target: str) -> None:
    write(tmp_path, "main.py", WSGI + "number = 7\n")
    failed = failure(target, tmp_path)
    assert failed["kind"] == "not-found"
    assert failed["hint"]


def test_an_asgi_2_application_is_adapted(tmp_path: Path) -> None:
    write(
        tmp_path,
        "main.py",
        """
        class App:
            def __init__(self, scope):
                self.scope = scope

            async def __call__(self, receive, send):
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": self.scope["path"].encode()})

        app = App
        """,
    )
    with parent.serving("main:app", tmp_path, lifespan="off") as worker:
        assert httpx.get(worker.url + "/twice").text == "/twice"


LIFESPAN = """
async def app(scope, receive, send):
    await receive()
    {}
"""


def test_a_lifespan_that_fails_ends_the_start(tmp_path: Path) -> None:
    write(
        tmp_path,
        "main.py",
        LIFESPAN.format('await send({"type": "lifespan.startup.failed", "message": "no database"})'),
    )
    failed = failure("main:app", tmp_path)
    assert failed["kind"] == "lifespan"
    assert failed["detail"] == ["no database"]


def test_a_lifespan_that_raises_counts_only_where_it_is_demanded(tmp_path: Path) -> None:
    write(tmp_path, "main.py", LIFESPAN.format('raise RuntimeError("not spoken")'))
    with parent.serving("main:app", tmp_path):
        pass
    assert "not spoken" in failure("main:app", tmp_path, lifespan="on")["message"]


def test_another_version_is_refused(apps: Path) -> None:
    failed = failure("plain_asgi:app", apps, version="0.0.0", a_key_of_the_future=True)
    assert failed["kind"] == "interpreter"
    assert "0.0.0" in failed["message"]


def test_a_drain_finishes_what_was_begun_and_ends_the_lifespan(apps: Path) -> None:
    with parent.serving("plain_asgi:app", apps) as worker:
        assert httpx.get(worker.url + "/background").text == "answered"
        assert httpx.get(worker.url + "/forever").text == "started"
        worker.drain()
        worker.until("stopped")
        assert worker.wait() == 0
        log = "".join(worker.log)
        assert "background work done" in log
        assert "lifespan ended" in log
        assert "forgotten task cancelled" in log
        assert "Traceback" not in log


def test_a_drain_lets_a_wsgi_request_finish(apps: Path) -> None:
    with parent.serving("plain_wsgi:app", apps) as worker:
        answers: list[str] = []
        thread = threading.Thread(target=lambda: answers.append(httpx.get(worker.url + "/slow").text))
        thread.start()
        while 'http_server_active_requests{service_name="tested"} 1' not in httpx.get(worker.url + "/-/metrics").text:
            pass
        worker.drain()
        worker.until("stopped")
        thread.join()
        assert answers == ["slow"]
        assert worker.wait() == 0


def test_a_drain_cuts_what_takes_too_long(apps: Path) -> None:
    with parent.serving("plain_asgi:app", apps) as worker, socket.create_connection(worker.address, 10) as connection:
        connection.sendall(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.recv(10)
        worker.drain(timeout_ms=200)
        worker.until("stopped")
        assert worker.wait() == 0


def test_a_worker_ends_with_its_parent_even_when_its_loop_is_blocked(tmp_path: Path) -> None:
    write(
        tmp_path,
        "main.py",
        """
        import sys, time

        async def app(scope, receive, send):
            print("blocking", file=sys.stderr, flush=True)
            time.sleep(60)
        """,
    )
    with (
        parent.serving("main:app", tmp_path, lifespan="off") as worker,
        socket.create_connection(worker.address, 10) as connection,
    ):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        worker.wait_for_log("blocking")
        worker.hang_up()
        assert worker.wait() == 1


def test_signals_to_the_group_are_the_parents_matter(apps: Path) -> None:
    with parent.serving("plain_asgi:app", apps) as worker:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            worker.process.send_signal(number)
            assert httpx.get(worker.url + "/hello").text == "hello"


def test_access_lines_are_json_where_it_is_asked_for(apps: Path) -> None:
    with parent.serving("plain_asgi:app", apps, access_log=True, log_format="json") as worker:
        httpx.get(worker.url + "/hello?secret=1", headers={"x-request-id": "abc"})
        httpx.get(worker.url + "/raise")
        log = worker.wait_for_log("ValueError").splitlines()
        first = json.loads(log[0])
        assert (first["path"], first["status"], first["request_id"]) == ("/hello", 200, "abc")
        assert all(json.loads(line) for line in log)


def test_an_answer_of_declared_length_is_complete_with_its_last_byte(apps: Path) -> None:
    with parent.serving("plain_wsgi:app", apps, access_log=True, log_format="json") as worker:
        assert httpx.get(worker.url + "/sized").text == "one more"
        line = json.loads(worker.wait_for_log('"/sized"').splitlines()[0])
        assert (line["status"], line["bytes"]) == (200, 8)


def test_a_body_above_the_limit_is_413(apps: Path) -> None:
    with parent.serving("plain_asgi:app", apps, max_body_bytes=1000) as worker:
        assert httpx.post(worker.url + "/echo", content=b"x" * 1001).status_code == 413
        assert httpx.post(worker.url + "/echo", content=iter([b"x" * 600] * 2)).status_code == 413
        assert httpx.post(worker.url + "/echo", content=b"x" * 1000).status_code == 200


def test_importing_pinnace_costs_nothing() -> None:
    code = (
        "import sys; sys.path.append(sys.argv[1]); old = set(sys.modules); import pinnace; print({*sys.modules} - old)"
    )
    output = subprocess.check_output([sys.executable, "-c", code, str(parent.RUNTIME)], text=True)
    assert output.strip() == "{'pinnace'}"
