"""IP fragments put together again, as a host does it, and bounded as Linux bounds it.

Sources: RFC 791 §3.2, RFC 8200 §4.5, RFC 5722. A datagram whose fragments overlap is dropped, as RFC 5722 asks and
Linux does for IPv4, too; exact copies are ignored. Of a datagram that stays in pieces the first is delivered, late.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from trace_go.flows.heads import PAD, Rest
from trace_go.model.packets import U8, Batch, LinkType

PATIENCE_NS = 30_000_000_000
"""how long a datagram waits for the rest of it (Linux: net.ipv4.ipfrag_time)"""
MAX_WAITING_BYTES = 4 << 20
"""kept of unfinished datagrams (Linux: net.ipv4.ipfrag_high_thresh)"""
OVERHEAD_BYTES = 512
"""what keeping a fragment costs beside its bytes; measured"""
MAX_FRAGMENTS = 128
"""of one datagram: 64 KiB in packets of 576 bytes"""
MAX_PACKET = 65_535
MAX_EXTENSIONS = 8
"""IPv6 extension headers skipped per packet; RFC 8200 §4.1 names seven, each at most once or twice"""
FRAGMENT = 256
"""stands for the protocol of a fragment"""
_IPV6_FRAGMENT, _AUTHENTICATION = 44, 51

_Whole = tuple[bytes, int, int, int]
"""an IP packet as far as it was captured, its length, the number and time of the packet that completed it"""


class _Datagram:
    """What has come of it."""

    __slots__ = ("began_ns", "first", "header", "kept", "length", "pieces", "spoilt", "told")

    def __init__(self, began_ns: int) -> None:
        self.began_ns = began_ns
        self.header = b""
        """of IP, from the packet that has the first fragment; its number and time:"""
        self.first = (0, 0)
        self.pieces: dict[int, tuple[bytes, int]] = {}
        """offset → bytes captured, length"""
        self.length = -1
        """of the whole, once its end has come"""
        self.kept = OVERHEAD_BYTES
        self.spoilt = False
        self.told = False
        """its first piece was delivered alone"""

    def add(self, offset: int, data: bytes, length: int, more: bool) -> None:
        if more:  # offsets count in eights: what is over is cut off, as by Linux
            length -= length % 8
            data = data[:length]
        if self.spoilt or length <= 0 or self.pieces.get(offset, (b"", -1))[1] == length:
            return
        overlaps = any(start < offset + length and offset < start + size for start, (_, size) in self.pieces.items())
        beyond = 0 <= self.length < offset + length or (not more and self.length >= 0)
        if overlaps or beyond or len(self.pieces) >= MAX_FRAGMENTS:
            self.spoilt, self.kept = True, OVERHEAD_BYTES
            self.pieces.clear()
            return
        self.pieces[offset] = (data, length)
        self.kept += OVERHEAD_BYTES + len(data)
        if not more:
            self.length = offset + length

    def maybe_whole(self) -> tuple[bytes, int] | None:
        """The packet, up to the first byte that was not captured, and its length."""
        if not self.header or sum(length for _, length in self.pieces.values()) != self.length:
            return None
        body = bytearray()
        for offset in sorted(self.pieces):
            if offset > len(body):
                break
            body += self.pieces[offset][0]
        return _packet(self.header, bytes(body), self.length)


class Fragments:
    """Keeps the pieces of datagrams until they are whole."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, _Datagram] = {}
        """in order of arrival"""
        self._kept = 0

    def join(self, data: U8, batch: Batch, rest: Rest) -> Batch | None:
        """The datagrams that these fragments complete, as a batch of IP packets; its data begins with `data`.

        rest: `at` is where the IP header begins.
        """
        memory, found = data.data, list[_Whole]()
        times, numbers = batch.time_ns[rest.row].tolist(), batch.number(rest.row).tolist()
        columns = (column.tolist() for column in (rest.at, rest.end, rest.stop))
        for at, end, stop, time_ns, number in zip(*columns, times, numbers, strict=True):
            found += self._take(bytes(memory[at:end]), stop - at, number, time_ns)
        return _appended(data, found) if found else None

    def leftovers(self) -> Batch | None:
        """The first pieces of datagrams that are not whole, each once."""
        found = [whole for datagram in self._waiting.values() for whole in _first(datagram)]
        return _appended(np.empty(0, np.uint8), found) if found else None

    def _take(self, packet: bytes, length: int, number: int, time_ns: int) -> Iterator[_Whole]:
        """The datagram that a fragment completes, and those that have waited too long."""
        found = _parse(packet, length)
        if found is None:
            return
        key, header, offset, body, size, more = found
        yield from self._given_up(time_ns)
        datagram = self._waiting.get(key)
        if datagram is None:
            datagram = self._waiting[key] = _Datagram(time_ns)
            self._kept += datagram.kept
        self._kept -= datagram.kept
        if offset == 0 and not datagram.header:
            datagram.header, datagram.first = header, (number, time_ns)
        datagram.add(offset, body, size, more)
        self._kept += datagram.kept
        if whole := datagram.maybe_whole():
            self._forget(key)
            if whole[1] <= MAX_PACKET:
                yield *whole, number, time_ns
        yield from self._given_up(time_ns)

    def _given_up(self, time_ns: int) -> Iterator[_Whole]:
        """The first pieces of the oldest datagrams, where they have waited too long or all together keep too much."""
        while self._waiting:
            oldest = next(iter(self._waiting))
            waits = time_ns - self._waiting[oldest].began_ns < PATIENCE_NS
            if waits and self._kept <= MAX_WAITING_BYTES:
                break
            yield from _first(self._forget(oldest))

    def _forget(self, key: bytes) -> _Datagram:
        datagram = self._waiting.pop(key)
        self._kept -= datagram.kept
        return datagram


