"""Where packets hold credentials in clear: headers of plain HTTP/1 (RFC 9110 §11, RFC 6265), SOCKS logins (RFC 1929).

Headers are looked for in all bytes, whatever the packets are wrapped in; what one carries over into further packets,
and the login behind a SOCKS greeting, by the sequence numbers of its TCP stream. Of a packet that the snap length cut,
and of fragments of IP, only what stands in the packet of the header's name is found.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from trace_go.flows.decode import TCP, Segments, State, decode
from trace_go.model.packets import U8, Batch
from trace_go.wire.socks import MAX_TEXT_BYTES, PASSWORD, V5

MAX_CARRIED_BYTES = 16 * 1024  # ours: of a header; nginx and Apache refuse lines of more than 8 KiB
MAX_AWAITED = 1_000  # ours: for one pair of ports

_TAILS = (b"uthorization", b"ookie", b"oken")  # Proxy-Authorization, Set-Cookie, PRIVATE-TOKEN, X-Auth-Token, …
_COLONS = tuple(re.compile(word + rb"[ \t]*:") for tail in _TAILS for word in (tail, tail.upper()))
"""literals, which `re` finds ten times faster than anything without regard to case"""
_HEADER = re.compile(rb"[\w-]*(?:uthorization|ookie|oken)[ \t]*:", re.IGNORECASE)
_SCHEMES = (b"basic", b"bearer", b"digest", b"negotiate", b"ntlm", b"token")
_VALUE = re.compile(rb"[ \t]*((?:%s)[ \t]+)?([^\r\n]*)" % b"|".join(_SCHEMES), re.IGNORECASE)
_NAMES = (b"authorization:", b"proxy-authorization:", b"cookie:", b"set-cookie:", b"private-token:", b"x-auth-token:")
"""those that are also found where a packet ends within the name"""
_INITIALS = np.zeros(256, bool)
_INITIALS[[initial for name in _NAMES for initial in (name[:1] + name[:1].upper())]] = True
_LOGIN_VERSION = 1
_SEQUENCES = 1 << 32

_Place = tuple[int, int]
_Reader = Callable[[bytes], tuple[list[_Place], bool]]
"""from the beginning of a header or login → where its secrets are, and whether its end has not come"""
_Point = tuple[int, int, int, _Reader, bytes]
"""addresses of a stream, a sequence number, what reads on there, and what came before"""


class Credentials:
    """Finds them batch by batch, in the order of a file."""

    def __init__(self) -> None:
        self._state = State()
        self._batches = 0
        self._awaited: dict[int, dict[_Point, None]] = defaultdict(dict)
        """pair of ports → points, the oldest first"""
        self._unmet: set[tuple[int, _Point]] = set()

    @property
    def again(self) -> bool:
        """What some packet carries on was not seen: it may have come in a batch before. Then begin the file again."""
        return self._batches > 1 and bool(self._unmet)

    def places(self, batch: Batch) -> set[_Place]:
        """Where secrets begin and end in the batch's data."""
        if not len(batch):
            return set()
        self._batches += 1
        data, segments = decode(batch, self._state)
        limit = int((batch.offset + batch.captured).max())  # what is behind it was put together from fragments
        whole = (segments.captured == segments.length) & (segments.payload + segments.length <= limit)
        segments = segments.take(np.flatnonzero((segments.protocol == TCP) & whole & (segments.length > 0)))
        found = set(self._headers(batch, data, segments))
        self._split_names(data, segments)
        self._greetings(data, segments)
        return found.union(self._carried_on(data, segments))

    def _headers(self, batch: Batch, data: U8, segments: Segments) -> Iterator[_Place]:
        ends, view = batch.offset + batch.captured, data.data
        for colon in _COLONS:
            for match in colon.finditer(view, int(batch.offset[0]), int(ends[-1])):
                row = int(np.searchsorted(batch.offset, match.start(), "right")) - 1
                at = int(np.searchsorted(segments.number, batch.number(np.array(row))))
                end = int(ends[row])
                mine = at < len(segments) and int(segments.number[at]) == int(batch.number(np.array(row)))
                if mine and segments.payload[at] <= match.start():
                    end = min(end, int(segments.payload[at] + segments.length[at]))
                if match.end() > end:
                    continue
                secrets, is_open = _read_value(view, match.end(), end)
                yield from secrets
                if is_open and mine:
                    self._await(segments, at, _read_header, bytes(view[match.start() : end]))

    def _split_names(self, data: U8, segments: Segments) -> None:
        ends = segments.payload + segments.length
        for size in range(1, max(map(len, _NAMES))):
            rows = np.flatnonzero(segments.length >= size)
            at = ends[rows] - size
            starts = (data[at - 1] == ord("\n")) | (segments.length[rows] == size)
            for row in rows[starts & _INITIALS[data[at]]].tolist():
                held = data[ends[row] - size : ends[row]].tobytes()
                if _read_header(held)[1]:
                    self._await(segments, row, _read_header, held)

    def _greetings(self, data: U8, segments: Segments) -> None:
        """Of clients that offer a login, which is what the next bytes are where the proxy takes the offer."""
        rows = np.flatnonzero((segments.length > 2) & (segments.length <= 2 + MAX_TEXT_BYTES))
        at = segments.payload[rows]
        for row in rows[(data[at] == V5) & (data[at + 1] == segments.length[rows] - 2)].tolist():
            start = segments.payload[row]
            if PASSWORD in data[start + 2 : start + segments.length[row]]:
                self._await(segments, row, _read_login, b"")

    def _await(self, segments: Segments, row: int, reader: _Reader, held: bytes) -> None:
        pair = int(segments.sport[row]) << 16 | int(segments.dport[row])
        awaited = self._awaited[pair]
        end = int(segments.seq[row] + segments.length[row]) % _SEQUENCES
        point = int(segments.src[row]), int(segments.dst[row]), end, reader, held
        if point not in awaited and len(held) <= MAX_CARRIED_BYTES:
            awaited[point] = None
            self._unmet.add((pair, point))
            if len(awaited) > MAX_AWAITED:
                oldest = next(iter(awaited))
                del awaited[oldest]
                self._unmet.discard((pair, oldest))

    def _carried_on(self, data: U8, segments: Segments) -> Iterator[_Place]:
        pairs = segments.sport << 16 | segments.dport
        order = np.argsort(pairs, kind="stable")
        for pair in np.intersect1d(pairs, np.fromiter(self._awaited, np.int64)).tolist():
            first, last = (int(np.searchsorted(pairs, pair, side, sorter=order)) for side in ("left", "right"))
            rows, awaited, done = order[first:last], self._awaited[pair], set[_Point]()
            while work := awaited.keys() - done:  # what is read on may have to be read on again
                done |= work
                for point in work & awaited.keys():
                    yield from self._read_on(data, segments, rows, pair, point)

    def _read_on(
        self, data: U8, segments: Segments, rows: npt.NDArray[np.intp], pair: int, point: _Point
    ) -> Iterator[_Place]:
        src, dst, sequence, reader, held = point
        skip = (sequence - segments.seq[rows]) % _SEQUENCES
        here = (skip < segments.length[rows]) & (segments.src[rows] == src) & (segments.dst[rows] == dst)
        for row in rows[here].tolist():
            self._unmet.discard((pair, point))
            end = int(segments.payload[row] + segments.length[row])
            start = end - int(segments.length[row]) + int(sequence - segments.seq[row]) % _SEQUENCES
            text = held + data[start:end].tobytes()
            secrets, is_open = reader(text)
            moved = start - len(held)
            yield from ((max(a + moved, start), b + moved) for a, b in secrets if b > max(a, len(held)))
            if is_open:
                self._await(segments, row, reader, text)


def _read_header(text: bytes) -> tuple[list[_Place], bool]:
    header = _HEADER.match(text)
    if header:
        return _read_value(text, header.end(), len(text))
    return [], any(name.startswith(text.lower()) for name in _NAMES)


def _read_value(text: bytes | memoryview, start: int, end: int) -> tuple[list[_Place], bool]:
    value = _VALUE.match(text, start, end)
    if not value:
        return [], False
    is_open, so_far = value.end() == end, bytes(value[2]).strip().lower()
    perhaps_scheme = is_open and not value[1] and any(scheme.startswith(so_far) for scheme in _SCHEMES)
    return [value.span(2)] if so_far and not perhaps_scheme else [], is_open


def _read_login(text: bytes) -> tuple[list[_Place], bool]:
    if text[:1] not in (b"", bytes([_LOGIN_VERSION])):
        return [], False
    places, pos = list[_Place](), 1
    for _ in range(2):
        if pos >= len(text):
            return places, True
        start, pos = pos + 1, pos + 1 + text[pos]
        places.append((start, min(pos, len(text))))
    return places, pos > len(text)
