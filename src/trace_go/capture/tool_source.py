"""Live packets from dumpcap or tcpdump, which many systems allow to users (file capabilities, the wireshark group,
ChmodBPF on macOS). They write a capture into a pipe, so that they end when we do.
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
from pathlib import Path
from typing import BinaryIO

import numpy as np

from trace_go.capture.files import PCAP_MAGICS, PcapDecoder
from trace_go.capture.pcapng import SLACK, Decoder, PcapngDecoder
from trace_go.capture.source import CaptureStats, Kept
from trace_go.model.errors import PrivilegeError
from trace_go.model.packets import Batch

# dumpcap looks at its interfaces four times a second (capture/capture_loop.h, CAP_READ_TIMEOUT).
QUIET_S, LONGEST_DRAIN_S = 0.3, 0.6
# dumpcap and tcpdump need about 0.1 s to open their interfaces, and less to end.
START_S, END_S = 10.0, 2.0
BUFFER_MB = 32
CHUNK_BYTES = 1 << 20

_RECEIVING = re.compile(rb"^(?:File: |(?:tcpdump: )?listening on )", re.MULTILINE)
_DROPPED = re.compile(rb"received/dropped on interface .*?: \d+/(\d+)|^(\d+) packets? dropped by kernel", re.MULTILINE)


class ToolSource:
    """dumpcap or tcpdump, which write a capture file into a pipe. Raises PrivilegeError when they may not."""

    quiet_s, longest_drain_s = QUIET_S, LONGEST_DRAIN_S
    ended = False

    def __init__(self, command: list[str], out: BinaryIO | None) -> None:
        self._name = Path(command[0]).stem
        self._kept = Kept(out)
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
        end = time.monotonic() + END_S
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
        deadline = time.monotonic() + START_S
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


def tool_command(interface: str, bpf: str | None) -> list[str]:
    """dumpcap, else tcpdump, capturing into its standard output. Raises PrivilegeError when there is neither.

    Only Linux has an interface for all. Elsewhere dumpcap gets all that have an address, and tcpdump takes its default.
    """
    everything = interface == "any" and sys.platform != "linux"
    dumpcap, tcpdump = shutil.which("dumpcap"), shutil.which("tcpdump")
    if dumpcap:
        names = _interfaces_with_address(dumpcap) if everything else [interface]
        chosen = [word for name in names for word in ("-i", name)]
        return [dumpcap, "-q", "-B", str(BUFFER_MB), "-w", "-", *(["-f", bpf] if bpf else []), *chosen]
    if tcpdump:
        chosen = [] if everything else ["-i", interface]
        buffer = str(BUFFER_MB << 10)
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
