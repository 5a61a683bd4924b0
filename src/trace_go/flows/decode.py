"""From packet columns to transport columns: link, IP and TCP/UDP/ICMP headers, vectorised.

IP and transport headers are gathered once into contiguous records, so a field costs a strided view, not a gather. Rows
that are cut short or of another protocol are left out. What tunnels and fragments hold is decoded in further rounds,
which cost nothing where there is none.
Sources: RFC 791, 8200, 9293, 768; IEEE 802.1Q; tcpdump.org/linktypes (SLL, SLL2, NULL, RAW).
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from msgspec import Struct
from msgspec.structs import replace

from trace_go.flows.fragments import FRAGMENT, MAX_EXTENSIONS, Fragments
from trace_go.flows.grouping import group
from trace_go.flows.heads import DIX_MAX, ETHERTYPE, IPV4, IPV6, LLC, MAX_LAYERS, PAD, PORT, PROTOCOL, Rest
from trace_go.flows.layers import LAYERS, PEELED_PROTOCOLS, TUNNEL_PORTS, peel
from trace_go.model.packets import I64, U8, Batch, LinkType

MAX_TAGS = 4
"""VLAN tags skipped per frame; IEEE 802.1ad stacks two"""

KEPT_BYTES = 4 << 20
"""glibc gives blocks back to the system that are larger than any freed before: to free one of this size makes it keep
all columns of a batch, which else are mapped anew for each (mallopt(3), M_MMAP_THRESHOLD); a sixth of the reading"""

TCP, UDP, ICMP, ICMPV6, AUTHENTICATION = 6, 17, 1, 58, 51
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10

_TCP = np.dtype([
    ("sport", ">u2"), ("dport", ">u2"), ("seq", ">u4"), ("ack", ">u4"), ("offset", "u1"), ("flags", "u1"),
    ("window", ">u2"),
])  # fmt: skip
_IPV4 = np.dtype([
    ("vihl", "u1"), ("tos", "u1"), ("length", ">u2"), ("id", ">u2"), ("fragment", ">u2"), ("ttl", "u1"),
    ("protocol", "u1"), ("checksum", ">u2"), ("src", ">u4"), ("dst", ">u4"),
])  # fmt: skip
_IPV6 = np.dtype([
    ("word", ">u4"), ("length", ">u2"), ("protocol", "u1"), ("ttl", "u1"), ("src", "u1", 16), ("dst", "u1", 16),
])  # fmt: skip
_UINT16 = np.dtype("V2")
_NONE = 255
"""no protocol (reserved by IANA)"""
_NEED = np.full(FRAGMENT + 1, 1 << 40)
_NEED[[TCP, UDP, ICMP, ICMPV6]] = 20, 8, 8, 8
"""protocol → shortest header; more than a packet has for what is not read"""
_IS_EXTENSION = np.isin(np.arange(FRAGMENT + 1), (0, 43, 44, AUTHENTICATION, 60, 135, 139, 140))
_INNER = np.append(PEELED_PROTOCOLS, True)
"""whether the protocol's packets, or fragments, hold more"""
_ETHERTYPES = np.arange(1 << 16)
_IS_TAG = np.isin(_ETHERTYPES, (0x8100, 0x88A8, 0x9100))
_VERSIONS = np.where(_ETHERTYPES < DIX_MAX, LLC, ETHERTYPE | _ETHERTYPES)
"""EtherType → version of IP, or the layer it is of"""
_VERSIONS[[0x0800, 0x86DD]] = 4, 6
_LAYOUTS = {
    LinkType.ETHERNET: (12, 14),
    LinkType.LINUX_SLL: (14, 16),
    LinkType.LINUX_SLL2: (0, 20),
    LinkType.APPLE_IP_OVER_IEEE1394: (16, 18),
    LinkType.BRCM_TAG: (16, 18),
    LinkType.BRCM_TAG_PREPEND: (16, 18),
    LinkType.DSA_TAG_DSA: (16, 18),
    LinkType.DSA_TAG_EDSA: (20, 22),
}
"""link type → where its EtherType and its payload begin"""
_RAW = frozenset({LinkType.RAW, LinkType.RAW_BSD, LinkType.RAW_OPENBSD, LinkType.IPV4, LinkType.IPV6, IPV4, IPV6})
_LINKS = frozenset({*_RAW, *_LAYOUTS, LinkType.NULL, LinkType.LOOP, *LAYERS.tolist()})
"""what is understood"""

Headers = npt.NDArray[np.void]


class Segments(Struct, frozen=True, kw_only=True):
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
        return Segments(**{name: getattr(self, name)[rows] for name in self.__struct_fields__})


