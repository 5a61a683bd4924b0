"""pcapng blocks to packet columns, and the walk over length-prefixed records that pcap shares.

Source: draft-ietf-opsawg-pcapng. What cannot be right ends the reading with a `fault`; nothing is raised.
"""

import struct
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from trace_go.model.packets import I64, U8, Batch

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]

MAX_BLOCK = 16 * 1024 * 1024  # Wireshark reads no larger block (wiretap/pcapng.c)
MAX_CAPTURED = 256 * 1024  # the largest packet libpcap and Wireshark record on a network (MAXIMUM_SNAPLEN)
MAX_INTERFACES = 65_536  # in a file; a big host has hundreds
BATCH_ROWS = 1 << 16  # bounds the columns of a chunk full of tiny records: some 300 bytes for each while it is decoded
SLACK = 32  # readable bytes behind the last record in a buffer: the longest header that is gathered at once

NO_LINK = -1
"""`linktype` of a row that is no packet but has a number in Wireshark: a journal entry or a custom block"""

SHB, IDB, PB, SPB, ISB, EPB, DSB = 0x0A0D0D0A, 1, 2, 3, 5, 6, 10
NO_PACKET = (9, 0xBAD, 0x40000BAD)  # systemd journal entry, custom blocks
LEAST_LENGTH = {SHB: 28, IDB: 20, PB: 32, SPB: 16, ISB: 24, EPB: 32}
LEAST_STEP = 12  # a block without a body; a pcap record has at least 16 bytes
SECTION_START = SHB.to_bytes(4, "big")  # the same in either byte order
BYTE_ORDERS = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
BYTE_ORDER_MAGIC = 0x1A2B3C4D
TLS_KEY_LOG = 0x544C534B  # "TLSK", a type of secrets
IF_TSRESOL, IF_TSOFFSET, ISB_IFDROP, ISB_OSDROP = 9, 14, 5, 7
MICROSECONDS = 6  # if_tsresol where it is not given
MAX_ORDER_CHANGES = 64  # joined files have a few; each starts a new walk of the chunk

LANE_BYTES = 192 * 1024  # measured: more lanes cost more searching, fewer cost more steps
LANE_WINDOW = 2048  # in which a lane looks for a record: a frame of 1,514 bytes with its header fits
LANE_STEPS = 4096  # bounds memory when lanes are uneven; a lane of 40-byte packets needs 3,500
LEAST_LANES = 16  # below it a step of all lanes takes longer than as many single steps
LAST_SECOND = 2**62 // 10**9  # in 2116: a time plus an offset of this size fits int64


class Framing(Struct, frozen=True, kw_only=True):
    """How records follow each other: the next one is `extra` + (the 32-bit number at `length_at`) further."""

    order: str
    """`<` or `>`"""
    length_at: int
    extra: int
    mark_at: int
    mark: int
    """the header byte at `mark_at` in nearly all records; only the speed depends on it"""


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
    if len(starts := np.append(start, _guess(data, start, end, framing))) >= LEAST_LANES:
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
    windows: I64 = np.arange(start + LANE_BYTES, end - LANE_WINDOW, LANE_BYTES)
    if len(windows) < LEAST_LANES:
        return windows[:0]
    lengths, marks = numbers(data, end, framing.length_at, framing.order), data[framing.mark_at :]
    searched = np.ndarray((end - LANE_WINDOW, LANE_WINDOW), np.uint8, marks, 0, (1, 1))[windows]
    lane, column = np.divmod(np.flatnonzero(searched == framing.mark), LANE_WINDOW)
    at = windows[lane] + column
    after = np.minimum(at + lengths[at] + framing.extra, end)
    good = (lengths[at] <= MAX_CAPTURED) & (marks[after] == framing.mark) & (lengths[after] <= MAX_CAPTURED)
    found: I64 = at[good][np.diff(lane[good], prepend=-1) != 0]
    return found


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
    time_ns: I64 = (np.minimum(seconds, np.uint64(LAST_SECOND)) * np.uint64(10**9) + rest).astype(np.int64)
    return time_ns


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

    def __init__(self) -> None:
        self.packets = 0
        self.link_types: list[int] = []
        self.fault: str | None = None
        """why nothing behind `used` can be read"""
        self.used = 0
        """where the first record begins that was not delivered"""
        self.key_logs: list[bytes] = []
        """texts of decryption secrets blocks that nobody took yet"""

    @property
    def drops(self) -> int | None:
        """packets that were lost while capturing; None when the file does not say"""
        return None

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
        )


