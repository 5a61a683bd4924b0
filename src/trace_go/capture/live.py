"""Live captures: into a file while a command runs, or as batches for a view that updates.

Packets come from a packet socket when we may (ring.py), else from dumpcap or tcpdump (tool_source.py); on Windows from
the pcap library (library_source.py).
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from trace_go.capture.priority import give_way
from trace_go.capture.ring import Ring
from trace_go.capture.source import CaptureStats, Kept, Source
from trace_go.capture.tool_source import ToolSource, tool_command
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
FLUSH_S = 0.25
# What is captured waits in the ring, unless that fills, so that the command has the processors; a run that is killed
# loses as much. Looking whether it fills costs 20 µs.
GATHER_S, LOOK_S = 1, 0.05
VIEW_S = 0.25


class Capture:
    """A capture into a file beside a running command: between `start` and `stop` it misses only what `drops` counts."""

    def __init__(self, open_: Callable[[], Source]) -> None:
        """Begins at once, in a thread: the kernel takes some 20 ms, in which the caller has other things to do."""
        self._source: Source | None = None
        self._error: Exception | None = None
        self._stats: CaptureStats | None = None
        self._opened, self._stopping, self._done = threading.Event(), threading.Event(), threading.Event()
        self._stop_at = float("inf")
        threading.Thread(target=self._work, args=(open_,), name="capture", daemon=True).start()

    def start(self) -> None:
        """Returns when packets are taken in. Raises what opening raised."""
        self._opened.wait()
        if self._error is not None:
            raise self._error

    def stop(self) -> CaptureStats:
        """Take in what is still on its way and end the file."""
        assert self._source is not None
        self._stop_at = time.monotonic() + self._source.longest_drain_s
        self._stopping.set()
        self._done.wait()
        assert self._stats is not None
        return self._stats

    def _work(self, open_: Callable[[], Source]) -> None:
        try:
            self._source = source = open_()
        except Exception as error:  # noqa: BLE001 -- `start` raises it
            self._error = error
            return
        finally:
            self._opened.set()
        give_way()  # the ring holds what waits
        try:
            self._drain(source)
            self._stats = source.finish()
        finally:
            self._done.set()
        source.close()

    def _drain(self, source: Source) -> None:
        quiet, stopping = False, False
        while not (stopping and (quiet or time.monotonic() >= self._stop_at)):
            stopping = self._stopping.is_set()  # before reading: only a pause that began after `stop` counts
            if quiet and not stopping:
                source.gather(self._stopping)
            quiet = source.read(source.quiet_s if stopping else 0) is None


def best_capture(out: Path, interface: str = "any", bpf: str | None = None) -> Capture:
    """Begin a capture into `out`; its `start` raises as open_source does."""
    return Capture(lambda: open_source(interface, bpf, out=out))


def live_batches(
    source: Source, stop: threading.Event, *, duration_s: float | None = None, packet_limit: int | None = None
) -> Iterator[Batch]:
    """Packets until `stop` is set, the time is over, the limit reached or the source ends; call its `finish` then.

    After VIEW_S without any comes an empty batch.
    """
    end = float("inf") if duration_s is None else time.monotonic() + duration_s
    left = packet_limit
    while not (stop.is_set() or source.ended) and left != 0 and (pause := min(VIEW_S, end - time.monotonic())) > 0:
        batch = source.read(pause)
        if batch is not None and left is not None:
            batch = batch.part(0, left)
            left -= len(batch)
        yield _NOTHING if batch is None else batch


def open_source(
    interface: str, bpf: str | None = None, *, out: Path | None = None, retire_ms: int = RETIRE_MS
) -> Source:
    """Capture from now on, in the best way this machine allows.

    out: a file to keep the packets in; retire_ms: how long the kernel may collect packets for one batch.
    Raises PrivilegeError with one line that says how to get the privilege, CaptureError for an unknown interface or a
    file that cannot be made, ConfigError for a bad filter.
    """
    if sys.platform == "win32":
        from trace_go.capture.library_source import LibrarySource  # with scapy

        return LibrarySource(interface, bpf, _new_file(out))
    try:
        ring = Ring(interface, bpf, retire_ms)
    except PrivilegeError:
        return ToolSource(tool_command(interface, bpf), _new_file(out))
    return RingSource(ring, interface, _new_file(out))


def capture_method() -> str:
    """`packet socket`, `dumpcap`, `tcpdump` or `pcap library`. Raises PrivilegeError when none of them may capture."""
    source = open_source("any")
    stats = source.finish()
    source.close()
    return stats.method


class RingSource:
    quiet_s, longest_drain_s = QUIET_S, LONGEST_DRAIN_S
    ended = False

    def __init__(self, ring: Ring, interface: str, out: BinaryIO | None) -> None:
        self._ring = ring
        self._kept = Kept(out)
        self._packets = 0
        self._flush_at = time.monotonic() + FLUSH_S
        if out is not None:
            with self._kept.writing():
                self._writer = PcapngWriter(out, interfaces=[Interface(name=interface, link_type=ring.linktype)])

    def gather(self, stop: threading.Event) -> None:
        end = time.monotonic() + GATHER_S
        while time.monotonic() < end and not self._ring.is_filling() and not stop.wait(LOOK_S):
            pass

    def read(self, wait_s: float) -> Batch | None:
        batch = self._ring.read(wait_s)
        self._packets += 0 if batch is None else len(batch)
        with self._kept.writing() as out:
            if out and batch is not None:
                self._writer.write_many(batch)
            if out and time.monotonic() >= self._flush_at:
                out.flush()
                self._flush_at = time.monotonic() + FLUSH_S
        return batch

    def finish(self) -> CaptureStats:
        drops = self._ring.drops()
        with self._kept.writing() as out:
            if out:
                self._writer.stats(drops=drops, received=self._packets)
                out.close()
        return CaptureStats(packets=self._packets, drops=drops, method="packet socket", problem=self._kept.problem)

    def close(self) -> None:
        self._ring.close()


def _new_file(path: Path | None) -> BinaryIO | None:
    try:
        return None if path is None else private_file(path)
    except OSError as error:
        raise CaptureError(f"cannot write {path}: {error.strerror}") from None


_NONE = np.empty(0, np.int64)
_NOTHING = Batch(
    data=np.empty(0, np.uint8),
    offset=_NONE,
    captured=_NONE,
    length=_NONE,
    time_ns=_NONE,
    linktype=_NONE,
    first_number=1,
)
