"""From packet columns to transport columns: link, IP and TCP/UDP/ICMP headers, vectorised.

Header rows are gathered once per layer into a contiguous matrix and read through a structured dtype, so a field costs a
strided view, not a gather. Rows that are cut short, fragmented beyond the first or of another protocol are left out.
Sources: RFC 791, 8200, 9293, 768; IEEE 802.1Q; tcpdump.org/linktypes (SLL, SLL2, NULL, RAW).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from trace_go.flows.grouping import group
from trace_go.model.packets import I64, U8, Batch, LinkType

PAD = 64
"""bytes that must follow the last packet in a batch's data for the header windows (else the data is copied)"""
MAX_TAGS = 4
"""VLAN tags skipped per frame; IEEE 802.1ad stacks two"""
MAX_EXTENSIONS = 8
"""IPv6 extension headers skipped per packet; RFC 8200 §4.1 names seven, each at most once or twice"""

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10

_IPV4 = np.dtype("u1, u1, >u2, >u2, >u2, u1, u1, >u2, >u4, >u4")
_IPV4.names = ("vihl", "tos", "length", "id", "fragment", "ttl", "protocol", "checksum", "src", "dst")
_IPV6 = np.dtype(
    [("word", ">u4"), ("length", ">u2"), ("next", "u1"), ("ttl", "u1"), ("src", "u1", 16), ("dst", "u1", 16)]
)
_TCP = np.dtype(
    [("sport", ">u2"), ("dport", ">u2"), ("seq", ">u4"), ("ack", ">u4"), ("offset", "u1"), ("flags", "u1")]
    + [("window", ">u2")]
)
_ETHERTYPE_TAGS = (0x8100, 0x88A8, 0x9100)
_AF_INET6 = (10, 24, 28, 30)
"""AF_INET6 on Linux, NetBSD, FreeBSD, Darwin"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segments:
    """TCP, UDP or ICMP packets as columns, all of shape (n,), in file order."""

    number: I64
    time_ns: I64
    protocol: I64
    src: I64
    """address: an IPv4 address as its number, an IPv6 address as an Addresses id"""
    dst: I64
    sport: I64
    dport: I64
    ttl: I64
    seq: I64
    ack: I64
    flags: I64
    payload: I64
    """offset of the payload in the batch's data"""
    captured: I64
    """payload bytes in the capture"""
    length: I64
    """payload bytes on the wire"""

    def __len__(self) -> int:
        return len(self.number)

    def take(self, rows: npt.NDArray[np.intp]) -> "Segments":
        return Segments(**{name: getattr(self, name)[rows] for name in self.__slots__})


class Addresses:
    """Numbers for IPv6 addresses, from 2**32 up; an IPv4 address is its own number."""

    def __init__(self) -> None:
        self._ids: dict[bytes, int] = {}
        self._packed: list[bytes] = []

    def number(self, raw: bytes) -> int:
        """raw: 4 or 16 bytes."""
        if len(raw) == 4:
            return int.from_bytes(raw, "big")
        found = self._ids.get(raw)
        if found is None:
            found = self._ids[raw] = (1 << 32) + len(self._packed)
            self._packed.append(raw)
        return found

    def numbers(self, raw: U8) -> I64:
        """raw: (n, 16) bytes of IPv6 addresses."""
        halves = np.ascontiguousarray(raw).view(np.int64)
        order, starts = group(halves[:, 0], halves[:, 1])
        numbers = [self.number(raw[row].tobytes()) for row in order[starts].tolist()]
        found = np.empty(len(raw), np.int64)
        found[order] = np.repeat(np.array(numbers, np.int64), np.diff(starts, append=len(raw)))
        return found

    def packed(self, number: int) -> bytes:
        """4 or 16 bytes."""
        return self._packed[number - (1 << 32)] if number >> 32 else number.to_bytes(4, "big")


def _windows(data: U8, at: I64, dtype: np.dtype[np.void]) -> npt.NDArray[np.void]:
    """Rows data[at : at + dtype.itemsize] read as records, shape (len(at),)."""
    return sliding_window_view(data, dtype.itemsize)[at].view(dtype).ravel()


