"""What of a chapter is run: its fenced blocks, and how what a command writes is compared with what the chapter shows.

In Markdown, and readable as it is:

    ```python shop/main.py      a language and a file name: the file is written
    ```python >>settings.py     the same, behind what is in the file already
    ```console                  each line after `$ ` is a command; what follows it is what it writes
    ```console stays            the last command goes on, as in a terminal of its own; what is shown is waited for
    ```console exit=3           the last command ends with this code; without it, every command ends with 0
    ```console                  without any `$ `: what the command that goes on writes next; `^C` interrupts it first
    <!-- run: environment .venv -->   the prepared environment appears there, instead of being made

Other blocks are only read. In what is shown, a line `…` stands for any lines and `…` within a line for any text. What
differs from run to run counts as equal: ports, times, process ids, versions, keys; so do runs of blanks. The folder in
which a chapter is run is `/home/ada`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

HOME = "/home/ada"
# What differs from run to run, and what it becomes before two texts are compared; the order counts.
VARYING = (
    (r"\x1b\[[0-9;]*m", ""),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?", "TIMESTAMP"),
    (r"\b(127\.0\.0\.1|localhost):\d+", r"\1:PORT"),
    (r"\bPORT=\d+", "PORT=PORT"),
    (r"(?<![\d.])\d+\.\d+\.\d+(?![\d.])", "VERSION"),
    (r"(?<![\w.])(\d+(\.\d+)? ?(ms|min|s|m|h))+\b", "TIME"),
    (r"\b(process|worker|pid) \d+", r"\1 N"),
    (r'("pid": ?)\d+', r"\1N"),
    (r"(?<=  )\d{2,}(?=  |$)", "N"),
    (r"\b[0-9a-f]{12,}\b", "KEY"),
    (r" {2,}", "  "),
    (r"\s+$", ""),
)
FENCE = re.compile(r"^(\s*)(`{3,})\s*(\S*)\s*(.*?)\s*$")
ORDER = re.compile(r"^<!-- run: (\S+) (\S+) -->$")


@dataclass(frozen=True)
class File:
    """A file that the chapter shows."""

    line: int
    path: str
    text: str
    appends: bool = False


@dataclass(frozen=True)
class Environment:
    """Where the prepared environment is to appear."""

    line: int
    path: str


@dataclass(frozen=True)
class Command:
    """A command, and what it writes."""

    line: int
    text: str
    output: tuple[str, ...]
    exit: int = 0
    stays: bool = False


@dataclass(frozen=True)
class Next:
    """What the command that goes on writes next."""

    line: int
    output: tuple[str, ...]
    interrupts: bool
    exit: int = 0


Step = File | Environment | Command | Next


class Unreadable(Exception):
    """A block that is not written as it has to be."""


def read(chapter: Path) -> list[Step]:
    """The steps of a chapter, in their order."""
    steps: list[Step] = []
    lines = chapter.read_text().splitlines()
    number = 0
    while number < len(lines):
        line = lines[number]
        number += 1
        if order := ORDER.match(line):
            if order[1] != "environment":
                raise Unreadable(f"{number}: `{order[1]}` is nothing that can be run")
            steps.append(Environment(number, order[2]))
        if not (fence := FENCE.match(line)):
            continue
        start = number
        while number < len(lines) and lines[number].strip() != fence[2]:
            number += 1
        body = [text.removeprefix(fence[1]) for text in lines[start:number]]
        number += 1
        steps.extend(_block(start, fence[3], fence[4].split(), body))
    return steps


def _block(line: int, language: str, words: list[str], body: list[str]) -> list[Step]:
    if language in ("sh", "bash", "shell", "shell-session"):
        raise Unreadable(f"{line}: commands stand in a block of `console`, each after `$ `")
    if language != "console":
        text = "\n".join(body) + "\n"
        return [File(line, words[0].removeprefix(">>"), text, words[0].startswith(">>"))] if words else []
    code, stays = 0, False
    for word in words:
        if word == "stays":
            stays = True
        elif word.startswith("exit="):
            code = int(word.removeprefix("exit="))
        else:
            raise Unreadable(f"{line}: `{word}` is no word of a `console` block")
    if not any(text.startswith("$ ") for text in body):
        interrupts = body[:1] == ["^C"]
        return [Next(line, tuple(body[1:] if interrupts else body), interrupts, code)]
    if not body[0].startswith("$ "):
        raise Unreadable(f"{line + 1}: what is shown before the first command belongs to none")
    commands: list[Command] = []
    for offset, text in enumerate(body, line + 1):
        if text.startswith("$ "):
            commands.append(Command(offset, text.removeprefix("$ "), ()))
            continue
        last = commands.pop()
        if last.text.endswith("\\") and not last.output:
            commands.append(Command(last.line, f"{last.text}\n{text}", ()))
        else:
            commands.append(Command(last.line, last.text, (*last.output, text)))
    last = commands.pop()
    return [*commands, Command(last.line, last.text, last.output, code, stays)]


def plain(text: str, home: str = HOME) -> str:
    """A text without what differs from run to run."""
    text = text.replace(home, HOME)
    lines = text.splitlines()
    for varying, word in VARYING:
        lines = [re.sub(varying, word, line) for line in lines]
    return "\n".join(lines)


def pattern(output: tuple[str, ...]) -> re.Pattern[str]:
    """What matches a plain text that has these lines, one after the other."""
    parts = []
    for line in output:
        if line.strip() == "…":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(".*?".join(re.escape(plain(part)) for part in _split(line)) + r"[ ]*\n")
    return re.compile("^" + "".join(parts), re.MULTILINE)


def _split(line: str) -> list[str]:
    """The pieces between `…`; blanks that stand beside one are kept."""
    return line.split("…")


def shows(output: tuple[str, ...], text: str, home: str) -> bool:
    """Whether a command that has ended wrote this and nothing else."""
    expected = tuple(output)
    if not expected:
        return not text.strip()
    return bool(re.fullmatch(pattern(expected), plain(text.rstrip(), home) + "\n"))