class Addresses:
    """Numbers for IPv6 addresses, from 2**32 up; an IPv4 address is its own number."""

    def __init__(self) -> None:
        self._ids: dict[bytes, int] = {}
        self._packed: list[bytes] = []

    @property
    def all(self) -> list[bytes]:
        """The IPv6 addresses, by their numbers."""
        return self._packed

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

    def keep(self, used: I64) -> Callable[[I64], I64]:
        """Forget all IPv6 addresses but these, (n,) numbers that rise. Returns what gives numbers their new ones."""
        self._packed = [self._packed[number - (1 << 32)] for number in used.tolist()]
        self._ids = {raw: (1 << 32) + place for place, raw in enumerate(self._packed)}
        return lambda numbers: np.where(numbers >> 32, (1 << 32) + np.searchsorted(used, numbers), numbers)

    def packed(self, number: int) -> bytes:
        """4 or 16 bytes."""
        return self._packed[number - (1 << 32)] if number >> 32 else number.to_bytes(4, "big")


class State:
    """What outlives a batch."""

    def __init__(self) -> None:
        np.empty(KEPT_BYTES, np.uint8)
        self.addresses = Addresses()
        self.fragments = Fragments()


def decode(batch: Batch, state: State) -> tuple[U8, Segments]:
    """The batch's transport packets and the data their payload offsets point into (the batch's, or a padded copy).

    The batch must not be empty. Of a packet in a tunnel the innermost is given, with the number of the outermost.
    """
    data = batch.data
    end = int((batch.offset + batch.captured).max())
    if len(data) < end + PAD:
        data = np.concatenate([data[:end], np.zeros(PAD, np.uint8)])
    found, rest = _decode(batch, data, state.addresses)
    levels, outer = [found], batch
    while len(rest.row) and len(levels) <= MAX_LAYERS:
        fragment = rest.layer == PROTOCOL | FRAGMENT
        inner = [peel(data, outer, _some(rest, ~fragment))]
        if fragment.any() and (joined := state.fragments.join(data, outer, _some(rest, fragment))):
            data = joined.data
            inner.append(joined)
        frames = [part for part in inner if part]
        if not frames:
            break
        outer = frames[0] if len(frames) == 1 else _both(*frames)
        found, rest = _decode(outer, data, state.addresses)
        levels.append(found)
    return data, found if len(levels) == 1 else _innermost(levels, batch)


def _some(rest: Rest, mask: npt.NDArray[np.bool_]) -> Rest:
    return Rest(*(column[mask] for column in rest))


def _both(one: Batch, other: Batch) -> Batch:
    """Two batches of the other's data as one; the one's data is the beginning of it."""
    columns = {
        name: np.concatenate([getattr(one, name), getattr(other, name)])
        for name in ("offset", "captured", "length", "time_ns", "linktype", "numbers")
    }
    return replace(other, **columns)


def _innermost(levels: list[Segments], batch: Batch) -> Segments:
    """The segments of all levels in file order; of a packet that has some on several levels, those of the last."""
    level = np.repeat(np.arange(len(levels)), [len(part) for part in levels])
    names = Segments.__struct_fields__
    found = Segments(**{name: np.concatenate([getattr(part, name) for part in levels]) for name in names})
    order = np.lexsort((level, found.number))
    ends = np.flatnonzero(np.diff(found.number[order], append=-1) != 0)
    deepest = np.repeat(level[order[ends]], np.diff(ends, prepend=-1))
    kept = order[level[order] == deepest]
    return found.take(kept[np.argsort(batch.place(found.number[kept]), kind="stable")])


def _decode(batch: Batch, data: U8, addresses: Addresses) -> tuple[Segments, Rest]:
    """Transport packets, and the rows that hold another layer instead or as well."""
    row, l3, version, links = _network(batch, data)
    six = np.flatnonzero(version == 6)
    if not len(six):
        ip = _ipv4(batch, data, row, l3)
    else:
        four = np.flatnonzero(version == 4)
        ip = _ipv4(batch, data, row[four], l3[four])
        other = _ipv6(batch, data, row[six], l3[six], addresses)
        ip = {name: _mixed(four, column, six, other[name]) for name, column in ip.items()}
    segments, tunnels = _transport(batch, data, row, l3, ip)
    return segments, _joined([*links, *tunnels])


def _joined(parts: list[Rest]) -> Rest:
    return Rest(*map(np.concatenate, zip(*parts, strict=True))) if len(parts) > 1 else (parts or [_NOTHING])[0]


_NONE_OF_THEM = np.empty(0, np.int64)
_NOTHING = Rest(*[_NONE_OF_THEM] * 5)


