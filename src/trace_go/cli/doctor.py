"""`trace-go doctor`: what this machine allows, a line each, with the remedy where something is missing."""

import argparse
import os
import shutil
import subprocess
import sys

import msgspec
from msgspec import Struct

from trace_go import __version__
from trace_go.capture.live import capture_method
from trace_go.model.errors import TraceGoError
from trace_go.report.escape import clean
from trace_go.trust.store import system_store

TIMEOUT_S = 10.0


class Line(Struct, frozen=True, kw_only=True):
    what: str
    ok: bool
    text: str


def main(arguments: argparse.Namespace) -> int:
    lines = [
        Line(what="trace-go", ok=True, text=f"{__version__}, Python {sys.version.split()[0]}, {sys.platform}"),
        _capture(),
        _program("go", "version", missing="not in PATH: `trace-go read` works; `trace-go -- go …` needs it"),
        _program("tshark", "--version", missing="not in PATH; only --compare-tshark would use it"),
        _namespaces(),
        _trust(),
    ]
    if arguments.format == "json":
        print(msgspec.json.format(msgspec.json.encode(lines), indent=1).decode())
        return 0
    for line in lines:
        print(f"{'ok     ' if line.ok else 'missing'}  {line.what:<12} {clean(line.text)}")
    return 0


def _capture() -> Line:
    try:
        return Line(what="capture", ok=True, text=f"by {capture_method()}")
    except TraceGoError as error:
        return Line(what="capture", ok=False, text=str(error))


def _program(name: str, argument: str, *, missing: str) -> Line:
    path = shutil.which(name)
    if path is None:
        return Line(what=name, ok=False, text=missing)
    answer = _first_line([path, argument])
    return Line(what=name, ok=answer is not None, text=answer or f"{path} does not run")


def _namespaces() -> Line:
    """Whether the lab can run: network namespaces, as root or through a user namespace."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return Line(
            what="namespaces",
            ok=False,
            text="unshare is not in PATH (Linux, package util-linux); only the lab needs it",
        )
    flags = ["--net"] if os.geteuid() == 0 else ["--user", "--map-root-user", "--net"]
    try:
        done = subprocess.run([unshare, *flags, "true"], capture_output=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return Line(what="namespaces", ok=False, text="unshare does not run; only the lab needs it")
    allowed = done.returncode == 0
    text = (
        "network namespaces are allowed" if allowed else "network namespaces are not allowed; only the lab needs them"
    )
    return Line(what="namespaces", ok=allowed, text=text)


def _trust() -> Line:
    store = system_store(os.environ)
    number = len(store.certificates)
    return Line(what="trust store", ok=number > 0, text=f"{number} certificates from {store.found}")


def _first_line(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace").split("\n", 1)[0] if done.returncode == 0 else None
