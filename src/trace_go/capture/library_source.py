"""Live packets from the system's pcap library, through scapy: on Windows, where Npcap is that library and the programs
of tool_source.py have no pipe that can be waited for. It is libpcap's interface, so it runs wherever there is libpcap.

A call for each packet makes it the slowest source, and scapy takes a second to start.
"""

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from ctypes import byref
from typing import Any, BinaryIO

import numpy as np

from trace_go.capture.source import CaptureStats, Kept
from trace_go.capture.writer import Interface, PcapngWriter
from trace_go.model.errors import CaptureError, ConfigError, PrivilegeError
from trace_go.model.packets import Batch

# Npcap hands packets over without delay (scapy sets its least size to 0); adapters and drivers take their time.
QUIET_S, LONGEST_DRAIN_S = 0.3, 0.6
# One round of reading, so that a busy interface does not keep the others waiting.
MAX_ROUND = 4096

Sockets = dict[str, Any]
"""name of the interface → scapy's socket, of which there are no types"""

Packet = tuple[int, int, int, bytes]
"""time in ns, index of the interface, length on the wire, what was captured"""


class LibrarySource:
    """Raises as `open_source` does."""

    quiet_s, longest_drain_s = QUIET_S, LONGEST_DRAIN_S
    ended = False

    def __init__(self, interface: str, bpf: str | None, out: BinaryIO | None) -> None:
        self._sockets = _open(interface, bpf)
        self._link_types = np.array([socket.pcap_fd.datalink() for socket in self._sockets.values()], np.int64)
        self._kept = Kept(out)
        self._packets = 0
        self._problem: str | None = None
        if out is not None:
            with self._kept.writing():
                kinds = zip(self._sockets, self._link_types.tolist(), strict=True)
                interfaces = [Interface(name=name, link_type=kind) for name, kind in kinds]
                self._writer = PcapngWriter(out, interfaces=interfaces)

    def gather(self, stop: threading.Event) -> None:
        if self.ended:
            stop.wait()
        else:
            self._ready(self.quiet_s)

    def read(self, wait_s: float) -> Batch | None:
        if self.ended:
            time.sleep(wait_s)
            return None
        ready = self._ready(wait_s)
        packets = sorted(packet for name in self._sockets for packet in self._of(name, ready))
        if not packets:
            return None
        interface = np.array([packet[1] for packet in packets])
        captured = np.array([len(packet[3]) for packet in packets])
        batch = Batch(
            data=np.frombuffer(b"".join(packet[3] for packet in packets), np.uint8),
            offset=np.cumsum(captured) - captured,
            captured=captured,
            length=np.array([packet[2] for packet in packets]),
            time_ns=np.array([packet[0] for packet in packets]),
            linktype=self._link_types[interface],
            first_number=self._packets + 1,
        )
        self._packets += len(batch)
        with self._kept.writing() as out:
            if out:
                self._writer.write_many(batch, interface)
                out.flush()
        return batch

    def finish(self) -> CaptureStats:
        from scapy.libs.winpcapy import pcap_stat, pcap_stats

        drops: int | None = 0
        with self._kept.writing() as out:
            for index, socket in enumerate(self._sockets.values()):
                counts = pcap_stat()
                if socket.closed or pcap_stats(socket.pcap_fd.pcap, byref(counts)):
                    drops = None
                    continue
                drops = None if drops is None else drops + counts.ps_drop
                if out:
                    self._writer.stats(drops=counts.ps_drop, received=counts.ps_recv, interface=index)
            if out:
                out.close()
        problem = self._problem or self._kept.problem
        return CaptureStats(packets=self._packets, drops=drops, method="pcap library", problem=problem)

    def close(self) -> None:
        for socket in self._sockets.values():
            socket.close()

    def _ready(self, wait_s: float) -> list[Any]:
        sockets = [socket for socket in self._sockets.values() if not socket.closed]
        return list(sockets[0].select(sockets, wait_s))

    def _of(self, name: str, ready: Sequence[Any]) -> Iterator[Packet]:
        """What an interface has now."""
        from scapy.libs.winpcapy import pcap_geterr

        socket, index, count = self._sockets[name], list(self._sockets).index(name), 0
        if socket not in ready:
            return
        while count < MAX_ROUND and (packet := socket.pcap_fd.next())[1] is not None:
            seconds, data = packet
            length = max(int(socket.pcap_fd.header.contents.len), len(data))
            yield round(seconds * 1_000_000) * 1000, index, length, data
            count += 1
        if not count and (error := pcap_geterr(socket.pcap_fd.pcap)):  # else it would be ready again and again
            self._problem = f"{name}: {error.decode(errors='backslashreplace')}"
            socket.close()
            self.ended = all(each.closed for each in self._sockets.values())


def _open(interface: str, bpf: str | None) -> Sockets:
    logging.getLogger("scapy").setLevel(logging.ERROR)  # of its own affairs, on standard error
    from scapy.config import conf

    conf.use_pcap = True
    import scapy.arch  # noqa: F401 -- finds the interfaces
    from scapy.error import Scapy_Exception

    if not conf.use_pcap:
        raise PrivilegeError("capturing needs the pcap library: install Npcap from npcap.com, or Wireshark with it")
    everything = [face.name for face in conf.ifaces.values() if face.is_valid() and face.ip]
    sockets: Sockets = {}
    try:
        for name in everything if interface == "any" else [interface]:
            sockets[name] = conf.L2listen(iface=name, filter=bpf)
            sockets[name].pcap_fd.setnonblock(True)
    except ValueError:
        raise CaptureError(
            f"there is no interface {interface!r} here; there are: any, {', '.join(everything)}"
        ) from None
    except OSError as error:
        raise PrivilegeError(f"capturing is not allowed: {str(error).splitlines()[0]}") from None
    except Scapy_Exception as error:
        raise ConfigError(f"capture filter {bpf!r}: {str(error).removeprefix('Cannot set filter: ')}") from None
    if not sockets:
        raise CaptureError("no interface has an address")
    return sockets