def _uint16(data: U8, at: I64) -> I64:
    return (data[at].astype(np.int64) << 8) | data[at + 1]


def decode(batch: Batch, addresses: Addresses) -> tuple[U8, Segments]:
    """The batch's transport packets and the data their payload offsets point into (the batch's, or a padded copy)."""
    data = batch.data
    end = int((batch.offset + batch.captured).max(initial=0))
    if len(data) < end + PAD:
        data = np.concatenate([data[:end], np.zeros(PAD, np.uint8)])
    row, l3, version = _network(batch, data)
    parts = [_ipv4(batch, data, row[version == 4], l3[version == 4])]
    if (version == 6).any():
        parts.append(_ipv6(batch, data, row[version == 6], l3[version == 6], addresses))
    row, fields = _merge(parts)
    return data, _transport(batch, data, row, fields)


def _network(batch: Batch, data: U8) -> tuple[I64, I64, I64]:
    """Rows that carry IP, where their IP header starts, and its version (4 or 6), in file order."""
    start, l3 = batch.offset, np.zeros(len(batch), np.int64)
    version = np.zeros(len(batch), np.int64)
    for link in np.unique(batch.linktype).tolist():
        rows = np.flatnonzero((batch.linktype == link) & (batch.captured >= 4))
        at, kind = _link(data, start[rows], batch.captured[rows], link)
        l3[rows], version[rows] = at, kind
    room = start + batch.captured - l3
    rows = np.flatnonzero(((version == 4) & (room >= 20)) | ((version == 6) & (room >= 40)))
    return rows, l3[rows], version[rows]


def _link(data: U8, at: I64, captured: I64, link: int) -> tuple[I64, I64]:
    """Offset and version of the IP header of each frame of one link type; version 0 for anything else."""
    if link in (LinkType.RAW, LinkType.RAW_BSD, LinkType.RAW_OPENBSD, LinkType.IPV4, LinkType.IPV6):
        nibble = (data[at] >> 4).astype(np.int64)
        return at, np.where((nibble == 4) | (nibble == 6), nibble, 0)
    if link in (LinkType.NULL, LinkType.LOOP):
        # The family is in the capturing host's byte order; its value is below 256, so one of the two ends holds it.
        family = data[at].astype(np.int64) | data[at + 3]
        return at + 4, np.where(family == 2, 4, np.where(np.isin(family, _AF_INET6), 6, 0))
    layout = {LinkType.ETHERNET: (12, 14), LinkType.LINUX_SLL: (14, 16), LinkType.LINUX_SLL2: (0, 20)}.get(link)
    if layout is None:
        return at, np.zeros(len(at), np.int64)
    ethertype, l3 = _uint16(data, np.where(captured >= 16, at + layout[0], at)), at + layout[1]
    ethertype[captured < layout[1]] = 0
    for _ in range(MAX_TAGS):
        tagged = np.flatnonzero(np.isin(ethertype, _ETHERTYPE_TAGS) & (at + captured >= l3 + 4))
        if not len(tagged):
            break
        ethertype[tagged] = _uint16(data, l3[tagged] + 2)
        l3[tagged] += 4
    return l3, np.where(ethertype == 0x0800, 4, np.where(ethertype == 0x86DD, 6, 0))


_Fields = dict[str, I64]


def _ipv4(batch: Batch, data: U8, row: I64, l3: I64) -> tuple[I64, _Fields]:
    ip = _windows(data, l3, _IPV4)
    header = (ip["vihl"] & 15).astype(np.int64) * 4
    total = ip["length"].astype(np.int64)
    wire = batch.offset[row] + batch.length[row] - l3
    # 0: the kernel handed over a super-packet before segmentation (offload) and left the length to the card.
    total = np.where(total == 0, wire, np.minimum(total, wire))
    good = (ip["vihl"] >> 4 == 4) & (header >= 20) & (total >= header) & ((ip["fragment"] & 0x1FFF) == 0)
    keep = slice(None) if good.all() else np.flatnonzero(good)
    fields = {
        "l4": l3 + header,
        "end": l3 + total,
        "src": ip["src"].astype(np.int64),
        "dst": ip["dst"].astype(np.int64),
        "protocol": ip["protocol"].astype(np.int64),
        "ttl": ip["ttl"].astype(np.int64),
    }
    return row[keep], {name: column[keep] for name, column in fields.items()}


