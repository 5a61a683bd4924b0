"""pcapng blocks to packet columns, and the walk over length-prefixed records that pcap shares.

Source: draft-ietf-opsawg-pcapng. What cannot be right ends the reading with a `fault`; nothing is raised.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trace_go.model.packets import I64, U8, Batch

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]

MAX_BLOCK = 16 * 1024 * 1024  # Wireshark reads no larger block (wiretap/pcapng.c)
MAX_CAPTURED = 256 * 1024  # the largest packet libpcap and Wireshark record on a network (MAXIMUM_SNAPLEN)
MAX_INTERFACES = 65_536  # in a file; a big host has hundreds
BATCH_ROWS = 1 << 19  # bounds the columns of a chunk full of tiny records; 32 MiB of 64-byte packets are one batch
SLACK = 32  # readable bytes behind the last record in a buffer: the longest header that is gathered at once

NO_LINK = -1
"""`linktype` of a row that is no packet but has a number in Wireshark: a journal entry or a custom block"""

SHB, IDB, PB, SPB, ISB, EPB = 0x0A0D0D0A, 1, 2, 3, 5, 6
NO_PACKET = (9, 0xBAD, 0x40000BAD)  # systemd journal entry, custom blocks
LEAST_LENGTH = {SHB: 28, IDB: 20, PB: 32, SPB: 16, ISB: 24, EPB: 32}
LEAST_STEP = 12  # a block without a body; a pcap record has at least 16 bytes
SECTION_START = SHB.to_bytes(4, "big")  # the same in either byte order
BYTE_ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
BYTE_ORDER_MAGIC = 0x1A2B3C4D
IF_TSRESOL, IF_TSOFFSET, ISB_IFDROP, ISB_OSDROP = 9, 14, 5, 7
MICROSECONDS = 6  # if_tsresol where it is not given
MAX_ORDER_CHANGES = 64  # joined files have a few; each starts a new walk of the chunk

LANE_BYTES = 256 * 1024  # measured: more lanes cost more searching, fewer cost more steps
LANE_WINDOW = 2048  # in which a lane looks for a record: a frame of 1,514 bytes with its header fits
LANE_STEPS = 6000  # bounds memory when lanes are uneven; a lane of 40-byte packets needs 4,700
LAST_SECOND = 2**62 // 10**9  # in 2116: a time plus an offset of this size fits int64


@dataclass(frozen=True, slots=True, kw_only=True)
class Framing:
    """How records follow each other: the next one is `extra` + (the 32-bit number at `length_at`) further."""

    order: str
    """`<` or `>`"""
    length_at: int
    extra: int
    mark: int
    """a byte of the header that rarely changes from record to record; only the speed depends on it"""


def numbers(data: U8, end: int, at: int, order: str) -> U32:
    """The 32-bit number at every byte: item i, 0 <= i <= end, is the one at i + at. A view, not a copy."""
    return np.ndarray((end + 1,), np.dtype(np.uint32).newbyteorder(order), data, at, (1,))  # type: ignore[arg-type]


def gather(data: U8, at: I64, words: int, order: str) -> U32:
    """The first `words` 32-bit words of the records at `at`, shape (n,), as shape (n, words)."""
    rows = np.ndarray((len(data) - 4 * words + 1,), np.dtype((np.void, 4 * words)), data, 0, (1,))[at]
    return rows.view(f"{order}u4").reshape(-1, words)


def walk(data: U8, start: int, end: int, framing: Framing) -> I64:
    """Positions of the records that begin in [start, end), ascending, shape (n,); a whole header is readable at `end`.

    After a nonsensical length the rest is nonsense, too: callers check every record and stop at the first bad one.
    Long stretches are walked in lanes that begin at guessed records. A lane counts only when the walk arrives at its
    beginning, so a wrong guess costs time and nothing else.
    """
    pos, parts = start, []
    if end - start >= 4 * LANE_BYTES:
        starts = np.append(start, _guess(data, start, end, framing))
        goals = np.append(starts[1:], end)
        trail = _walk_lanes(data, starts, goals, framing)
        counts = np.minimum((trail < goals).sum(axis=0), len(trail) - 1)
        for first, count, lane in zip(starts.tolist(), counts.tolist(), trail.T, strict=True):
            part, pos = _walk_slowly(data, pos, first, framing)
            parts.append(part)
            if pos == first:
                parts.append(lane[:count])
                pos = int(lane[count])
    return np.concatenate([*parts, _walk_slowly(data, pos, end, framing)[0]])


def _walk_slowly(data: U8, pos: int, end: int, framing: Framing) -> tuple[I64, int]:
    """Record by record: the positions before `end` and the first one that is not."""
    pull, view, found = struct.Struct(f"{framing.order}I").unpack_from, data.data, []
    length_at, extra = framing.length_at, framing.extra
    while pos < end:
        found.append(pos)
        step = pull(view, pos + length_at)[0] + extra
        pos = pos + step if step >= LEAST_STEP else len(data)
    return np.array(found, np.int64), pos


def _guess(data: U8, start: int, end: int, framing: Framing) -> I64:
    """Where records may begin: at most one per window, with a plausible mark and length and a successor like it."""
    lengths, mark = numbers(data, end, framing.length_at, framing.order), data[framing.mark :]
    windows: I64 = np.arange(start + LANE_BYTES, end - LANE_WINDOW, LANE_BYTES)
    marks = np.ndarray((end - LANE_WINDOW, LANE_WINDOW), np.uint8, mark, 0, (1, 1))[windows]
    lane, column = np.divmod(np.flatnonzero(marks == mark[start]), LANE_WINDOW)
    at = windows[lane] + column
    after = np.minimum(at + lengths[at] + framing.extra, end)
    good = (lengths[at] <= MAX_CAPTURED) & (mark[after] == mark[start]) & (lengths[after] <= MAX_CAPTURED)
    at, lane = at[good], lane[good]
    return at[np.diff(lane, prepend=-1) != 0]


def _walk_lanes(data: U8, starts: I64, goals: I64, framing: Framing) -> I64:
    """Row i, shape (lanes,), says where each lane is after i steps; all stop at the last goal."""
    end = int(goals[-1])
    lengths = numbers(data, end, framing.length_at, framing.order)
    trail = [starts]
    while len(trail) <= LANE_STEPS and (len(trail) % 16 or (trail[-1] < goals).any()):
        at = trail[-1]
        trail.append(np.minimum(at + lengths[at] + framing.extra, end))
    return np.array(trail)


def nanoseconds(ticks: U64, resolution: int) -> I64:
    """Ticks of an if_tsresol (10^-n s, or 2^-n s with the top bit set) in ns, clamped to LAST_SECOND."""
    base, most = (2, 34) if resolution & 0x80 else (10, 9)  # unit * 10^9 fits 64 bits
    power = resolution & 0x7F
    ticks = ticks // np.uint64(min(base ** max(power - most, 0), 2**64 - 1))
    unit = np.uint64(base ** min(power, most))
    seconds = ticks // unit
    rest = (ticks - seconds * unit) * np.uint64(10**9) // unit
    return (np.minimum(seconds, np.uint64(LAST_SECOND)) * np.uint64(10**9) + rest).astype(np.int64)


def options(body: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """(code, value) of each option; ends at the end mark or where a length does not fit."""
    at = 0
    while at + 4 <= len(body):
        code, size = struct.unpack_from(f"{order}HH", body, at)
        if code == 0 or at + 4 + size > len(body):
            return
        yield code, body[at + 4 : at + 4 + size]
        at += 4 + size + -size % 4


class Decoder:
    """Turns a buffer of whole and perhaps one cut-off last record into batches; keeps what outlives the buffer."""

    format: str
    header_bytes = 0
    """of the file, before its first record"""

    def __init__(self, file: int) -> None:
        self.file = file
        self.packets = 0
        self.link_types: list[int] = []
        self.drops: int | None = None
        self.fault: str | None = None
        """why nothing behind `used` can be read"""
        self.used = 0
        """where the first record begins that was not delivered"""

    def decode(self, data: U8, start: int, filled: int) -> Iterator[Batch]:
        """Batches of the records in data[start:filled], at most BATCH_ROWS each; `data` is SLACK bytes longer."""
        raise NotImplementedError

    def batch(self, data: U8, *columns: I64) -> Batch:
        """The next rows: offset, captured, length, time_ns, linktype."""
        offset, captured, length, time_ns, linktype = columns
        first, self.packets = self.packets + 1, self.packets + len(offset)
        return Batch(
            data=data,
            offset=offset,
            captured=captured,
            length=np.maximum(length, captured),
            time_ns=time_ns,
            linktype=linktype,
            first_number=first,
            file=self.file,
        )


class PcapngDecoder(Decoder):
    """Sections in either byte order. The interfaces of all sections are in one table; a packet has an index into it."""

    format = "pcapng"

    def __init__(self, file: int) -> None:
        super().__init__(file)
        self._order = ""
        self._order_changes = 0
        self._interfaces = [(NO_LINK, 0, MICROSECONDS, 0)]
        """link type, snap length, if_tsresol, offset in ns; the first is that of rows without a packet"""
        self._base = 1
        """index of the first interface of the section"""
        self._dropped: dict[int, int] = {}
        """packets lost, by interface: the last statistics count"""

    def decode(self, data: U8, start: int, filled: int) -> Iterator[Batch]:
        self.used, begin = start, -1
        while self.fault is None and self.used > begin and filled - self.used >= LEAST_STEP:
            begin = self.used
            self._set_order(data[begin : begin + LEAST_STEP].tobytes())
            framing = Framing(order=self._order, length_at=4, extra=0, mark=0 if self._order == "<" else 3)
            at = walk(data, begin, filled - LEAST_STEP + 1, framing) if self.fault is None else np.empty(0, np.int64)
            for rows in np.split(at, range(BATCH_ROWS, len(at), BATCH_ROWS)):
                heads = self._pull_heads(data, rows, filled)
                if len(batch := self._read(data, rows[: len(heads)], heads)):
                    yield batch
                if len(heads) < len(rows) or self.fault:
                    break

    def _set_order(self, head: bytes) -> None:
        """The byte order from here on, when a section begins here."""
        if head[:4] != SECTION_START:
            return
        order = BYTE_ORDERS.get(head[8:12])
        self._order_changes += order != self._order
        if order is None:
            self.fault = "a section has no byte-order mark"
        elif self._order_changes > MAX_ORDER_CHANGES:
            self.fault = f"the byte order has changed {MAX_ORDER_CHANGES} times"
        else:
            self._order = order

    def _pull_heads(self, data: U8, at: I64, filled: int) -> U32:
        """First 7 words of the blocks before the first that is cut off, damaged or of the other order, shape (n, 7)."""
        heads = gather(data, at, 7, self._order)
        kind, size = heads[:, 0], heads[:, 1].astype(np.int64)
        ours = (kind != SHB) | (heads[:, 2] == BYTE_ORDER_MAGIC)
        sound = (size % 4 == 0) & (size >= LEAST_STEP) & (size <= MAX_BLOCK)
        for which, least in LEAST_LENGTH.items():
            sound &= (kind != which) | (size >= least)
        good = ours & sound & (at + size <= filled)
        trailer = numbers(data, filled, 0, self._order)[np.where(good, at + size - 4, 0)]
        good &= trailer == size
        if good.all():
            self.used = int(at[-1] + size[-1])
            return heads
        bad = int(good.argmin())
        self.used = int(at[bad])
        if ours[bad] and not sound[bad]:
            self.fault = f"a block of type {kind[bad]:#x} claims {size[bad]} bytes"
        elif ours[bad] and at[bad] + size[bad] <= filled:
            self.fault = f"a block begins with length {size[bad]} and ends with length {trailer[bad]}"
        return heads[:bad]

    def _read(self, data: U8, at: I64, heads: U32) -> Batch:
        """The packets of sound blocks; takes in what the other blocks say."""
        kinds = heads[:, 0]
        marks = np.flatnonzero((kinds == SHB) | (kinds == IDB) | (kinds == ISB))
        states = [(self._base, len(self._interfaces))]
        for row in marks.tolist():
            self._look_into(int(kinds[row]), data[at[row] + 8 : at[row] + int(heads[row, 1]) - 4].tobytes())
            states.append((self._base, len(self._interfaces)))
        bases, counts = np.repeat(states, np.diff(marks, prepend=0, append=len(at)), axis=0).T
        packets = np.flatnonzero(np.isin(kinds, (EPB, PB, SPB, *NO_PACKET)))
        columns = self._pull_packets(at[packets], heads[packets], bases[packets], counts[packets])
        return self.batch(data, *columns)

    def _pull_packets(self, at: I64, heads: U32, bases: I64, counts: I64) -> tuple[I64, ...]:
        """Columns as `Decoder.batch` takes them, up to the first packet that cannot be right.

        bases, counts: the `_interfaces` of each packet's section began and ended there; shape (n,)
        """
        kind, size, word, _, _, captured, length = heads.T.astype(np.int64)
        simple, old, other = kind == SPB, kind == PB, np.isin(kind, NO_PACKET)
        table = np.array(self._interfaces)
        index = bases + word
        index[old] = bases[old] + (word[old] & 0xFFFF if self._order == "<" else word[old] >> 16)
        index[simple], index[other] = bases[simple], 0
        room = np.maximum(size - 32, 0)
        room[simple] += 16
        length[simple] = word[simple]
        captured[simple] = np.minimum(length, room)[simple]
        captured[simple] = np.minimum(captured[simple], table[np.minimum(bases[simple], len(table) - 1), 1])
        captured[other] = length[other] = 0
        good = (index < counts) & (captured <= room)
        if not good.all():
            bad = int(good.argmin())
            known = index[bad] < counts[bad]
            self.fault = "a packet is longer than its block" if known else "a packet names an interface that is not described"
            self.used = int(at[bad])
            return self._pull_packets(at[:bad], heads[:bad], bases[:bad], counts[:bad])
        linktype, _, resolution, time_ns = table[index].T
        ticks = heads[:, 3].astype(np.uint64) << np.uint64(32) | heads[:, 4]
        for value in np.unique(table[:, 2]).tolist():
            rows = resolution == value
            time_ns[rows] += nanoseconds(ticks[rows], value)
        time_ns = np.maximum(time_ns, 0)
        time_ns[simple | other] = 0
        return at + np.where(simple, 12, 28), captured, length, time_ns, linktype

    def _look_into(self, kind: int, body: bytes) -> None:
        """A section header, an interface description or interface statistics."""
        if kind == SHB:
            self._base = len(self._interfaces)
        elif kind == IDB and len(self._interfaces) <= MAX_INTERFACES:
            link, snap = struct.unpack_from(f"{self._order}H2xI", body)
            said = dict(options(body[8:], self._order))
            resolution = said.get(IF_TSRESOL, b"")[:1] or bytes([MICROSECONDS])
            offset_s = self._number(said.get(IF_TSOFFSET, b""), signed=True)
            offset_ns = min(max(offset_s, -LAST_SECOND), LAST_SECOND) * 10**9
            self._interfaces.append((link, snap or MAX_BLOCK, resolution[0], offset_ns))
            self.link_types.append(link)
        elif kind == ISB:
            index = self._base + struct.unpack_from(f"{self._order}I", body)[0]
            said = dict(options(body[12:], self._order))
            lost = [self._number(said[code]) for code in (ISB_IFDROP, ISB_OSDROP) if code in said]
            if lost and index < len(self._interfaces):
                self._dropped[index] = sum(lost)
                self.drops = sum(self._dropped.values())

    def _number(self, value: bytes, *, signed: bool = False) -> int:
        return int.from_bytes(value, "little" if self._order == "<" else "big", signed=signed)
