"""Processes and what they cost: starting servers on one core, loading them from another, reading /proc."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from contenders import APPS, Ask, Contender

TICK = os.sysconf("SC_CLK_TCK")
LONGEST_START = 30.0
UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60000.0}


@dataclass(frozen=True)
class Load:
    """How the load is made."""

    tool: str
    program: Path
    core: int
    connections: int
    seconds: int
    scratch: Path

    def command(self, url: str, ask: Ask) -> list[str]:
        pinned = ["taskset", "-c", str(self.core), str(self.program)]
        if self.tool == "wrk":
            script = [] if ask.body is None else ["-s", str(self.script(ask.body))]
            return [*pinned, "-t1", f"-c{self.connections}", f"-d{self.seconds}s", "--latency", *script, url]
        words = ["--connections", str(self.connections), "--for", f"{self.seconds}s"]
        return [*pinned, "url", url, *words, *posted(ask)]

    def steadily(self, program: Path, url: str, rate: int, ask: Ask) -> list[str]:
        pinned = ["taskset", "-c", str(self.core), str(program)]
        return [*pinned, "url", url, "--rate", str(rate), "--for", f"{self.seconds}s", *posted(ask)]

    def script(self, body: str) -> Path:
        """What tells wrk to send a body."""
        file = self.scratch / "post.lua"
        file.write_text(
            f'wrk.method = "POST"\nwrk.headers["Content-Type"] = "application/json"\nwrk.body = {json.dumps(body)}\n'
        )
        return file


def posted(ask: Ask) -> list[str]:
    """The same for pinnace-load."""
    if ask.body is None:
        return []
    return ["--method", "POST", "--header", "Content-Type: application/json", "--body", ask.body]


@dataclass(frozen=True)
class Window:
    """What was seen of one server in one short window."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us_per_request: float
    memory_mib: float
    failed: int
    # Processor time of everything that was neither the server nor the load, as a share of one core.
    foreign: float


@contextmanager
def running(
    contenders: list[Contender], core: int, logs: Path, ask: Ask
) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """The servers, each answering, pinned to a core; none is left afterwards."""
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for contender in contenders:
            with (logs / f"{contender.name.replace(' ', '-')}-{contender.port}.log").open("wb") as log:
                processes[contender.name] = subprocess.Popen(
                    ["taskset", "-c", str(core), *contender.command],
                    cwd=APPS,
                    env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            answers(contender, processes[contender.name], logs, ask)
        yield processes
    finally:
        for process in processes.values():
            end(process)


def answers(contender: Contender, process: subprocess.Popen[bytes], logs: Path, ask: Ask) -> None:
    deadline = time.monotonic() + LONGEST_START
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", contender.port, timeout=2)
        try:
            headers = {} if ask.body is None else {"Content-Type": "application/json"}
            connection.request("GET" if ask.body is None else "POST", ask.path, ask.body, headers)
            response = connection.getresponse()
            body = response.read()
            if response.status != 200 or not ask.answered_by(body):
                raise SystemExit(f"{contender.name} answers {response.status} {body!r}")
            return
        except (OSError, http.client.HTTPException):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{contender.name} does not answer; its log is in {logs}") from None
            time.sleep(0.05)
        finally:
            connection.close()


def end(process: subprocess.Popen[bytes]) -> None:
    """Ends a server with all of its own."""
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(5)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def window(load: Load, contender: Contender, process: subprocess.Popen[bytes], ask: Ask) -> Window:
    """Loads one server as fast as it can."""
    command = load.command(f"http://127.0.0.1:{contender.port}{ask.path}", ask)
    return _observe(command, process, wrk=load.tool == "wrk")


def steady_window(
    load: Load, program: Path, rate: int, contender: Contender, process: subprocess.Popen[bytes], ask: Ask
) -> Window:
    """Asks one server at a constant rate, whether it keeps up or not."""
    command = load.steadily(program, f"http://127.0.0.1:{contender.port}{ask.path}", rate, ask)
    return _observe(command, process, wrk=False)


def _observe(command: list[str], process: subprocess.Popen[bytes], *, wrk: bool) -> Window:
    before, machine, began = cpu_seconds(process.pid), machine_seconds(), time.monotonic()
    own = os.times()
    loading = subprocess.run(command, capture_output=True, text=True, check=False)
    elapsed = time.monotonic() - began
    used, busy = cpu_seconds(process.pid) - before, machine_seconds() - machine
    ended = os.times()
    # What the load cost has been added to the times of our children when it was waited for.
    load_used = ended.children_user - own.children_user + ended.children_system - own.children_system
    rate, p50, p99, requests, failed = _read_wrk(loading.stdout) if wrk else _read_own(loading.stdout)
    return Window(
        requests_per_second=rate,
        p50_ms=p50,
        p99_ms=p99,
        cpu_us_per_request=used / max(requests, 1) * 1e6,
        memory_mib=memory_mib(process.pid),
        failed=failed,
        foreign=max(0.0, busy - used - load_used) / elapsed,
    )


def _read_wrk(text: str) -> tuple[float, float, float, int, int]:
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    requests = re.search(r"(\d+) requests in", text)
    half, most = (re.search(rf"{share}%\s+([\d.]+)(us|ms|s|m)", text) for share in (50, 99))
    if rate is None or requests is None or half is None or most is None:
        raise SystemExit(f"wrk says what nobody understands:\n{text}")
    failed = sum(int(number) for number in re.findall(r"Non-2xx or 3xx responses: (\d+)", text))
    for line in re.findall(r"Socket errors: (.*)", text):
        failed += sum(int(number) for number in re.findall(r"\d+", line))
    times = [float(found[1]) * UNITS[found[2]] for found in (half, most)]
    return float(rate[1]), times[0], times[1], int(requests[1]), failed


def _read_own(text: str) -> tuple[float, float, float, int, int]:
    report = json.loads(text)
    row = report["all"]
    latency = row["latency_ms"]
    failed = row["failed"] + report["overflow"]
    return report["requests_per_second"], latency["p50"], latency["p99"], row["requests"], failed


def family(pid: int) -> list[int]:
    """A process and all below it."""
    found, left = [], [pid]
    while left:
        one = left.pop()
        found.append(one)
        for children in Path(f"/proc/{one}/task").glob("*/children"):
            try:
                left += [int(child) for child in children.read_text().split()]
            except OSError:
                continue
    return found


def cpu_seconds(pid: int) -> float:
    """Time on a core of all threads of a process and of all below it, as the scheduler counts it."""
    nanoseconds = 0
    for one in family(pid):
        for statistic in Path(f"/proc/{one}/task").glob("*/schedstat"):
            try:
                nanoseconds += int(statistic.read_text().split()[0])
            except OSError:
                continue
    return nanoseconds / 1e9


def machine_seconds() -> float:
    """Seconds that all cores together have not been idle."""
    fields = [int(number) for number in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / TICK


def memory_mib(pid: int) -> float:
    kib = 0
    for one in family(pid):
        try:
            found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{one}/smaps_rollup").read_text(), re.MULTILINE)
        except OSError:
            continue
        kib += int(found[1]) if found else 0
    return kib / 1024


def version_of(*command: object) -> str:
    """What a program says of its version, in one line."""
    program = shutil.which(str(command[0]))
    if program is None:
        return "not there"
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines else "unknown"