def _ipv6(batch: Batch, data: U8, row: I64, l3: I64, addresses: Addresses) -> tuple[I64, _Fields]:
    ip = _windows(data, l3, _IPV6)
    wire = batch.offset[row] + batch.length[row] - l3
    length = ip["length"].astype(np.int64) + 40
    total = np.where(length == 40, wire, np.minimum(length, wire))
    limit = batch.offset[row] + batch.captured[row]
    l4, protocol, good = l3 + 40, ip["next"].astype(np.int64), ip["word"] >> 28 == 6
    for _ in range(MAX_EXTENSIONS):
        more = np.flatnonzero(np.isin(protocol, (0, 43, 44, 51, 60)) & (l4 + 8 <= limit) & good)
        if not len(more):
            break
        at, kind = l4[more], protocol[more]
        size = data[at + 1].astype(np.int64)
        l4[more] = at + np.where(kind == 44, 8, np.where(kind == 51, (size + 2) * 4, (size + 1) * 8))
        good[more] &= (kind != 44) | ((_uint16(data, at + 2) & 0xFFF8) == 0)
        protocol[more] = data[at]
    keep = np.flatnonzero(good & (l4 <= l3 + total) & (l4 < limit))
    fields = {
        "l4": l4,
        "end": l3 + total,
        "src": addresses.numbers(ip["src"]),
        "dst": addresses.numbers(ip["dst"]),
        "protocol": protocol,
        "ttl": ip["ttl"].astype(np.int64),
    }
    return row[keep], {name: column[keep] for name, column in fields.items()}


def _merge(parts: list[tuple[I64, _Fields]]) -> tuple[I64, _Fields]:
    """The parts in file order."""
    if len(parts) == 1:
        return parts[0]
    row = np.concatenate([part[0] for part in parts])
    order = np.argsort(row, kind="stable")
    return row[order], {name: np.concatenate([part[1][name] for part in parts])[order] for name in parts[0][1]}


def _transport(batch: Batch, data: U8, row: I64, ip: _Fields) -> Segments:
    limit = batch.offset[row] + batch.captured[row]
    need = np.where(ip["protocol"] == TCP, 20, 8)
    wanted = np.isin(ip["protocol"], (TCP, UDP, ICMP, ICMPV6)) & (ip["l4"] + need <= np.minimum(limit, ip["end"]))
    if not wanted.all():
        keep = np.flatnonzero(wanted)
        row, limit, ip = row[keep], limit[keep], {name: column[keep] for name, column in ip.items()}
    head = _windows(data, ip["l4"], _TCP)
    is_tcp = ip["protocol"] == TCP
    ports = is_tcp | (ip["protocol"] == UDP)
    header = np.where(is_tcp, (head["offset"] >> 4).astype(np.int64) * 4, np.where(ports, 8, 0))
    payload = ip["l4"] + header
    bad = is_tcp & ((header < 20) | (payload > ip["end"]))
    length = np.where(bad, 0, ip["end"] - payload)
    zero = np.zeros(len(row), np.int64)

    def column(name: str, where: npt.NDArray[np.bool_]) -> I64:
        return np.where(where, head[name], zero)

    segments = Segments(
        number=batch.first_number + row,
        time_ns=np.maximum(batch.time_ns[row], 1),  # 0 is "not seen" everywhere
        protocol=ip["protocol"],
        src=ip["src"],
        dst=ip["dst"],
        sport=column("sport", ports),
        dport=column("dport", ports),
        ttl=ip["ttl"],
        seq=column("seq", is_tcp),
        ack=column("ack", is_tcp),
        flags=column("flags", is_tcp),
        payload=payload,
        captured=np.clip(np.minimum(limit, ip["end"]) - payload, 0, length),
        length=length,
    )
    return segments.take(np.flatnonzero(~bad)) if bad.any() else segments