def _parse(packet: bytes, length: int) -> tuple[bytes, bytes, int, bytes, int, bool] | None:
    """Key, header to put in front of the whole, offset, body and its length, whether more follows."""
    if packet[0] >> 4 == 4:
        size = (packet[0] & 15) * 4
        field, key = int.from_bytes(packet[6:8], "big"), packet[9:10] + packet[4:6] + packet[12:20]
        return key, packet[:size], (field & 0x1FFF) * 8, packet[size:], length - size, bool(field & 0x2000)
    at, kind = 40, packet[6]
    for _ in range(MAX_EXTENSIONS):
        if len(packet) < at + 8:
            return None
        if kind == _IPV6_FRAGMENT:
            break
        kind, at = packet[at], at + ((packet[at + 1] + 2) * 4 if kind == _AUTHENTICATION else (packet[at + 1] + 1) * 8)
    field, key = int.from_bytes(packet[at + 2 : at + 4], "big"), packet[at + 4 : at + 8] + packet[8:40]
    header = packet[:6] + packet[at : at + 1] + packet[7:40]
    return key, header, field & 0xFFF8, packet[at + 8 :], length - at - 8, bool(field & 1)


def _packet(header: bytes, body: bytes, length: int) -> tuple[bytes, int]:
    """An IP packet that is no fragment, `length` bytes of payload."""
    if header[0] >> 4 == 4:
        total = (len(header) + length) & 0xFFFF
        header = header[:2] + total.to_bytes(2, "big") + header[4:6] + b"\0\0" + header[8:]
    else:
        header = header[:4] + (length & 0xFFFF).to_bytes(2, "big") + header[6:]
    return header + body, len(header) + length


def _first(datagram: _Datagram) -> Iterator[_Whole]:
    if datagram.header and 0 in datagram.pieces and not datagram.told:
        datagram.told = True
        yield *_packet(datagram.header, *datagram.pieces[0]), *datagram.first


def _appended(data: U8, packets: Sequence[_Whole]) -> Batch:
    """The packets, put behind the data."""
    blobs, lengths, numbers, times = zip(*packets, strict=True)
    sizes = np.array([len(blob) for blob in blobs], np.int64)
    joined = np.concatenate([data, np.frombuffer(b"".join(blobs), np.uint8), np.zeros(PAD, np.uint8)])
    return Batch(
        data=joined,
        offset=len(data) + np.cumsum(sizes) - sizes,
        captured=sizes,
        length=np.array(lengths, np.int64),
        time_ns=np.array(times, np.int64),
        linktype=np.full(len(sizes), LinkType.RAW, np.int64),
        first_number=0,
        numbers=np.array(numbers, np.int64),
    )
