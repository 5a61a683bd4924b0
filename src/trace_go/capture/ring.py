"""Linux packet sockets read through shared memory: blocks of packets become columns with no copy or call per packet.

TPACKET_V3 (kernel Documentation/networking/packet_mmap.rst, include/uapi/linux/if_packet.h): the kernel fills blocks
and hands each over when it is full or `retire_ms` old. The ring does not count against net.core.rmem_max, so that an
unprivileged namespace gets the same buffer as root. Packets of all interfaces come without link header and get one of
LINUX_SLL2 (tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html), written into the room that the kernel leaves before each.
"""

import ctypes
import ctypes.util
import mmap
import os
import select
import socket
import struct
import sys
from contextlib import suppress

import numpy as np
import numpy.typing as npt

from trace_go.capture import netlink
from trace_go.model.errors import CaptureError, ConfigError, PrivilegeError
from trace_go.model.packets import I64, U8, Batch, LinkType

# 32 MB: a tenth of a second at 300 MB/s, more than a module mirror gives. A block is used up each 20 ms also by few
# packets: half of them last for more than a second.
BLOCKS, BLOCK_BYTES = 128, 1 << 18
# libpcap's MAXIMUM_SNAPLEN; super-packets of segmentation offload mostly have up to 64 kB.
SNAP_BYTES = 262144

_SOL_PACKET, _ADD_MEMBERSHIP, _RX_RING, _STATISTICS, _VERSION = 263, 1, 5, 6, 10
_TPACKET_V3, _PROMISCUOUS = 2, 1
_ETH_P_ALL, _SO_ATTACH_FILTER, _SIOCGIFHWADDR = 3, 26, 0x8927
_RTM_GETLINK, _IFLA_MASTER, _IFINFOMSG = 18, 10, struct.Struct("=4xi8x")
_ARPHRD_ETHER, _ARPHRD_LOOPBACK = 1, 772

_BLOCK_STATUS = 8  # tpacket_block_desc: version, offset_to_priv, then block_status, num_pkts, offset_to_first_pkt, …
_BLOCK = struct.Struct("=III")
_NEXT = struct.Struct("=I")
_READY = 1
_VLAN_VALID = 1 << 4
_HEADER = np.dtype(
    {
        "names": ["seconds", "nanoseconds", "captured", "length", "status", "start", "vlan_tci", "vlan_tpid",
                  "protocol", "interface", "hardware", "address"],
        "formats": ["u4", "u4", "u4", "u4", "u4", "u2", "u4", "u2", "2u1", "i4", "u2", "10u1"],
        "offsets": [4, 8, 12, 16, 20, 24, 32, 36, 50, 52, 56, 58],
        "itemsize": 68,
    }
)  # fmt: skip
"""tpacket3_hdr, then at 48 sockaddr_ll, whose pkttype, halen and addr are taken as one `address`, as SLL2 has them"""
_SLL2 = np.dtype(
    [("protocol", "2u1"), ("reserved", "u2"), ("interface", ">i4"), ("hardware", ">u2"), ("address", "10u1")]
)
_VLAN_TAG = np.dtype([("tpid", ">u2"), ("tci", ">u2")])
_MACS = 12

Instruction = tuple[int, int, int, int]
"""code, jump if true, jump if false, constant (linux/filter.h, struct sock_filter)"""
# linux/filter.h: loads at SKF_AD_OFF give facts about the packet instead of its bytes.
_PROTOCOL, _KIND, _INTERFACE, _HARDWARE, _TAG, _TAGGED = (0xFFFFF000 + at for at in (0, 4, 8, 28, 44, 48))
_LOAD, _EQUAL, _AND, _RETURN = 0x20, 0x15, 0x54, 0x06
_OUTGOING = 4
_DROP: Instruction = (_RETURN, 0, 0, 0)


