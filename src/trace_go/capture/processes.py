"""Which process of the command owns a socket: sampled while the command runs (Linux only).

The process tree and its socket inodes come from /proc (proc(5)), their addresses from the kernel's socket table
(sock_diag(7)), which is asked only when a new inode turns up; on a big machine /proc/net/tcp takes ten times as long. A
socket that lives shorter than the pause between two samples can be missed; its flow then has no process.
"""

import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv6Address

from trace_go.capture import netlink
from trace_go.capture.priority import give_way

# A TLS connection to a mirror lives for a hundred milliseconds and more; DNS sockets mostly fall through.
PAUSE_S, LONGEST_PAUSE_S = 0.02, 0.1
# The pause is at least this many times what the sample took: at most 2 % of one processor.
IDLE_PER_WORK = 50
# New sockets are in the table within microseconds of their creation; what is not there by then never connects.
TRIES = 3
# A page: of a list of children, that is some 500 whole entries.
READ_BYTES = 1 << 12
# A build with more processes at one time is sampled in part.
MAX_PROCESSES = 1000

_SOCK_DIAG_BY_FAMILY = 20
_STATES = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 8  # ESTABLISHED, SYN_SENT, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT
_QUESTION = struct.Struct("=BBBBI48x")  # inet_diag_req_v2
_ANSWER = struct.Struct("=B3x2s2s16s16s12x16xI")  # inet_diag_msg


Addresses = tuple[str, int, str, int]
"""local ip, local port, remote ip, remote port, as in the packets of the flow, TCP or UDP"""


class SocketSampler:
    """Call `start` with the pid of the command as soon as it exists, `stop` when it is over."""

    def __init__(self) -> None:
        self._owners: dict[Addresses, str] = {}
        self._pids: set[int] = set()
        self._tries: dict[int, int] = {}  # inode: samples in which it was there and its addresses were not
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, pid: int) -> None:
        if sys.platform == "linux":
            self._pids.add(pid)
            self._thread = threading.Thread(target=self._work, name="processes", daemon=True)
            self._thread.start()

    def stop(self) -> dict[Addresses, str]:
        """Addresses -> `go (1234)`. Empty where the system does not tell."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        return self._owners

    def _work(self) -> None:
        give_way()
        pause = PAUSE_S
        while not self._stop.wait(pause):
            before, begun = len(self._owners), time.thread_time()
            self.sample()
            work = time.thread_time() - begun
            pause = PAUSE_S if len(self._owners) > before else min(pause * 2, LONGEST_PAUSE_S)
            pause = max(pause, work * IDLE_PER_WORK)

    def sample(self) -> None:
        self._pids = _tree(self._pids)
        owners = {inode: pid for pid in self._pids for inode in _sockets(pid) if self._tries.get(inode, 0) < TRIES}
        if not owners:
            return
        missing = set(owners)
        for inode, addresses in _connected():
            if inode in missing:
                missing.remove(inode)
                self._tries[inode] = TRIES
                self._owners[addresses] = f"{_name(owners[inode])} ({owners[inode]})"
                if not missing:  # a socket table takes as long as all the rest
                    break
        for inode in missing:
            self._tries[inode] = self._tries.get(inode, 0) + 1


def _tree(pids: set[int]) -> set[int]:
    """Those of `pids` that live, and their descendants."""
    living: set[int] = set()
    waiting = list(pids)
    while waiting and len(living) < MAX_PROCESSES:
        pid = waiting.pop()
        if pid in living:
            continue
        with suppress(OSError):
            threads = os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 -- many times a second, and pathlib takes twice as long
            living.add(pid)
            for thread in threads:
                with suppress(OSError):  # threads end at any time
                    waiting += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
    return living


def _sockets(pid: int) -> Iterator[int]:
    """Inodes of its open sockets; none when it is gone or not ours to look at."""
    folder = f"/proc/{pid}/fd"
    with suppress(OSError):
        for descriptor in os.listdir(folder):  # noqa: PTH208 -- as above
            with suppress(OSError):
                target = os.readlink(f"{folder}/{descriptor}")  # noqa: PTH115 -- as above
                if target.startswith("socket:["):
                    yield int(target[8:-1])


def _name(pid: int) -> str:
    """Base name of argv[0]: `go`, `git-remote-https`."""
    try:
        first = _read(f"/proc/{pid}/cmdline").split(b"\0", 1)[0]
    except OSError:
        return "?"
    return first.decode("utf-8", "backslashreplace").rpartition("/")[2] or "?"


def _read(path: str) -> bytes:
    """The beginning of a file; many times a second, and pathlib takes five times as long. Raises OSError."""
    file = os.open(path, os.O_RDONLY)
    try:
        return os.read(file, READ_BYTES)
    finally:
        os.close(file)


def _connected() -> Iterator[tuple[int, Addresses]]:
    """(inode, addresses) of the connected sockets of this network namespace; nothing where the kernel does not tell."""
    for family in (socket.AF_INET, socket.AF_INET6):
        for protocol in (socket.IPPROTO_TCP, socket.IPPROTO_UDP):
            question = _QUESTION.pack(family, protocol, 0, 0, _STATES)
            with suppress(OSError):
                for answer in netlink.dump(netlink.SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, question):
                    kind, local_port, remote_port, local, remote, inode = _ANSWER.unpack_from(answer)
                    ports = int.from_bytes(local_port, "big"), int.from_bytes(remote_port, "big")
                    yield inode, (_ip(kind, local), ports[0], _ip(kind, remote), ports[1])


def _ip(family: int, packed: bytes) -> str:
    """IPv4-mapped addresses as the IPv4 that is on the wire."""
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, packed[:4])
    address = IPv6Address(packed)
    return str(address.ipv4_mapped or address)
