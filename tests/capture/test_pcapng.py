"""pcapng: every block that matters, both byte orders, damage of all kinds; and the walk that pcap shares."""

import random
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trace_go.capture.files import open_capture
from trace_go.capture.pcapng import (
    LANE_BYTES,
    LAST_SECOND,
    LEAST_LANES,
    MAX_INTERFACES,
    MAX_ORDER_CHANGES,
    NO_LINK,
    SLACK,
    Framing,
    nanoseconds,
    walk,
)
from trace_go.model.report import CaptureFile

Row = tuple[int, bytes, int, int]  # ns, captured bytes, length on the wire, link type

DATA = bytes(range(61))
SECOND = 10**6  # in the ticks that are the default


def block(kind: int, body: bytes, order: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    size = struct.pack(f"{order}I", 12 + len(body))
    return struct.pack(f"{order}I", kind) + size + body + size


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}HH", code, len(value)) + value + bytes(-len(value) % 4)


def shb(order: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(f"{order}IHHq", 0x1A2B3C4D, 1, 0, -1), order)


def idb(link: int = 1, snap: int = 0, options: bytes = b"", order: str = "<") -> bytes:
    return block(1, struct.pack(f"{order}HHI", link, 0, snap) + options, order)


def epb(
    data: bytes = DATA,
    ticks: int = SECOND,
    *,
    length: int = 1500,
    interface: int = 0,
    order: str = "<",
    claimed: int = -1,
) -> bytes:
    claimed = len(data) if claimed < 0 else claimed
    head = struct.pack(f"{order}IIIII", interface, ticks >> 32, ticks & 0xFFFFFFFF, claimed, length)
    return block(6, head + data + bytes(-len(data) % 4) + option(2, b"\0\0\0\0", order), order)


def pb(data: bytes = DATA, ticks: int = SECOND, *, interface: int = 0, order: str = "<") -> bytes:
    head = struct.pack(f"{order}HHIIII", interface, 0xFFFF, ticks >> 32, ticks & 0xFFFFFFFF, len(data), 1500)
    return block(2, head + data, order)


def spb(data: bytes = DATA, *, length: int = len(DATA), order: str = "<") -> bytes:
    return block(3, struct.pack(f"{order}I", length) + data, order)


def isb(interface: int, *, order: str = "<", **counts: int) -> bytes:
    codes = {"received": 4, "dropped": 5, "dropped_by_os": 7}
    options = b"".join(option(codes[name], struct.pack(f"{order}Q", n), order) for name, n in counts.items())
    return block(5, struct.pack(f"{order}III", interface, 0, 0) + options, order)


def read(path: Path, content: bytes, chunk_bytes: int = 1 << 20) -> tuple[list[Row], CaptureFile]:
    path.write_bytes(content)
    rows: list[Row] = []
    with open_capture(str(path), chunk_bytes=chunk_bytes) as reader:
        for batch in reader.batches():
            assert batch.first_number == len(rows) + 1
            assert (batch.length >= batch.captured).all()
            columns = (batch.offset, batch.offset + batch.captured, batch.time_ns, batch.length, batch.linktype)
            for start, end, time_ns, length, link in zip(*(column.tolist() for column in columns), strict=True):
                assert 0 <= start <= end <= len(batch.data) - SLACK
                rows.append((time_ns, batch.data[start:end].tobytes(), length, link))
        file = reader.describe()
    assert file.packets == len(rows)
    return rows, file