class PcapngDecoder(Decoder):
    """Sections in either byte order. The interfaces of all sections are in one table; a packet has an index into it."""

    format = "pcapng"

    def __init__(self) -> None:
        super().__init__()
        self._order = "<"
        self._order_changes = 0
        self._interfaces = [(NO_LINK, 0, MICROSECONDS, 0)]
        """link type, snap length, if_tsresol, offset in ns; the first is that of rows without a packet"""
        self._base = 1
        """index of the first interface of the section"""
        self._dropped: dict[int, int] = {}
        """packets lost, by interface: its last statistics count"""

    @property
    def drops(self) -> int | None:
        return sum(self._dropped.values()) if self._dropped else None

    def decode(self, data: U8, start: int, filled: int) -> Iterator[Batch]:
        self.used, begin = start, -1
        while self.used > begin and filled - self.used >= LEAST_STEP:
            begin = self.used
            self._set_order(data[begin : begin + LEAST_STEP].tobytes())
            if self.fault:
                return
            mark_at = 0 if self._order == "<" else 3
            framing = Framing(order=self._order, length_at=4, extra=0, mark_at=mark_at, mark=EPB)
            at = walk(data, begin, filled - LEAST_STEP + 1, framing)
            for rows in np.split(at, range(BATCH_ROWS, len(at), BATCH_ROWS)):
                heads = self._pull_heads(data, rows, filled)
                batch = self._read(data, rows[: len(heads)], heads)
                if len(batch):
                    yield batch
                if self.fault or len(heads) < len(rows):
                    break

    def _set_order(self, head: bytes) -> None:
        """The byte order from here on, when a section begins with `head`."""
        if head[:4] != SECTION_START:
            return
        order = BYTE_ORDERS.get(head[8:12])
        self._order_changes += order != self._order
        if order is None:
            self.fault = "a section has no byte-order mark"
        elif self._order_changes > MAX_ORDER_CHANGES:
            self.fault = f"the byte order changes more than {MAX_ORDER_CHANGES} times"
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
        kind = heads[:, 0]
        marks = np.flatnonzero((kind == SHB) | (kind == IDB) | (kind == ISB) | (kind == DSB))
        states = [
            (self._base, len(self._interfaces))
        ]  # between the marks: where the section's interfaces begin and end
        for row in marks.tolist():
            self._look_into(int(kind[row]), data[at[row] + 8 : at[row] + int(heads[row, 1]) - 4].tobytes())
            states.append((self._base, len(self._interfaces)))
        begins, ends = np.repeat(states, np.diff(marks, prepend=0, append=len(at)), axis=0).T
        rows = np.flatnonzero(np.isin(kind, (EPB, PB, SPB, *NO_PACKET)))
        return self.batch(data, *self._pull_packets(at[rows], heads[rows], begins[rows], ends[rows]))

    def _pull_packets(self, at: I64, heads: U32, begins: I64, ends: I64) -> tuple[I64, ...]:
        """Columns for `Decoder.batch`, up to the first packet that cannot be right.

        begins, ends: of the interfaces of each packet's section in `_interfaces`, shape (n,)
        """
        table, kind = np.array(self._interfaces, np.int64), heads[:, 0]
        index = self._index(heads, begins)
        captured, length, room = _extents(heads, table[np.minimum(index, len(table) - 1), 1])
        good = (index < ends) & (captured <= room)
        count = len(good)
        if not good.all():
            count = int(good.argmin())
            self.used = int(at[count])
            known = index[count] < ends[count]
            self.fault = "a packet is longer than its block" if known else "a packet is of an unknown interface"
        linktype, _, resolution, offset_ns = table[index[:count]].T
        ticks = heads[:count, 3].astype(np.uint64) << np.uint64(32) | heads[:count, 4]
        time_ns = np.zeros(count, np.int64)
        for value in np.unique(table[:, 2]).tolist():
            rows = resolution == value
            time_ns[rows] = np.maximum(nanoseconds(ticks[rows], value) + offset_ns[rows], 0)
        full = (kind == EPB) | (kind == PB)  # the others have no time and a shorter header
        time_ns[~full[:count]] = 0
        offset = at + np.where(full, 28, 12)
        return offset[:count], captured[:count], length[:count], time_ns, linktype

    def _index(self, heads: U32, begins: I64) -> I64:
        """Each packet's interface as an index of `_interfaces`, not checked; shape (n,)."""
        kind, interface = heads[:, 0], heads[:, 2].astype(np.int64)
        old = kind == PB  # 16 bits, then 16 bits of a drop count
        interface[old] = interface[old] & 0xFFFF if self._order == "<" else interface[old] >> 16
        interface[kind == SPB] = 0
        return np.where(np.isin(kind, NO_PACKET), 0, begins + interface)

    def _look_into(self, kind: int, body: bytes) -> None:
        """A section header, an interface description, interface statistics or secrets."""
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

        elif kind == DSB and len(body) >= 8:
            which, size = struct.unpack_from(f"{self._order}II", body)
            if which == TLS_KEY_LOG:
                self.key_logs.append(body[8 : 8 + size])

    def _number(self, value: bytes, *, signed: bool = False) -> int:
        """A number of an option: 64 bits at most."""
        return int.from_bytes(value[:8], "little" if self._order == "<" else "big", signed=signed)


def _extents(heads: U32, snap: I64) -> tuple[I64, I64, I64]:
    """Captured and wire length of packets and the room for data in their blocks; each of shape (n,) like `snap`."""
    kind, room = heads[:, 0], heads[:, 1].astype(np.int64) - 32
    captured, length = heads[:, 5].astype(np.int64), heads[:, 6].astype(np.int64)
    simple = kind == SPB  # only the wire length is given
    room[simple] += 16
    length[simple] = heads[simple, 2]
    captured[simple] = np.minimum(np.minimum(length, snap), room)[simple]
    none = np.isin(kind, NO_PACKET)
    captured[none] = length[none] = room[none] = 0
    return captured, length, room