def _mixed(four: npt.NDArray[np.intp], one: I64, six: npt.NDArray[np.intp], other: I64) -> I64:
    column = np.empty(len(four) + len(six), np.int64)
    column[four], column[six] = one, other
    return column


def windows(data: U8, at: I64, dtype: np.dtype[np.void]) -> Headers:
    """data[at : at + dtype.itemsize] as records, shape (len(at),), of their own; in the data they may overlap."""
    size = dtype.itemsize
    if not len(at):
        return np.empty(0, dtype)
    # Opaque items are gathered several times faster than rows of bytes or records with fields.
    items: Headers = np.ndarray((len(data) - size + 1,), f"V{size}", data, strides=(1,))[at]
    return items.view(dtype)


def _uint16(data: U8, at: I64) -> I64:
    return windows(data, at, _UINT16).view(">u2").astype(np.int64)


def _network(batch: Batch, data: U8) -> tuple[I64, I64, I64, list[Rest]]:
    """Rows that carry IP, where their IP header starts, and its version (4 or 6), in file order; and the other rows."""
    links = batch.linktype
    parts, others = [], []
    for link in _LINKS & set(links.tolist()) if (links != links[0]).any() else {int(links[0])}:
        rows = np.flatnonzero((batch.captured >= 20) & (links == link))
        at, captured = batch.offset[rows], batch.captured[rows]
        l3, version = _link(data, at, captured, link)
        need = np.where(version == 4, 20, np.where(version == 6, 40, captured + 1))
        good = np.flatnonzero(l3 + need <= at + captured)
        parts.append((rows[good], l3[good], version[good]))
        if len(good) < len(rows):
            more = np.flatnonzero(np.isin(version, LAYERS))
            end = at[more] + captured[more]
            others.append(Rest(rows[more], version[more], l3[more], end, at[more] + batch.length[rows[more]]))
    if len(parts) == 1:
        return *parts[0], others
    parts.append((_NONE_OF_THEM, _NONE_OF_THEM, _NONE_OF_THEM))
    row, l3, version = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(row, kind="stable")
    return row[order], l3[order], version[order], others


def _link(data: U8, at: I64, captured: I64, link: int) -> tuple[I64, I64]:
    """Of frames of one link type, 20 bytes or more: where their IP header begins, and its version.

    In place of a version, which may be nonsense, those that hold no IP have their layer.
    """
    if link in _RAW:
        return at, (data[at] >> 4).astype(np.int64)
    if link in (LinkType.NULL, LinkType.LOOP):
        # An address family whose byte order and numbers differ from system to system: the IP header tells the same.
        return at + 4, (data[at + 4] >> 4).astype(np.int64)
    if link not in _LAYOUTS:
        return at, np.full(len(at), link)
    kind_at, size = _LAYOUTS[LinkType(link)]
    version, l3 = _VERSIONS[_uint16(data, at + kind_at)], at + size
    for _ in range(MAX_TAGS):
        tagged = np.flatnonzero(_IS_TAG[version & 0xFFFF] & (at + captured >= l3 + 4))
        if not len(tagged):
            break
        version[tagged] = _VERSIONS[_uint16(data, l3[tagged] + 2)]
        l3[tagged] += 4
    return l3, version


_Fields = dict[str, I64]
"""l4: where the transport header begins in the data; end: where the packet ends, captured or not; src, dst, protocol,
ttl"""


def _ipv4(batch: Batch, data: U8, row: I64, l3: I64) -> _Fields:
    ip = windows(data, l3, _IPV4)
    size = (ip["vihl"] & 15).astype(np.int64) * 4
    total = ip["length"].astype(np.int64)
    wire = batch.offset[row] + batch.length[row] - l3
    # 0: the kernel handed over a super-packet before segmentation (offload) and left the length to the card.
    total = np.where(total == 0, wire, np.minimum(total, wire))
    good = (ip["vihl"] >> 4 == 4) & (size >= 20) & (total >= size)
    protocol = np.where(good, ip["protocol"], _NONE).astype(np.int64)
    protocol[np.flatnonzero((ip["fragment"] & 0x3FFF != 0) & good)] = FRAGMENT
    return {
        "l4": l3 + size,
        "end": l3 + total,
        "src": ip["src"].astype(np.int64),
        "dst": ip["dst"].astype(np.int64),
        "protocol": protocol,
        "ttl": ip["ttl"].astype(np.int64),
    }


