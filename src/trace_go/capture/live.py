"""Live captures: into a file while a command runs, or as batches for a view that updates.

Packets come from a packet socket when we may (ring.py), else from dumpcap or tcpdump, which many systems allow to users
(file capabilities, the wireshark group, ChmodBPF on macOS). Their output goes through us, so that they end when we do.
"""

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from trace_go.capture.ring import Ring
from trace_go.capture.user import private_file
from trace_go.capture.writer import Interface, PcapngWriter
from trace_go.model.errors import CaptureError, PrivilegeError
from trace_go.model.packets import Batch

# A block of packets is handed over at this age: fifty wake-ups a second at most while there is traffic.
RETIRE_MS = 20
# Nothing for this long after the command ended (more than a block's age), and its last FINs and ACKs are in …
QUIET_S = 0.035
# … or other traffic never pauses, and we stop anyway.
LONGEST_DRAIN_S = 0.2
# dumpcap hands over what it has four times a second (capture_loop.h, CAP_READ_TIMEOUT).
TOOL_QUIET_S, TOOL_LONGEST_DRAIN_S = 0.3, 0.6
FLUSH_S = 0.25
VIEW_MS = 250
# dumpcap and tcpdump need about 0.1 s to open their interfaces.
TOOL_START_S = 10.0

_DROPPED = re.compile(rb"received/dropped on interface .*?: (\d+)/(\d+)|^(\d+) packets? dropped by kernel", re.MULTILINE)
_RECEIVING = re.compile(rb"^(?:File: |(?:tcpdump: )?listening on )", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureStats:
    packets: int | None
    """None when the capturing program does not say"""
    drops: int | None
    """packets lost because we were too slow"""
    method: str
    """`packet socket`, `dumpcap` or `tcpdump`"""
    problem: str | None
    """one line: why the capture is not complete"""


class Capture(Protocol):
    """A capture into a file. From the return of `start` to the call of `stop` nothing is missed but what `drops` counts."""

    def start(self) -> None: ...

    def stop(self) -> CaptureStats:
        """Take in what is still on its way, close the file. Takes LONGEST_DRAIN_S at most; of a program, one second."""


def best_capture(path: Path, interface: str = "any", bpf: str | None = None) -> Capture:
    """The best way this machine allows to capture into `path`. `start` may still raise PrivilegeError.

    Raises PrivilegeError with one line that says how to get the privilege, CaptureError for an unknown interface or a
    file that cannot be made, ConfigError for a bad filter.
    """
    try:
        ring = Ring(interface, bpf, RETIRE_MS)
    except PrivilegeError:
        return ToolCapture(path, tool_command(interface, bpf))
    return RingCapture(path, interface, ring)


class RingCapture:
    def __init__(self, path: Path, interface: str, ring: Ring) -> None:
        self._ring = ring
        self._out = _new_file(path)
        self._writer = PcapngWriter(self._out, interfaces=[Interface(name=interface, linktype=ring.linktype)])
        self._stop = threading.Event()
        self._done = threading.Event()
        self._packets = 0
        self._problem: str | None = None

    def start(self) -> None:
        threading.Thread(target=self._work, name="capture", daemon=True).start()

    def stop(self) -> CaptureStats:
        self._stop.set()
        self._done.wait()
        return CaptureStats(
            packets=self._packets, drops=self._drops, method="packet socket", problem=self._problem
        )

    def _work(self) -> None:
        try:
            with self._out:
                self._copy()
        except OSError as error:
            self._problem = f"the capture is cut: {error.strerror}"
        self._drops = self._ring.drops()
        self._done.set()
        self._ring.close()

    def _copy(self) -> None:
        flush_at, stop_at = time.monotonic() + FLUSH_S, float("inf")
        while True:
            stopping = self._stop.is_set()
            if stopping and stop_at == float("inf"):
                stop_at = time.monotonic() + LONGEST_DRAIN_S
            batch = self._ring.read(QUIET_S)
            if batch is not None:
                self._packets += len(batch)
                self._writer.write_many(batch)
            now = time.monotonic()
            if now >= flush_at:
                self._writer.flush()
                flush_at = now + FLUSH_S
            if stopping and (batch is None or now >= stop_at):
                return