@pytest.fixture(scope="module")
def spot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to overwrite."""
    return tmp_path_factory.mktemp("capture") / "x.pcapng"


ROW = (10**9, DATA, 1500, 1)


def both(order: str) -> list[tuple[str, bytes, list[Row]]]:
    """Name, blocks behind a section header, rows."""
    o = order

    def resolution(value: int) -> bytes:
        return idb(options=option(2, b"eth0", o) + option(9, bytes([value]), o) + option(0, b"", o), order=o)

    def offset(seconds: int) -> bytes:
        return idb(options=option(14, struct.pack(f"{o}q", seconds), o), order=o)

    one = idb(order=o)
    return [
        ("nothing", b"", []),
        ("one packet", one + epb(order=o), [ROW]),
        ("empty packet", one + epb(b"", order=o), [(10**9, b"", 1500, 1)]),
        ("length below captured", one + epb(length=3, order=o), [(10**9, DATA, 61, 1)]),
        ("obsolete packet block", one + pb(order=o), [ROW]),
        ("simple packet", one + spb(order=o), [(0, DATA, 61, 1)]),
        ("simple, cut by the snap length", idb(snap=18, order=o) + spb(DATA[:18], order=o), [(0, DATA[:18], 61, 1)]),
        ("simple, with padding", one + spb(length=58, order=o), [(0, DATA[:58], 58, 1)]),
        ("simple, longer than its block", one + spb(length=900, order=o), [(0, DATA + b"\0\0\0", 900, 1)]),
        (
            "interfaces",
            one
            + epb(order=o)
            + idb(101, order=o)
            + pb(interface=1, order=o)
            + epb(order=o)
            + epb(interface=1, order=o),
            [ROW, (*ROW[:3], 101), ROW, (*ROW[:3], 101)],
        ),
        (
            "name resolution",
            one + block(4, struct.pack(f"{o}HH", 1, 10) + b"\x0a\0\0\1host\0\0\0\0" + bytes(4), o) + epb(order=o),
            [ROW],
        ),
        (
            "interfaces with a resolution and an offset each",
            resolution(6) + resolution(9) + offset(100) + b"".join(epb(interface=n, order=o) for n in (2, 1, 0)),
            [(101 * 10**9, *ROW[1:]), (10**6, *ROW[1:]), ROW],
        ),
        ("unknown blocks", block(0x777, b"x" * 9, o) + one + block(10, b"keys", o) + epb(order=o), [ROW]),
        (
            "blocks without a packet that count",
            one
            + epb(order=o)
            + block(9, b"journal", o)
            + block(0xBAD, b"\1\0\0\0", o)
            + block(0x40000BAD, b"", o)
            + epb(order=o),
            [ROW, *[(0, b"", 0, NO_LINK)] * 3, ROW],
        ),
        ("sections", one + epb(order=o) + shb(o) + idb(113, order=o) + epb(order=o), [ROW, (*ROW[:3], 113)]),
        ("nanoseconds", resolution(9) + epb(ticks=7, order=o), [(7, DATA, 1500, 1)]),
        ("picoseconds", resolution(12) + epb(ticks=7999, order=o), [(7, DATA, 1500, 1)]),
        ("halves", resolution(0x81) + epb(ticks=3, order=o), [(1_500_000_000, DATA, 1500, 1)]),
        ("offset", offset(100) + epb(order=o), [(101 * 10**9, DATA, 1500, 1)]),
        ("back before 1970", offset(-100) + epb(order=o), [(0, DATA, 1500, 1)]),
        ("offset beyond time", offset(2**63 - 1) + epb(order=o), [((LAST_SECOND + 1) * 10**9, DATA, 1500, 1)]),
        (
            "ticks beyond time",
            one + epb(ticks=2**64 - 1, order=o),
            [(LAST_SECOND * 10**9 + 551_615_000, DATA, 1500, 1)],
        ),
        ("an option longer than its block", idb(options=struct.pack(f"{o}HH", 9, 400), order=o) + epb(order=o), [ROW]),
    ]


@pytest.mark.parametrize("chunk_bytes", [1, 200, 1 << 20])
@pytest.mark.parametrize(("order", "name", "content", "rows"), [(o, *case) for o in "<>" for case in both(o)])
def test_blocks(spot: Path, order: str, name: str, content: bytes, rows: list[Row], chunk_bytes: int) -> None:
    seen, file = read(spot, shb(order) + content, chunk_bytes)
    assert seen == rows
    assert (file.format, file.problem, file.drops) == ("pcapng", None, None)


@pytest.mark.parametrize("chunk_bytes", [1, 100, 1 << 20])
def test_the_byte_order_changes_between_sections(spot: Path, chunk_bytes: int) -> None:
    content = b"".join(shb(order) + idb(order=order) + epb(order=order) * 3 for order in "<><<>")
    rows, file = read(spot, content, chunk_bytes)
    assert rows == [ROW] * 15
    assert file.problem is None


def test_the_byte_order_cannot_change_forever(spot: Path) -> None:
    rows, file = read(spot, (shb() + shb(">")) * 3000)
    assert rows == []
    assert file.problem is not None
    assert f"the byte order changes more than {MAX_ORDER_CHANGES} times" in file.problem


def test_link_types_and_drops_of_all_interfaces(spot: Path) -> None:
    first = shb() + idb(1) + idb(113) + isb(0, received=9) + isb(0, dropped=5) + isb(1, dropped=2, dropped_by_os=1)
    second = shb(">") + idb(1, order=">") + isb(0, order=">", dropped=40) + isb(9, order=">", dropped=1000)
    _, file = read(spot, first + isb(0, dropped=7) + second)
    assert file.link_types == ("Ethernet", "Linux cooked v1")
    assert file.drops == 7 + 3 + 40  # the last count of each; interface 9 does not exist


def test_nobody_says_how_many_packets_were_lost(spot: Path) -> None:
    assert read(spot, shb() + idb() + isb(0, received=9))[1].drops is None
    assert read(spot, shb() + idb() + isb(0, dropped=0))[1].drops == 0


GOOD = shb() + idb() + epb() * 2


@pytest.mark.parametrize("chunk_bytes", [1, 300, 1 << 20])
@pytest.mark.parametrize(
    ("damaged", "what"),
    [
        (epb()[:-4] + b"\x63\0\0\0", "a block begins with length 104 and ends with length 99"),
        (struct.pack("<II", 6, 0) + bytes(96), "a block of type 0x6 claims 0 bytes"),
        (struct.pack("<II", 6, 28) + bytes(96), "a block of type 0x6 claims 28 bytes"),
        (struct.pack("<II", 6, 105) + bytes(97), "a block of type 0x6 claims 105 bytes"),
        (struct.pack("<II", 6, 0xFFFFFFFC) + bytes(96), "a block of type 0x6 claims 4294967292 bytes"),
        (struct.pack("<II", 0x777, 17_000_000) + bytes(96), "a block of type 0x777 claims 17000000 bytes"),
        (block(1, b"\1\0\0\0"), "a block of type 0x1 claims 16 bytes"),
        (block(5, b"\0\0\0\0"), "a block of type 0x5 claims 16 bytes"),
        (epb(claimed=73), "a packet is longer than its block"),
        (epb(claimed=0xFFFFFFFF), "a packet is longer than its block"),
        (epb(interface=1), "a packet is of an unknown interface"),
        (pb(interface=7), "a packet is of an unknown interface"),
        (shb() + spb(), "a packet is of an unknown interface"),
        (b"\n\r\r\n\x1c\0\0\0nope" + bytes(96), "a section has no byte-order mark"),
        (epb()[:-1], "the last record is cut off"),
        (epb()[:11], "the last record is cut off"),
        (struct.pack("<II", 0x777, 16_000_000) + bytes(96), "the last record is cut off"),
    ],
)
def test_damage_ends_the_reading(spot: Path, damaged: bytes, what: str, chunk_bytes: int) -> None:
    more = b"" if "cut off" in what else epb() * 4
    rows, file = read(spot, GOOD + damaged + more, chunk_bytes)
    assert rows == [ROW, ROW]
    at = len(GOOD) + (len(shb()) if damaged.startswith(shb()) else 0)
    assert file.problem == f"stopped at byte {at}, after packet 2: {what}"


@pytest.mark.parametrize("kind", [1, 4, 5, 9, 10, 0x777, 0xBAD])
def test_many_blocks_that_are_no_packets(spot: Path, kind: int) -> None:
    began = time.process_time()
    rows, file = read(spot, shb() + idb() + block(kind, struct.pack("<IIII", 1, 0, 0, 0)) * 300_000 + epb())
    assert time.process_time() - began < 8
    assert (rows[-1], file.problem) == (ROW, None)


def test_interfaces_without_end_are_not_kept(spot: Path) -> None:
    rows, file = read(
        spot, shb() + b"".join(map(idb, range(MAX_INTERFACES))) + idb(7) + epb() + epb(interface=MAX_INTERFACES)
    )
    assert len(rows) == 1
    assert len(file.link_types) <= MAX_INTERFACES
    assert file.problem is not None
    assert file.problem.endswith("a packet is of an unknown interface")


ticks = st.integers(0, 2**64 - 1)


@given(st.lists(ticks, max_size=5), st.integers(0, 255))
@example([2**64 - 1, 0, 1], 0x80 | 34)
@example([2**64 - 1, 0, 1], 0x80 | 35)
@example([2**64 - 1, 0, 1], 9)
@example([2**64 - 1, 0, 1], 127)
@example([2**64 - 1, 0, 1], 255)
def test_nanoseconds_are_those_of_exact_arithmetic(values: list[int], resolution: int) -> None:
    unit = 2 ** (resolution & 0x7F) if resolution & 0x80 else 10**resolution
    for got, value in zip(nanoseconds(np.array(values, np.uint64), resolution).tolist(), values, strict=True):
        seconds, rest = divmod(value, unit)
        assert abs(got - min(seconds, LAST_SECOND) * 10**9 - rest * 10**9 // unit) <= 1


row_parts = st.tuples(st.binary(max_size=60), st.integers(0, LAST_SECOND * SECOND), st.integers(60, 3000))
orders = st.sampled_from("<>")


@given(st.lists(st.tuples(orders, st.lists(row_parts, max_size=6)), min_size=1, max_size=4), st.integers(1, 300))
def test_any_packets_in_any_chunks(
    spot: Path, sections: list[tuple[str, list[tuple[bytes, int, int]]]], chunk_bytes: int
) -> None:
    content, rows = b"", []
    for order, packets in sections:
        content += shb(order) + idb(order=order)
        content += b"".join(epb(data, us, length=length, order=order) for data, us, length in packets)
        rows += [(us * 1000, data, length, 1) for data, us, length in packets]
    assert read(spot, content, chunk_bytes)[0] == rows


ALL_KINDS = {o: shb(o) + b"".join(content for name, content, _ in both(o) if "time" not in name) for o in "<>"}


@given(orders, st.integers(1, 2000), st.lists(st.tuples(st.integers(12, 4000), st.integers(0, 255)), max_size=4))
def test_damage_is_survived_alike_in_all_chunks(
    spot: Path, order: str, chunk_bytes: int, changes: list[tuple[int, int]]
) -> None:
    content = bytearray(ALL_KINDS[order])
    for at, value in changes:
        content[12 + at % (len(content) - 12)] = value  # behind what makes it a pcapng
    rows, file = read(spot, bytes(content), chunk_bytes)
    again, other = read(spot, bytes(content))
    assert rows == again
    assert file.problem == other.problem


PCAP = Framing(order="<", length_at=8, extra=16, mark_at=3, mark=0x65)
PCAPNG = Framing(order=">", length_at=4, extra=0, mark_at=3, mark=6)


def walk_naively(data: bytes, pos: int, end: int, framing: Framing) -> list[int]:
    found = []
    while pos < end:
        found.append(pos)
        step = framing.extra + struct.unpack_from(f"{framing.order}I", data, pos + framing.length_at)[0]
        pos += step if step >= 12 else len(data)
    return found


def stretch(framing: Framing, sizes: tuple[int, ...], payload: bytes, total: int) -> bytes:
    """Records of random ones of these sizes, some of `payload` inside."""
    rng, parts, length = random.Random(str(sizes)), [], 0
    while length < total:
        size = rng.choice(sizes)
        data = (payload[rng.randrange(50) :] * (size // 25 + 1))[:size]
        if framing is PCAP:
            parts.append(struct.pack("<IIII", 0x65000000 + length, 7, size, size) + data)
        else:
            parts.append(epb(data, order=">"))
        length += len(parts[-1])
    return b"".join(parts)


DECOY = struct.pack("<IIII", 0x65123456, 7, 20, 20) + bytes(20)  # a pcap record inside of packets


@pytest.mark.parametrize("framing", [PCAP, PCAPNG], ids=["pcap", "pcapng"])
@pytest.mark.parametrize(
    ("sizes", "payload"),
    [
        ((66, 66, 583, 1514), bytes(100)),
        ((66, 66, 583, 1514), bytes(range(100))),
        ((66, 1514), DECOY * 4),
        ((1514,), epb(b"x" * 20, order=">") * 2),
        ((0, 1), bytes(100)),
        ((9000,), bytes(100)),
        ((65_000, 66), DECOY * 4),
    ],
    ids=["zeros", "bytes", "decoys", "large", "tiny", "jumbo", "offloaded"],
)
def test_the_walk_finds_what_a_plain_loop_finds(framing: Framing, sizes: tuple[int, ...], payload: bytes) -> None:
    blob = stretch(framing, sizes, payload, (LEAST_LANES + 6) * LANE_BYTES)
    data = np.frombuffer(blob + bytes(SLACK), np.uint8)
    for start, end in ((0, len(blob)), (16 + sizes[0] if len(sizes) < 2 and framing is PCAP else 0, len(blob) - 5)):
        assert walk(data, start, end, framing).tolist() == walk_naively(blob + bytes(SLACK), start, end, framing)


def test_the_walk_goes_on_where_lanes_went_wrong() -> None:
    """A wild length in the middle: the first records are found, and everything ends in bounds."""
    blob = bytearray(stretch(PCAP, (66, 583, 1514), bytes(100), (LEAST_LANES + 6) * LANE_BYTES))
    right = walk_naively(bytes(blob) + bytes(SLACK), 0, len(blob), PCAP)
    middle = len(right) // 2
    for wild in (0xFFFFFFFF, 0, 1, 100_000, 2_000_000):
        struct.pack_into("<I", blob, right[middle] + 8, wild)
        data = np.frombuffer(bytes(blob) + bytes(SLACK), np.uint8)
        found = walk(data, 0, len(blob), PCAP).tolist()
        assert found[: middle + 1] == right[: middle + 1]
        assert found == walk_naively(bytes(blob) + bytes(SLACK), 0, len(blob), PCAP)