def _ipv6(batch: Batch, data: U8, row: I64, l3: I64, addresses: Addresses) -> _Fields:
    ip = windows(data, l3, _IPV6)
    wire = batch.offset[row] + batch.length[row] - l3
    total = ip["length"].astype(np.int64) + 40
    total = np.where(total == 40, wire, np.minimum(total, wire))
    limit = batch.offset[row] + batch.captured[row]
    l4, protocol, good = l3 + 40, ip["protocol"].astype(np.int64), ip["word"] >> 28 == 6
    for _ in range(MAX_EXTENSIONS):
        more = np.flatnonzero(_IS_EXTENSION[protocol] & (l4 + 8 <= limit) & good)
        if not len(more):
            break
        at, kind = l4[more], protocol[more]
        size = data[at + 1].astype(np.int64)
        l4[more] = at + np.where(kind == 44, 8, np.where(kind == AUTHENTICATION, (size + 2) * 4, (size + 1) * 8))
        piece = (kind == 44) & ((_uint16(data, at + 2) & 0xFFF9) != 0)
        protocol[more] = np.where(piece, FRAGMENT, data[at].astype(np.int64))
    return {
        "l4": l4,
        "end": l3 + total,
        "src": addresses.numbers(ip["src"]),
        "dst": addresses.numbers(ip["dst"]),
        "protocol": np.where(good, protocol, _NONE),
        "ttl": ip["ttl"].astype(np.int64),
    }


def _transport(batch: Batch, data: U8, row: I64, l3: I64, ip: _Fields) -> tuple[Segments, list[Rest]]:
    """Segments, and the rows whose packet or datagram holds another layer."""
    limit, rest = np.minimum(batch.offset[row] + batch.captured[row], ip["end"]), []
    wanted = ip["l4"] + _NEED[ip["protocol"]] <= limit
    if not wanted.all():
        wanted |= _behind_authentication(data, ip, limit)
        inner = np.flatnonzero(~wanted & _INNER[ip["protocol"]])
        if len(inner):
            protocol = ip["protocol"][inner]
            at = np.where(protocol == FRAGMENT, l3[inner], ip["l4"][inner])
            rest.append(Rest(row[inner], PROTOCOL | protocol, at, limit[inner], ip["end"][inner]))
        keep = np.flatnonzero(wanted)
        row, limit, ip = row[keep], limit[keep], {name: column[keep] for name, column in ip.items()}
    head, is_tcp = windows(data, ip["l4"], _TCP), ip["protocol"] == TCP
    ports = is_tcp | (ip["protocol"] == UDP)
    header = np.where(is_tcp, (head["offset"] >> 4).astype(np.int64) * 4, np.where(ports, 8, 0))
    payload = ip["l4"] + header
    segments = Segments(
        number=batch.number(row),
        time_ns=np.maximum(batch.time_ns[row], 1),  # 0 is "not seen"
        protocol=ip["protocol"],
        src=ip["src"],
        dst=ip["dst"],
        sport=np.where(ports, head["sport"], 0).astype(np.int64),
        dport=np.where(ports, head["dport"], 0).astype(np.int64),
        ttl=ip["ttl"],
        seq=np.where(is_tcp, head["seq"], 0).astype(np.int64),
        ack=np.where(is_tcp, head["ack"], 0).astype(np.int64),
        flags=np.where(is_tcp, head["flags"], 0).astype(np.int64),
        payload=payload,
        captured=np.maximum(limit - payload, 0),
        length=ip["end"] - payload,
    )
    udp = np.flatnonzero(ip["protocol"] == UDP)
    to, of = segments.dport[udp], segments.sport[udp]
    tunnels = np.flatnonzero(TUNNEL_PORTS[to] | TUNNEL_PORTS[of])
    if len(tunnels):
        at = udp[tunnels]
        port = np.where(TUNNEL_PORTS[to], to, of)[tunnels]
        rest.append(Rest(row[at], PORT | port, payload[at], limit[at], ip["end"][at]))
    good = ~is_tcp | ((header >= 20) & (payload <= ip["end"]))
    return segments if good.all() else segments.take(np.flatnonzero(good)), rest


def _behind_authentication(data: U8, ip: _Fields, limit: I64) -> npt.NDArray[np.bool_]:
    """Step over the authentication headers of IPv4 (RFC 4302); returns (n,) which rows are complete now."""
    at = np.flatnonzero((ip["protocol"] == AUTHENTICATION) & (ip["l4"] + 12 <= limit))
    header = ip["l4"][at]
    ip["protocol"][at] = data[header]
    ip["l4"][at] += (data[header + 1].astype(np.int64) + 2) * 4
    complete = np.zeros(len(limit), bool)
    complete[at] = ip["l4"][at] + _NEED[ip["protocol"][at]] <= limit[at]
    return complete