class Ring:
    """Packets of one interface, or of all (`any`), from its construction on. `linktype` is that of its batches.

    Raises PrivilegeError without CAP_NET_RAW, CaptureError for an unknown interface, ConfigError for a bad filter.
    """

    def __init__(self, interface: str, bpf: str | None, retire_ms: int) -> None:
        if sys.platform != "linux":
            raise PrivilegeError("packet sockets exist on Linux only")
        self._interface = "" if interface == "any" else interface
        self.linktype = LinkType.LINUX_SLL2
        kind = socket.SOCK_DGRAM
        if self._interface and _hardware(interface) in (_ARPHRD_ETHER, _ARPHRD_LOOPBACK):
            self.linktype, kind = LinkType.ETHERNET, socket.SOCK_RAW
        try:
            protocol = 0 if self._interface else socket.htons(_ETH_P_ALL)
            self._socket = socket.socket(socket.AF_PACKET, kind, protocol)
        except PermissionError:
            raise PrivilegeError("capturing needs CAP_NET_RAW") from None
        try:
            once = _once_each() if not self._interface else _once_on_loopback()
            _attach(self._socket, once + compile_filter(bpf, self.linktype))
            self._socket.setsockopt(_SOL_PACKET, _VERSION, _TPACKET_V3)
            shape = (BLOCK_BYTES, BLOCKS, BLOCK_BYTES, BLOCKS, retire_ms, 0, 0)
            self._socket.setsockopt(_SOL_PACKET, _RX_RING, struct.pack("7I", *shape))
            self._memory = mmap.mmap(self._socket.fileno(), BLOCKS * BLOCK_BYTES)
            if self._interface:
                self._socket.bind((self._interface, _ETH_P_ALL))
                member = struct.pack("iHH8s", socket.if_nametoindex(self._interface), _PROMISCUOUS, 0, b"")
                self._socket.setsockopt(_SOL_PACKET, _ADD_MEMBERSHIP, member)
        except OSError as error:
            self._socket.close()
            raise CaptureError(f"cannot capture on {interface}: {error.strerror}") from None
        except ConfigError:
            self._socket.close()
            raise
        self._bytes: U8 = np.frombuffer(self._memory, np.uint8)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN | select.POLLERR)
        self._block = 0
        self._lent = False
        self._packets = self._drops = 0

    def read(self, wait_s: float) -> Batch | None:
        """The next packets, None when none came in time. The batch lies in the ring: valid until the next call."""
        if self._lent:
            struct.pack_into("=I", self._memory, self._block * BLOCK_BYTES + _BLOCK_STATUS, 0)
            self._block = (self._block + 1) % BLOCKS
            self._lent = False
        begin = self._block * BLOCK_BYTES
        status, count, first = _BLOCK.unpack_from(self._memory, begin + _BLOCK_STATUS)
        if not status & _READY:
            if any(events & select.POLLERR for _, events in self._poll.poll(wait_s * 1000)):
                self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # an interface went down; it may come back
            status, count, first = _BLOCK.unpack_from(self._memory, begin + _BLOCK_STATUS)
            if not status & _READY:
                return None
        self._lent = True
        return self._columns(begin, begin + first, count)

    def is_filling(self) -> bool:
        """Half of it waits to be read."""
        begin = (self._block + BLOCKS // 2) % BLOCKS * BLOCK_BYTES
        status, _, _ = _BLOCK.unpack_from(self._memory, begin + _BLOCK_STATUS)
        return bool(status & _READY)

    def drops(self) -> int:
        """Packets lost so far because the ring was full."""
        _, drops, _ = struct.unpack("3I", self._socket.getsockopt(_SOL_PACKET, _STATISTICS, 12))
        self._drops += drops
        return self._drops

    def close(self) -> None:
        """Takes some milliseconds: the kernel waits until no processor uses the socket."""
        self._bytes = np.empty(0, np.uint8)
        with suppress(BufferError):  # the last batch is still there: the memory goes with it
            self._memory.close()
        self._socket.close()

    def _columns(self, begin: int, at: int, count: int) -> Batch:
        headers = []
        for _ in range(count):
            headers.append(at)
            at += _NEXT.unpack_from(self._memory, at)[0]
        where = np.array(headers, np.int64)
        rows = _take(self._bytes, where, _HEADER)
        start = where + rows["start"]
        captured, length = rows["captured"].astype(np.int64), rows["length"].astype(np.int64)
        tagged = (rows["status"] & _VLAN_VALID) != 0
        if self.linktype == LinkType.LINUX_SLL2:
            moved = _write_sll2(self._bytes, start, rows)
        else:
            moved = _restore_tags(self._bytes, start, rows, tagged)
        batch = Batch(
            data=self._bytes[begin : begin + BLOCK_BYTES],
            offset=start - moved - begin,
            captured=captured + moved,
            length=length + moved,
            time_ns=rows["seconds"].astype(np.int64) * 1_000_000_000 + rows["nanoseconds"],
            linktype=np.full(count, self.linktype, np.int64),
            first_number=self._packets + 1,
        )
        self._packets += count
        return batch


def _take(data: U8, where: I64, kind: np.dtype[np.void]) -> npt.NDArray[np.void]:
    """Records of `kind` at the positions `where` (n,), copied. Shape (n,)."""
    records: npt.NDArray[np.void] = data[where[:, None] + np.arange(kind.itemsize)].view(kind)[:, 0]
    return records


def _write_sll2(data: U8, start: I64, rows: npt.NDArray[np.void]) -> I64:
    """Put a LINUX_SLL2 header before each packet at `start` (n,). Returns its size for each row (n,)."""
    link = np.zeros(len(rows), _SLL2)
    for name in ("protocol", "interface", "hardware", "address"):
        link[name] = rows[name]
    size = _SLL2.itemsize
    data[(start - size)[:, None] + np.arange(size)] = link.view(np.uint8).reshape(-1, size)
    return np.full(len(rows), size, np.int64)


def _restore_tags(data: U8, start: I64, rows: npt.NDArray[np.void], tagged: npt.NDArray[np.bool_]) -> I64:
    """Put the VLAN tag that the kernel took out back behind the addresses. Returns bytes added to each row (n,)."""
    frames, size = start[tagged], _VLAN_TAG.itemsize
    tags = np.zeros(len(frames), _VLAN_TAG)
    tags["tpid"], tags["tci"] = rows["vlan_tpid"][tagged], rows["vlan_tci"][tagged]
    macs = data[frames[:, None] + np.arange(_MACS)]
    data[(frames - size)[:, None] + np.arange(_MACS + size)] = np.hstack((macs, tags.view(np.uint8).reshape(-1, size)))
    return tagged * np.int64(size)


def compile_filter(expression: str | None, linktype: LinkType) -> list[Instruction]:
    """A filter in pcap-filter(7) syntax as instructions for a packet socket; None lets all through.

    Raises ConfigError when it does not compile, PrivilegeError when libpcap is missing.
    """
    if expression is None:
        return [(_RETURN, 0, 0, SNAP_BYTES)]
    library = ctypes.util.find_library("pcap")
    if library is None:
        raise PrivilegeError("a capture filter needs libpcap: install it (it comes with tcpdump)")
    pcap = ctypes.CDLL(library)
    pcap.pcap_open_dead.restype = ctypes.c_void_p
    pcap.pcap_geterr.restype = ctypes.c_char_p
    # Without link header the data begin with the IP header: RAW in the compiler's numbering (DLT_, not LINKTYPE_).
    kind = LinkType.RAW_BSD if linktype == LinkType.LINUX_SLL2 else linktype
    handle = ctypes.c_void_p(pcap.pcap_open_dead(int(kind), SNAP_BYTES))
    program = _Program()
    try:
        if pcap.pcap_compile(handle, ctypes.byref(program), os.fsencode(expression), 1, 0xFFFFFFFF) != 0:
            reason = pcap.pcap_geterr(handle).decode("ascii", "backslashreplace")
            raise ConfigError(f"capture filter {expression!r}: {reason}")
        code = ctypes.string_at(program.instructions, program.length * _INSTRUCTION.size)
        pcap.pcap_freecode(ctypes.byref(program))
        return list(_INSTRUCTION.iter_unpack(code))
    finally:
        pcap.pcap_close(handle)


class _Program(ctypes.Structure):
    """struct bpf_program of libpcap"""

    _fields_ = (("length", ctypes.c_uint), ("instructions", ctypes.c_void_p))


_INSTRUCTION = struct.Struct("=HBBI")


def _attach(packets: socket.socket, program: list[Instruction]) -> None:
    code = ctypes.create_string_buffer(b"".join(_INSTRUCTION.pack(*instruction) for instruction in program))
    packets.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(program), ctypes.addressof(code)))


