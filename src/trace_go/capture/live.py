"""Live captures: into a file while a command runs, or as batches for a view that updates.

Packets come from a packet socket when we may (ring.py), else from dumpcap or tcpdump, which many systems allow to users
(file capabilities, the wireshark group, ChmodBPF on macOS). Those write into a pipe, so that they end when we do.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from msgspec import Struct

from trace_go.capture.files import PCAP_MAGICS, PcapDecoder
from trace_go.capture.pcapng import SLACK, Decoder, PcapngDecoder
from trace_go.capture.priority import give_way
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
FLUSH_S = 0.25
# What is captured waits in the ring, unless that fills, so that the command has the processors; a run that is killed
# loses as much. Looking whether it fills costs 20 µs.
GATHER_S, LOOK_S = 0.25, 0.02
VIEW_S = 0.25
# dumpcap looks at its interfaces four times a second (capture/capture_loop.h, CAP_READ_TIMEOUT).
TOOL_QUIET_S, TOOL_LONGEST_DRAIN_S = 0.3, 0.6
# dumpcap and tcpdump need about 0.1 s to open their interfaces, and less to end.
TOOL_START_S, TOOL_END_S = 10.0, 2.0
TOOL_BUFFER_MB = 32
CHUNK_BYTES = 1 << 20

_RECEIVING = re.compile(rb"^(?:File: |(?:tcpdump: )?listening on )", re.MULTILINE)
_DROPPED = re.compile(rb"received/dropped on interface .*?: \d+/(\d+)|^(\d+) packets? dropped by kernel", re.MULTILINE)


class CaptureStats(Struct, frozen=True, kw_only=True):
    packets: int
    drops: int | None
    """packets lost because we were too slow; None when the capturing program does not say"""
    method: str
    """`packet socket`, `dumpcap` or `tcpdump`"""
    problem: str | None
    """one line: why the capture is not complete"""


class Source(Protocol):
    """Packets as they come. They are kept in the file that the source was made with, as long as that can be written."""

    quiet_s: float
    """what was sent before has come in when nothing came for this long"""
    longest_drain_s: float
    ended: bool
    """no more will come"""

    def gather(self, stop: threading.Event) -> None:
        """Let packets come together, until it is time to read or `stop` is set."""

    def read(self, wait_s: float) -> Batch | None:
        """The next packets, None when none came in time. Valid until the next call."""

    def finish(self) -> CaptureStats:
        """End the capture and the file."""

    def close(self) -> None:
        """Give back what the capture took; may take some milliseconds."""


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
    try:
        ring = Ring(interface, bpf, retire_ms)
    except PrivilegeError:
        return ToolSource(tool_command(interface, bpf), _new_file(out))
    return RingSource(ring, interface, _new_file(out))


def capture_method() -> str:
    """`packet socket`, `dumpcap` or `tcpdump`. Raises PrivilegeError when none of them may capture."""
    source = open_source("any")
    stats = source.finish()
    source.close()
    return stats.method


class RingSource:
    quiet_s, longest_drain_s = QUIET_S, LONGEST_DRAIN_S
    ended = False

    def __init__(self, ring: Ring, interface: str, out: BinaryIO | None) -> None:
        self._ring = ring
        self._kept = _Kept(out)
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


class ToolSource:
    """dumpcap or tcpdump, which write a capture file into a pipe. Raises PrivilegeError when they may not."""

    quiet_s, longest_drain_s = TOOL_QUIET_S, TOOL_LONGEST_DRAIN_S
    ended = False

    def __init__(self, command: list[str], out: BinaryIO | None) -> None:
        self._name = Path(command[0]).stem
        self._kept = _Kept(out)
        self._decoder: Decoder | None = None
        self._batches: Iterator[Batch] = iter(())
        self._rest = b""
        self._said = b""
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # ctrl-C is for the command
        )
        self._await_start()

    def gather(self, stop: threading.Event) -> None:
        assert self._process.stdout is not None
        if self.ended:
            stop.wait()
        select.select([self._process.stdout], [], [], self.quiet_s)  # its buffer is not ours to look into

    def read(self, wait_s: float) -> Batch | None:
        assert self._process.stdout is not None
        end = time.monotonic() + wait_s
        while (batch := next(self._batches, None)) is None:
            if not select.select([self._process.stdout], [], [], max(end - time.monotonic(), 0))[0]:
                return None
            data = os.read(self._process.stdout.fileno(), CHUNK_BYTES)
            if not data:
                self.ended = True
                time.sleep(max(end - time.monotonic(), 0))
                return None
            with self._kept.writing() as out:
                if out:
                    out.write(data)
                    out.flush()
            self._decode(data)
        return batch

    def finish(self) -> CaptureStats:
        ended = self._process.poll() is not None
        self._process.send_signal(signal.SIGINT)
        end = time.monotonic() + TOOL_END_S
        while time.monotonic() < end and (self._process.poll() is None or self.read(0) is not None):
            self.read(0.01)
        self._process.kill()
        self._said += self._process.communicate()[1]
        with self._kept.writing() as out:
            if out:
                out.close()
        counts = [int(first or second) for first, second in _DROPPED.findall(self._said)]
        return CaptureStats(
            packets=self._decoder.packets if self._decoder else 0,
            drops=sum(counts) if counts else None,
            method=self._name,
            problem=f"{self._name} ended early: {self._reason()}" if ended else self._kept.problem,
        )

    def close(self) -> None:
        pass

    def _await_start(self) -> None:
        assert self._process.stderr is not None
        deadline = time.monotonic() + TOOL_START_S
        while not _RECEIVING.search(self._said):
            ready = select.select([self._process.stderr], [], [], max(deadline - time.monotonic(), 0))[0]
            said = os.read(self._process.stderr.fileno(), CHUNK_BYTES) if ready else b""
            self._said += said
            if not said:
                self._process.kill()
                self._process.communicate()
                raise PrivilegeError(f"{privilege_advice()} ({self._name}: {self._reason()})")

    def _reason(self) -> str:
        """The reason that the program gives: its first line that is not about what it does."""
        lines = self._said.decode("utf-8", "backslashreplace").splitlines()
        reasons = (line for line in lines if line.strip() and not line.startswith(("Capturing on", "File:", "Packets")))
        return next(reasons, "no reason given").removeprefix(f"{self._name}: ")

    def _decode(self, data: bytes) -> None:
        """Batches of what is whole in `data` and in what was left before."""
        if self._decoder is not None:
            self._rest = self._rest[self._decoder.used :]
        self._rest += data
        start = 0
        if self._decoder is None:
            if len(self._rest) < PcapDecoder.header_bytes:
                return
            is_pcap = self._rest[:4] in PCAP_MAGICS
            self._decoder = PcapDecoder(self._rest[: PcapDecoder.header_bytes]) if is_pcap else PcapngDecoder()
            start = self._decoder.header_bytes
        buffer = np.frombuffer(self._rest + bytes(SLACK), np.uint8)
        self._batches = self._decoder.decode(buffer, start, len(self._rest))


class _Kept:
    """The file to keep a capture in, if any. Once it cannot be written it is left as it is, and `problem` says why."""

    def __init__(self, out: BinaryIO | None) -> None:
        self.out = out
        self.problem: str | None = None

    @contextmanager
    def writing(self) -> Iterator[BinaryIO | None]:
        try:
            yield self.out
        except OSError as error:
            self.problem = f"the capture file is cut: {error.strerror}"
            out, self.out = self.out, None
            if out is not None:
                with suppress(OSError):
                    out.close()


def tool_command(interface: str, bpf: str | None) -> list[str]:
    """dumpcap, else tcpdump, capturing into its standard output. Raises PrivilegeError when there is neither.

    Only Linux has an interface for all. Elsewhere dumpcap gets all that have an address, and tcpdump takes its default.
    """
    if sys.platform == "win32":
        raise PrivilegeError("capturing needs Linux or macOS: capture with Wireshark and use `trace-go read`")
    everything = interface == "any" and sys.platform != "linux"
    dumpcap, tcpdump = shutil.which("dumpcap"), shutil.which("tcpdump")
    if dumpcap:
        names = _interfaces_with_address(dumpcap) if everything else [interface]
        chosen = [word for name in names for word in ("-i", name)]
        return [dumpcap, "-q", "-B", str(TOOL_BUFFER_MB), "-w", "-", *(["-f", bpf] if bpf else []), *chosen]
    if tcpdump:
        chosen = [] if everything else ["-i", interface]
        buffer = str(TOOL_BUFFER_MB << 10)
        return [
            tcpdump,
            "-n",
            "-U",
            "--immediate-mode",
            "-B",
            buffer,
            "-w",
            "-",
            *chosen,
            "--",
            *([bpf] if bpf else []),
        ]
    raise PrivilegeError(privilege_advice())


def privilege_advice() -> str:
    dumpcap = shutil.which("dumpcap")
    how = (
        f"`sudo setcap cap_net_raw,cap_net_admin+eip {dumpcap}`"
        if dumpcap
        else "install it (it comes with Wireshark) and join the group wireshark"
    )
    return f"capturing packets is not allowed: run `sudo trace-go …`, or let dumpcap do it: {how}"


def _interfaces_with_address(dumpcap: str) -> list[str]:
    """From `dumpcap -D -M`: number and name, vendor, description, type, addresses, kind, separated by tabs."""
    told = subprocess.run([dumpcap, "-D", "-M"], capture_output=True, text=True, errors="replace", check=False)
    rows = [line.split("\t") for line in told.stdout.splitlines()]
    return [row[0].split(" ", 1)[1] for row in rows if len(row) > 4 and row[4] and " " in row[0]]


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
