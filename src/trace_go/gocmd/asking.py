"""How to make go tell more, by environment only: GOFLAGS=-x and GODEBUG=http2debug=2.

The tables are what go 1.27 does; tests/gocmd/test_asking.py runs the installed go against them. With -x in GOFLAGS,
`mod download|tidy|graph`, `get` and `list` print their requests and version control commands, and nothing else changes.
What builds (`build`, `install`, `vet`, `list -export`, …) prints compiler commands among the compiler's messages, and
messages of cgo in another form; `test`, `run`, `generate`, `fmt` and `clean` change their standard output too; `go env`
prints the changed GOFLAGS; other commands know no -x. GODEBUG is part of the cache key of `go test`, and every Go
program that go, make or a script starts inherits it.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath

from msgspec import Struct

_GO = re.compile(r"go(?:\d[\w.]*)?(?:\.exe)?", re.IGNORECASE)
"""go, or a versioned wrapper of golang.org/dl"""
_GROUPS = frozenset({"mod", "work"})
_TELLING_X = frozenset({"mod download", "mod tidy", "mod graph", "get", "list"})
_TELLING_HTTP2 = _TELLING_X | {
    *("mod vendor", "mod verify", "mod why", "work sync", "work use", "work vendor"),
    *("build", "install", "vet", "fix", "doc"),
}
_TALKATIVE_LIST = re.compile(r"--?(?:export|compiled|work|n)(?:=(?!false|0).*)?")
_X = re.compile(r"--?x(?:=.*)?")
_GET_WITHOUT_BUILD = (1, 18)
"""the first release in which `go get` builds nothing"""


class Asking(Struct, frozen=True, kw_only=True):
    """environment: variables to set for the command, on top of its own; expect_*: for LogReader."""

    environment: dict[str, str]
    expect_x: bool
    expect_http2: bool
    why: tuple[str, ...]
    """for each account that is not asked for, a sentence"""


def asking(
    argv: Sequence[str],
    environ: Mapping[str, str],
    goflags_effective: str,
    *,
    x: bool = True,
    http2: bool = True,
    version: tuple[int, int] | None = None,
) -> Asking:
    """What to add to a command's environment.

    goflags_effective: `go env GOFLAGS`, since a GOFLAGS variable replaces the one of the go/env file. x, http2: False
    switches that account off. version: of go, where known.
    """
    command = _maybe_command(argv)
    godebug = environ.get("GODEBUG", "")
    no_x = "switched off" if not x else _why_no_x(command, argv, goflags_effective, version)
    no_http2 = "switched off" if not http2 else _why_no_http2(command, godebug)
    environment = {}
    if not no_x:
        environment["GOFLAGS"] = f"{goflags_effective} -x".strip()
    if not no_http2:
        environment["GODEBUG"] = f"{godebug},http2debug=2".lstrip(",")
    return Asking(
        environment=environment,
        expect_x=not no_x,
        expect_http2=not no_http2,
        why=(
            *(f"-x is not added: {text}" for text in [no_x] if text),
            *(f"http2debug is not added: {text}" for text in [no_http2] if text),
        ),
    )


def _maybe_command(argv: Sequence[str]) -> str | None:
    """`mod download`, `get`, …; empty for go alone; None when it is not the go command."""
    if not argv or not _GO.fullmatch(PurePath(argv[0].replace("\\", "/")).name):
        return None
    words = list(argv[1:])
    if words[:1] == ["-C"]:
        words = words[2:]
    elif words and words[0].startswith("-C="):
        words = words[1:]
    return " ".join(words[: 2 if words[:1] and words[0] in _GROUPS else 1])


def _why_no_x(command: str | None, argv: Sequence[str], goflags: str, version: tuple[int, int] | None) -> str | None:
    if any(_X.fullmatch(flag) for flag in goflags.split()):
        return "GOFLAGS says it already; all its lines are shown"
    if command is None:
        return "no go command: a `go build` inside it would print compiler commands that look like its own output"
    if any(_X.fullmatch(word) for word in argv[2:]):
        return "the command says it already; all its lines are shown"
    if command not in _TELLING_X:
        return f"`go {command}` would print more with it than its requests, or knows no -x"
    if command == "list" and any(_TALKATIVE_LIST.fullmatch(word) for word in argv):
        return "`go list` prints more than its requests with these flags"
    if command == "get" and version and version < _GET_WITHOUT_BUILD:
        return "this `go get` builds and would print compiler commands"
    return None


def _why_no_http2(command: str | None, godebug: str) -> str | None:
    if "http2debug=" in godebug:
        return "GODEBUG says it already; its lines are shown"
    if command is not None and command not in _TELLING_HTTP2:
        return f"`go {command}` needs no network, or starts other programs that would inherit GODEBUG"
    return None