def _once_on_loopback() -> list[Instruction]:
    """Drop what loopback sends, since it receives the same; falls through otherwise."""
    return [
        (_LOAD, 0, 0, _HARDWARE),
        (_EQUAL, 0, 3, _ARPHRD_LOOPBACK),
        (_LOAD, 0, 0, _KIND),
        (_EQUAL, 0, 1, _OUTGOING),
        _DROP,
    ]


def _once_each() -> list[Instruction]:
    """Drop the second sightings that a capture on all interfaces has; falls through otherwise.

    A packet with a VLAN tag is seen again without it on the VLAN's interface (priority tags, VLAN 0, are not), and one
    on a port of a bridge or bond is seen again on the bridge or bond.
    """
    program = _once_on_loopback()
    program += [(_LOAD, 0, 0, _TAGGED), (_EQUAL, 4, 0, 0)]
    program += [(_LOAD, 0, 0, _TAG), (_AND, 0, 0, 0xFFF), (_EQUAL, 1, 0, 0), _DROP]
    program += [(_LOAD, 0, 0, _PROTOCOL), (_EQUAL, 1, 0, 0x8100), (_EQUAL, 0, 1, 0x88A8), _DROP]
    program += [(_LOAD, 0, 0, _INTERFACE)]
    for index in _ports():
        program += [(_EQUAL, 0, 1, index), _DROP]
    return program


def _ports() -> list[int]:
    """Interfaces that belong to a bridge, bond or the like (rtnetlink(7); /sys may show another network namespace)."""
    found = []
    for answer in netlink.dump(netlink.ROUTE, _RTM_GETLINK, bytes(_IFINFOMSG.size)):
        (index,) = _IFINFOMSG.unpack_from(answer)
        at = _IFINFOMSG.size
        while at + 4 <= len(answer):
            size, kind = struct.unpack_from("=HH", answer, at)
            if kind == _IFLA_MASTER:
                found.append(index)
            at += max((size + 3) & ~3, 4)
    return found


def _hardware(interface: str) -> int:
    """ARPHRD_ number of an interface. Raises CaptureError when there is none of that name."""
    import fcntl  # not on Windows

    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            answer = fcntl.ioctl(any_socket, _SIOCGIFHWADDR, struct.pack("16s24x", os.fsencode(interface)[:15]))
    except OSError:
        names = ", ".join(name for _, name in socket.if_nameindex())
        raise CaptureError(f"there is no interface {interface!r} here; there are: any, {names}") from None
    return int(struct.unpack_from("H", answer, 16)[0])
