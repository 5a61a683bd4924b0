"""Writes the generated documentation: parts of README.md, lists of checks, captures and scores; --check only looks.

A part stands between `<!-- NAME: … -->` and `<!-- /NAME -->` and comes from the function of its name below.
"""

import argparse
import difflib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import dropwhile, takewhile
from pathlib import Path

import captures
from lab import board
from trace_go.checks.discovery import discover
from trace_go.cli.main import _parser

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = "captures/mitm-explicit.zip"
COLUMNS = 100
PART = re.compile(r"(<!-- (\w+): [^\n]* -->\n).*?(<!-- /\2 -->)", re.DOTALL)


def example() -> str:
    """The report that trace-go prints for a shipped capture."""
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "NO_COLOR": "1", "PYTHONUTF8": "1"}
    command = [sys.executable, "-m", "trace_go", "read", EXAMPLE]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise SystemExit(done.stderr)
    lines = [line.rstrip() for line in done.stdout.rstrip().splitlines()]
    return "\n".join(["```console", f"$ trace-go read {EXAMPLE}", *lines, "```"])


def checks() -> str:
    rows = ["| check | severity | for | finds |", "|---|---|---|---|"]
    rows += [f"| `{item.id}` | {item.meta.severity} | {item.meta.audience} | {item.title} |" for item in discover()]
    return "\n".join(rows)


def groups() -> str:
    """Each group with its checks."""
    ids: dict[str, list[str]] = {}
    for item in discover():
        ids.setdefault(item.meta.group, []).append(f"`{item.id}`")
    return "\n".join(
        ["| about | checks |", "|---|---|", *(f"| {name} | {', '.join(ids[name])} |" for name in sorted(ids))]
    )


def speed() -> str:
    """The table of docs/speed.md, which `make bench` writes."""
    lines = (ROOT / "docs/speed.md").read_text("utf-8").splitlines()
    return "\n".join(takewhile(lambda line: line.startswith("|"), dropwhile(lambda line: line[:1] != "|", lines)))


def options() -> str:
    """A row for each option, with the commands that have it."""
    commands: dict[tuple[str, str], list[str]] = {}
    for name in ("run", "read", "live"):
        for words, text in _options(_parser(name)):
            commands.setdefault((words, text), []).append("`-- CMD`" if name == "run" else f"`{name}`")
    rows = ["| option | with | meaning |", "|---|---|---|"]
    rows += [f"| {words} | {', '.join(names)} | {text} |" for (words, text), names in commands.items()]
    return "\n".join(rows)


def _options(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    for action in parser._actions:
        if action.option_strings and action.help and action.dest not in ("help", "version"):
            value = action.metavar or ("|".join(action.choices) if action.choices else "")
            words = ", ".join(f"`{word} {value}`" if value else f"`{word}`" for word in action.option_strings)
            yield words.replace("|", "\\|"), action.help.replace("|", "\\|")


def generated(text: str) -> str:
    parts: dict[str, Callable[[], str]] = {
        "example": example,
        "groups": groups,
        "checks": checks,
        "options": options,
        "speed": speed,
    }
    return PART.sub(lambda match: f"{match[1]}\n{parts[match[2]]()}\n\n{match[3]}", text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 with the difference")
    check = parser.parse_args().check
    status = 0
    pages = {
        **{ROOT / name: generated((ROOT / name).read_text("utf-8")) for name in ("README.md", "docs/checks.md")},
        captures.FOLDER / "README.md": captures.index(),
        board.PAGE: board.page(board.committed()),
    }
    for path, wanted in pages.items():
        found = path.read_text("utf-8")
        if found == wanted:
            continue
        if not check:
            path.write_text(wanted, "utf-8")
            continue
        lines = difflib.unified_diff(found.splitlines(), wanted.splitlines(), "as it is", "as generated", lineterm="")
        print(f"{path.relative_to(ROOT)} is out of step; `make readme` writes it again:", *lines, sep="\n")
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
