"""Which process of the command owns a socket: sampled from /proc while the command runs (proc(5), Linux only).

A socket that lives shorter than the pause between two samples can be missed; its flow then has no process.
"""

import os
import re
import struct
import sys
import threading
import time
from ipaddress import IPv6Address
from pathlib import Path
from typing import NamedTuple

# A TLS connection to a mirror lives for a hundred milliseconds and more; DNS sockets mostly fall through.
PAUSE_S, LONGEST_PAUSE_S = 0.02, 0.1
# The pause is at least this many times what the sample took: at most 2 % of one processor.
IDLE_PER_WORK = 50
# A build starts thousands of short processes; those that never had a socket are forgotten when they end.
MAX_PROCESSES = 4096

_TABLES = (("tcp", "tcp"), ("tcp6", "tcp"), ("udp", "udp"), ("udp6", "udp"))
_ROW = re.compile(rb"^ *\d+: ([0-9A-F]+):([0-9A-F]{4}) ([0-9A-F]+):([0-9A-F]{4}) (?:\S+ +){6}(\d+)", re.MULTILINE)


class Socket(NamedTuple):
    transport: str
    """`tcp` or `udp`"""
    local_ip: str
    local_port: int
    remote_ip: str
    """of an unconnected UDP socket, `0.0.0.0` or `::` and port 0"""
    remote_port: int


class SocketSampler:
    """Call `start` with the pid of the command as soon as it exists, `stop` when it is over."""

    def __init__(self) -> None:
        self._owners: dict[Socket, str] = {}
        self._known: set[int] = set()  # inodes whose addresses are final
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, pid: int) -> None:
        if sys.platform == "linux":
            self._thread = threading.Thread(target=self._work, args=(pid,), name="processes", daemon=True)
            self._thread.start()

    def stop(self) -> dict[Socket, str]:
        """Socket -> `go (1234)`. Empty where the system does not tell."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        return self._owners

    def _work(self, root: int) -> None:
        pause = PAUSE_S
        while not self._stop.wait(pause):
            before, begun = len(self._owners), time.thread_time()
            self._sample(root)
            work = time.thread_time() - begun
            pause = PAUSE_S if len(self._owners) > before else min(pause * 1.5, LONGEST_PAUSE_S)
            pause = max(pause, work * IDLE_PER_WORK)

    def _sample(self, root: int) -> None:
        fresh: dict[int, int] = {}  # inode: pid
        for pid in tree(root):
            for inode in _sockets(pid):
                if inode not in self._known:
                    fresh[inode] = pid
        if not fresh:
            return
        for inode, found in _addresses(root).items():
            pid = fresh.pop(inode, 0)
            if pid:
                self._owners.setdefault(found, f"{_name(pid)} ({pid})")
                self._known.add(inode)
