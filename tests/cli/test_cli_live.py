"""`trace-go live -i lo`, end to end on the loopback interface."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from trace_go.capture.live import capture_method
from trace_go.model.errors import TraceGoError

HELLO_NAME = "proxy.golang.org"
TIMEOUT_S = 30
ENOUGH_BYTES = 2_000
"""a captured connection with its ClientHello is smaller"""


def _problem() -> str:
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs root on Linux"
    try:
        capture_method()
    except TraceGoError as error:
        return str(error)
    return ""


pytestmark = pytest.mark.skipif(bool(_problem()), reason=_problem() or "none")


def hello(name: str) -> bytes:
    """A minimal ClientHello for `name` (RFC 8446 §4.1.2) in one record."""
    host = name.encode()
    sni = struct.pack("!HHHBH", 0, len(host) + 5, len(host) + 3, 0, len(host)) + host
    body = b"\x03\x03" + bytes(32) + b"\0" + b"\0\x02\x13\x01" + b"\x01\0" + struct.pack("!H", len(sni)) + sni
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + struct.pack("!H", len(message)) + message


class Live:
    """A running `trace-go live`, with a server that takes ClientHellos and answers nothing."""

    def __init__(self, *arguments: str) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trace_go", "live", "-i", "lo", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._talk, daemon=True)
        self._thread.start()

    def _talk(self) -> None:
        """Connections until the end: when capturing begins cannot be seen from outside."""
        while not self._over.wait(0.05):
            with socket.create_connection(("127.0.0.1", self.port)) as client:
                client.sendall(hello(HELLO_NAME))
                self.server.accept()[0].close()

    def wait_for(self, path: Path) -> None:
        """Until the capture file holds something."""
        limit = time.monotonic() + TIMEOUT_S
        while self.process.poll() is None and not (path.exists() and path.stat().st_size > ENOUGH_BYTES):
            assert time.monotonic() < limit
            time.sleep(0.02)

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=TIMEOUT_S)
        self._over.set()
        self._thread.join()
        self.server.close()
        return self.process.returncode, out, err


@pytest.fixture
def live() -> Iterator[Callable[..., Live]]:
    started: list[Live] = []

    def start(*arguments: str) -> Live:
        started.append(Live(*arguments))
        return started[-1]

    yield start
    for item in started:
        if item.process.poll() is None:
            item.process.kill()
            item.end()


def test_a_packet_limit(live: Callable[..., Live]) -> None:
    code, out, err = live("-c", "40", "--format", "json").end()
    assert code in (0, 1), err
    told = json.loads(out)
    assert told["capture"]["packets"] == 40
    assert told["capture"]["files"][0]["name"] == "live capture of lo"
    assert any(flow["name"] == HELLO_NAME for flow in told["flows"])
    assert any(request["hops"][-1]["host"] == HELLO_NAME for request in told["requests"])


def test_a_duration(live: Callable[..., Live]) -> None:
    code, out, err = live("-a", "1", "--format", "json").end()
    assert code in (0, 1), err
    told = json.loads(out)
    assert told["capture"]["packets"] > 0
    assert told["capture"]["drops"] == 0


def test_a_filter(live: Callable[..., Live]) -> None:
    code, out, err = live("-a", "1", "-f", "udp port 9", "--format", "json").end()
    assert code == 0, err
    assert json.loads(out)["capture"]["packets"] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_the_report_and_keeps_the_packets(
    number: signal.Signals, live: Callable[..., Live], tmp_path: Path
) -> None:
    kept = tmp_path / "kept.pcapng"
    item = live("-w", str(kept))
    item.wait_for(kept)
    item.process.send_signal(number)
    code, out, err = item.end()
    assert code in (0, 1), err
    assert "Traceback" not in err
    assert HELLO_NAME in out
    assert "live capture of lo" in out
    again = subprocess.run(
        [sys.executable, "-m", "trace_go", "read", str(kept)], capture_output=True, text=True, timeout=60, check=False
    )
    assert HELLO_NAME in again.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-f", "no such filter"], "filter"),
        (["-i", "no-such-interface"], "no-such-interface"),
        (["-w", "/no/such/folder/x.pcapng"], "/no/such/folder"),
    ],
)
def test_errors_are_one_line(arguments: list[str], says: str) -> None:
    words = ["-i", "lo", "-c", "1", *arguments]
    done = subprocess.run(
        [sys.executable, "-m", "trace_go", "live", *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode in (2, 3)
    assert done.stderr.count("\n") == 1
    assert says in done.stderr
    assert done.stdout == ""
