"""The handbook's runner is trusted by every chapter: here it has to find what is wrong."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import run

FENCE = "```"


@pytest.fixture(autouse=True)
def _a_binary(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINNACE_BIN", "/bin/true")


def wrong(folder: Path, *blocks: str) -> str | None:
    """What is wrong with a chapter of these blocks, each its info string and its lines."""
    chapter = folder / "chapter.md"
    fenced = [f"{FENCE}{block}\n{FENCE}\n" for block in blocks]
    chapter.write_text("# A chapter\n\n" + "\n".join(fenced))
    return run.run(chapter, folder)


def test_files_are_written_and_a_folder_and_a_variable_are_kept(tmp_path: Path) -> None:
    blocks = (
        "text a/b.txt\none",
        "text >>a/b.txt\n  two",
        "console\n$ cd a && export X=7\n$ cat b.txt; echo $X\none\n  two\n7",
        "python only_read.py is shown\n1/0",
        "text\nnot written",
    )
    assert wrong(tmp_path, *blocks) is None


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ("console\n$ false", "ended with 1, not with 0"),
        ("console\n$ true\n$ exit 3\n$ true", "ended with 3, not with 0"),
        ("console exit=3\n$ true", "ended with 0, not with 3"),
        ("console\n$ echo one\ntwo", "the chapter shows\n  | two\nand it wrote\n  | one"),
        ("console\n$ echo one", "and it wrote\n  | one"),
        ("console\n$ printf 'a\\nb\\n'\na", "and it wrote\n  | a\n  | b"),
        ("console\n$ printf 'a\\nc\\n'\n…\nb\n…", "the chapter shows"),
        ("console\n$ echo 200 OK\n500 OK", "the chapter shows"),
        ("console stays\n$ sleep 60", "goes on still"),
        ("console stays\n$ echo one\ntwo", "it ended with 0"),
        ("console\nnothing goes on", "no command that goes on"),
        ("console what\n$ true", "`what` is no word"),
        ("sh\ntrue", "stand in a block of `console`"),
    ],
)
def test_what_differs_is_found(tmp_path: Path, block: str, words: str) -> None:
    found = wrong(tmp_path, block)
    assert found is not None
    assert words in found
    assert "chapter.md:" in found


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("echo 'ready  840 ms  http://127.0.0.1:4711'", "ready   1.2 s   http://127.0.0.1:41231"),
        ("echo 'Flask 3.1.3, process 77, 3m12s'", "Flask 3.2.0, process 4242, 9s"),
        ("echo '2026-11-24T07:59:25.380Z x'", "2026-01-01T00:00:00.1Z x"),
        ("echo '  4711  0'", "  18  0"),
        ("pwd", "/home/ada"),
        ("echo one two three", "one … three"),
        ("seq 9", "1\n…\n8\n9"),
        ("printf '\\033[31mred\\033[0m\\n'", "red"),
        ("echo a \\\n  b", "a b"),
    ],
)
def test_what_differs_from_run_to_run_is_equal(tmp_path: Path, command: str, shown: str) -> None:
    assert wrong(tmp_path, f"console\n$ {command}\n{shown}") is None


def test_one_that_goes_on_is_waited_for_and_interrupted(tmp_path: Path) -> None:
    program = (
        "python p.py\nimport sys, time\ntry:\n    print('up', sys.stdout.isatty(), flush=True)\n"
        "    while True:\n        time.sleep(0.05)\n        print('tick', flush=True)\n"
        "except KeyboardInterrupt:\n    print('down')\n    sys.exit(7)"
    )
    begin, more = f"console stays\n$ {sys.executable} p.py\nup True", "console\ntick\ntick"
    assert wrong(tmp_path, program, begin, more, "console exit=7\n^C\ndown") is None
    assert "ended with 7, not with 0" in str(wrong(tmp_path, program, begin, "console\n^C\ndown"))
    assert "the chapter shows\n  | gone" in str(wrong(tmp_path, program, begin, "console exit=7\n^C\ngone"))


def test_nothing_goes_on_after_a_chapter_that_failed(tmp_path: Path) -> None:
    assert (
        wrong(tmp_path, f"console stays\n$ echo $$ >{tmp_path}/pid; echo on; exec sleep 60\non", "console\n$ false")
        is not None
    )
    pid = int((tmp_path / "pid").read_text())
    assert run.until(lambda: not Path(f"/proc/{pid}").exists(), 10)


def test_the_ports_of_a_chapter_are_free_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PINNACE_BIN", "/bin/echo")
    up = "console\n$ pinnace up\nup --gateway 127.0.0.1:1 --hub 127.0.0.1:1"
    serve = "console\n$ pinnace serve --port 7\nserve --port 7\n$ pinnace serve | grep -c 8000 || true\n0"
    assert wrong(tmp_path, up, serve, "console\n$ echo :8000 | grep -c 8000 || true\n0") is None
