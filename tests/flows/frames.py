"""Packets by hand, and batches of them: an encoder that shares nothing with the decoder under test."""

import itertools
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

import numpy as np

from trace_go.flows.engine import Engine
from trace_go.flows.tls_tracker import Keys
from trace_go.model.evidence import FILE_SHIFT
from trace_go.model.flow import Traffic
from trace_go.model.packets import Batch

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
ETHERNET, SLL, SLL2, NULL, LOOP, RAW = 1, 113, 276, 0, 108, 101
TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
START_NS = 1_700_000_000_000_000_000


@dataclass(frozen=True, slots=True)
class Frame:
    """One packet of a capture."""

    data: bytes
    time_ns: int = START_NS
    linktype: int = ETHERNET
    length: int | None = None
    """on the wire; what was captured when None"""

    def cut(self, size: int) -> "Frame":
        """As a snap length of `size` would have left it."""
        return Frame(self.data[:size], self.time_ns, self.linktype, self.length or len(self.data))

    def at(self, time_ns: int) -> "Frame":
        return Frame(self.data, time_ns, self.linktype, self.length)


def tcp(
    sport: int, dport: int, payload: bytes = b"", *, seq: int = 0, ack: int = 0, flags: int = ACK, options: bytes = b""
) -> bytes:
    head = struct.pack(
        "!HHIIBBHHH", sport, dport, seq % 2**32, ack % 2**32, (5 + len(options) // 4) << 4, flags, 64, 0, 0
    )
    return head + options + payload


def udp(sport: int, dport: int, payload: bytes = b"") -> bytes:
    return struct.pack("!HHHH", sport, dport, 8 + len(payload), 0) + payload


def icmp(kind: int, code: int, payload: bytes = b"") -> bytes:
    return struct.pack("!BBHI", kind, code, 0, 0) + payload


def ip(
    src: str,
    dst: str,
    protocol: int,
    payload: bytes,
    *,
    ttl: int = 64,
    options: bytes = b"",
    extensions: Sequence[tuple[int, bytes]] = (),
    total: int | None = None,
    fragment: int = 0,
) -> bytes:
    """An IPv4 or IPv6 packet. options: of IPv4; extensions: (kind, whole header with any first byte); total: the length
    that IPv4 claims, or the payload length that IPv6 claims."""
    source, target = ip_address(src).packed, ip_address(dst).packed
    if len(source) == 4:
        size = 20 + len(options) + len(payload) if total is None else total
        head = struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, 0, size, 7, fragment, ttl, protocol, 0)
        return head + source + target + options + payload
    kinds = [kind for kind, _ in extensions] + [protocol]
    body = (
        b"".join(bytes([after]) + header[1:] for after, (_, header) in zip(kinds[1:], extensions, strict=True))
        + payload
    )
    size = len(body) if total is None else total
    return struct.pack("!IHBB", 6 << 28, size, kinds[0], ttl) + source + target + body


def link(packet: bytes, linktype: int = ETHERNET, *, tags: Sequence[int] = ()) -> bytes:
    """tags: EtherTypes of VLAN tags, outermost first."""
    six = packet[0] >> 4 == 6
    kinds = [*tags, 0x86DD if six else 0x0800]
    ethertype, stack = kinds[0], b"".join(struct.pack("!HH", 5, kind) for kind in kinds[1:])
    heads = {
        ETHERNET: b"\x02" * 12 + struct.pack("!H", ethertype),
        SLL: struct.pack("!HHHQH", 0, 1, 6, 0x0202020202020000, ethertype),
        SLL2: struct.pack("!HHIHBB8s", ethertype, 0, 3, 1, 0, 6, b"\x02" * 8),
        NULL: struct.pack("<I", 30 if six else 2),
        LOOP: struct.pack(">I", 24 if six else 2),
        RAW: b"",
    }
    return heads[linktype] + stack + packet


def batches(frames: Iterable[Frame], *sizes: int, file: int = 0) -> list[Batch]:
    """The frames as batches of these sizes, and the rest as one; data begins and ends with other bytes."""
    rest, made, number = list(frames), [], 1
    for size in (*sizes, len(rest)):
        part, rest = rest[:size], rest[size:]
        if part:
            made.append(_batch(part, number, file))
            number += len(part)
    return made


