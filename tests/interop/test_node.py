"""The clients of npm, unmodified, against the hub. They are installed beside the binary, once for each lock file."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest
from hub import TOKEN, Hub

HERE = Path(__file__).parent / "node"


@pytest.fixture(scope="session")
def node(binary: Path) -> Path:
    """A folder with the scripts and what they import."""
    if not shutil.which("npm"):
        pytest.skip("left out: npm is not on PATH, so the clients of npm were not tried")
    lock = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()[:12]
    folder = binary.resolve().parent.parent / "interop-node" / lock
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder)
        command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
        subprocess.run(command, cwd=folder, check=True, timeout=300)
        (folder / "done").touch()
    for script in HERE.glob("*.mjs"):
        shutil.copy(script, folder)
    return folder


def run(node: Path, *words: str) -> None:
    ended = subprocess.run(["node", *words], cwd=node, capture_output=True, text=True, timeout=90, check=False)
    assert (ended.returncode, ended.stdout) == (0, "done\n"), ended.stdout + ended.stderr


def test_the_consul_client_of_npm_finds_what_it_expects(node: Path, hub: Hub) -> None:
    run(node, "consul.mjs", str(hub.port), TOKEN)


def test_the_eureka_client_of_npm_finds_the_same_in_both(node: Path, either: str) -> None:
    run(node, "eureka.mjs", either)
