"""`rs-consul` of crates.io, unmodified, against the hub: the program of tests/peers/rs-consul."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hub import TOKEN, Hub
from program import Program

PROGRAM = Path(__file__).parent.parent / "peers/rs-consul"


@pytest.fixture(scope="session")
def client(binary: Path) -> Path:
    if not shutil.which("cargo"):
        pytest.skip("left out: cargo is not on PATH, so the client of crates.io was not tried")
    target = binary.resolve().parent.parent / "peers-rs-consul"
    # It is a workspace of its own: our build's settings and lock file are none of its.
    environment = {**os.environ, "CARGO_TARGET_DIR": str(target)}
    subprocess.run(["cargo", "build", "--quiet", "--locked"], cwd=PROGRAM, env=environment, check=True, timeout=900)
    return target / "debug/rs-consul-client"


def test_the_client_of_crates_io_finds_what_it_expects(client: Path, hub: Hub, tmp_path: Path) -> None:
    program = Program([str(client), f"127.0.0.1:{hub.port}", TOKEN], tmp_path)
    program.wait_for("^waiting for mute$")
    # It says once that it lives, and then nothing.
    mute = '{"Name": "mute", "Port": 8100, "Check": {"TTL": "1s", "Status": "passing"}}'
    assert hub.ask("PUT", "/v1/agent/service/register", mute)[0] == 200
    assert (program.wait(), program.lines[-1:]) == (0, ["done"]), program.text