def _batch(frames: list[Frame], number: int, file: int) -> Batch:
    captured = np.array([len(frame.data) for frame in frames], np.int64)
    gap = 16  # where a record header would stand
    offset = gap + np.concatenate([[0], np.cumsum(captured + gap)[:-1]]).astype(np.int64)
    data = b"".join(b"\xee" * gap + frame.data for frame in frames)
    return Batch(
        data=np.frombuffer(data, np.uint8),
        offset=offset,
        captured=captured,
        length=np.array([frame.length or len(frame.data) for frame in frames], np.int64),
        time_ns=np.array([frame.time_ns for frame in frames], np.int64),
        linktype=np.array([frame.linktype for frame in frames], np.int64),
        first_number=(file << FILE_SHIFT) + number,
    )


def engine_of(frames: Iterable[Frame], *sizes: int, keys: Keys | None = None) -> Engine:
    engine = Engine(lambda hello: f"client of {hello.sni}", keys=keys)
    for batch in batches(frames, *sizes):
        engine.add(batch)
    return engine


def traffic(frames: Iterable[Frame], *sizes: int, keys: Keys | None = None) -> Traffic:
    """What the engine makes of the frames, handed over in batches of these sizes."""
    return engine_of(frames, *sizes, keys=keys).finish()


class Talk:
    """A TCP conversation written step by step; `frames` grows by one packet a millisecond."""

    def __init__(
        self,
        client: tuple[str, int] = ("10.0.0.2", 40001),
        server: tuple[str, int] = ("192.0.2.80", 443),
        *,
        isn: tuple[int, int] = (1000, 9_000_000),
        start_ns: int = START_NS,
        ttl: tuple[int, int] = (64, 57),
    ) -> None:
        """Pairs are (client, server)."""
        self.ends, self.ttl = (client, server), ttl
        self.next = list(isn)
        self.clock = itertools.count(start_ns, 1_000_000)
        self.frames: list[Frame] = []

    def packet(self, side: int, payload: bytes = b"", flags: int = ACK, *, seq: int, ack: int | None = None) -> Frame:
        """A packet of side 0 (client) or 1, not appended."""
        (src, sport), (dst, dport) = self.ends[side], self.ends[1 - side]
        number = self.next[1 - side] if ack is None else ack
        body = tcp(sport, dport, payload, seq=seq, ack=number, flags=flags)
        return Frame(link(ip(src, dst, TCP, body, ttl=self.ttl[side])), next(self.clock))

    def send(self, side: int, payload: bytes = b"", flags: int = ACK) -> Frame:
        """The next packet of a side; appended and returned."""
        frame = self.packet(side, payload, flags, seq=self.next[side])
        self.next[side] += len(payload) + bool(flags & SYN) + bool(flags & FIN)
        self.frames.append(frame)
        return frame

    def open(self) -> "Talk":
        self.send(0, flags=SYN)
        self.send(1, flags=SYN | ACK)
        self.send(0)
        return self

    def say(self, side: int, data: bytes, size: int = 1400) -> "Talk":
        """`data` in segments of at most `size` bytes."""
        for start in range(0, len(data), size):
            self.send(side, data[start : start + size], ACK | PSH)
        return self

    def up(self, data: bytes, size: int = 1400) -> "Talk":
        return self.say(0, data, size)

    def down(self, data: bytes, size: int = 1400) -> "Talk":
        return self.say(1, data, size)

    def close(self, first: int = 0) -> "Talk":
        self.send(first, flags=FIN | ACK)
        self.send(1 - first, flags=FIN | ACK)
        self.send(first)
        return self

    def fin(self, side: int) -> "Talk":
        self.send(side, flags=FIN | ACK)
        return self

    def reset(self, side: int) -> "Talk":
        self.send(side, flags=RST | ACK)
        return self

    def pause(self, seconds: float) -> "Talk":
        self.clock = itertools.count(next(self.clock) + int(seconds * 1e9), 1_000_000)
        return self


def later(frames: Sequence[Frame], seconds: float) -> Frame:
    """An unrelated packet (ARP) that shows that the capture went on."""
    return Frame(b"\xff" * 12 + b"\x08\x06" + bytes(28), frames[-1].time_ns + int(seconds * 1e9))
