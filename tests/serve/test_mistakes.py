"""What a mistake is answered with: a message, a way out, and an exit code that scripts can rely on."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest


def run(binary: Path, folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(binary), "serve", "--log-format", "text", *arguments]
    variables = {**os.environ, **environment}
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=60, check=False)


def test_an_empty_folder_is_told_what_was_tried(binary: Path, tmp_path: Path) -> None:
    ended = run(binary, tmp_path, "--python", sys.executable, "--port", "0")
    assert ended.returncode == 11, ended.stderr
    assert "main:app" in ended.stderr and "app:app" in ended.stderr


def test_an_import_error_shows_the_users_lines_and_none_of_ours(binary: Path, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text("import json\n\nimport nothing_of_that_name\n")
    ended = run(binary, tmp_path, "--python", sys.executable, "--port", "0")
    assert ended.returncode == 11, ended.stderr
    assert "main.py" in ended.stderr and "line 3" in ended.stderr
    assert "No module named 'nothing_of_that_name'" in ended.stderr
    assert "_worker.py" not in ended.stderr and "importlib" not in ended.stderr


def test_a_target_that_is_not_there_names_the_module(binary: Path, folder: Path) -> None:
    ended = run(binary, folder, "main:application", "--python", sys.executable, "--port", "0")
    assert ended.returncode == 11, ended.stderr
    assert "application" in ended.stderr and "main" in ended.stderr


def test_a_port_in_use_names_the_port(binary: Path, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        ended = run(binary, folder, "--python", sys.executable, "--port", str(port))
    assert ended.returncode == 5, ended.stderr
    assert str(port) in ended.stderr and "hint" in ended.stderr


@pytest.mark.parametrize(
    ("python", "words"), [("/nowhere/python", "there is no Python interpreter"), ("/bin/false", "no usable Python")]
)
def test_an_interpreter_that_is_none_is_told(binary: Path, folder: Path, python: str, words: str) -> None:
    ended = run(binary, folder, "--python", python, "--port", "0")
    assert ended.returncode == 12, ended.stderr
    assert words in ended.stderr


def test_an_absent_runtime_says_where_it_was_looked_for(binary: Path, folder: Path, tmp_path: Path) -> None:
    empty = tmp_path / "no-runtime-here"
    ended = run(binary, folder, "--python", sys.executable, "--port", "0", PINNACE_RUNTIME_DIR=str(empty))
    assert ended.returncode == 12, ended.stderr
    assert str(empty) in ended.stderr and "cargo xtask runtime" in ended.stderr


def test_a_number_out_of_range_is_a_usage_error(binary: Path, folder: Path) -> None:
    assert run(binary, folder, "--workers", "0").returncode == 2
