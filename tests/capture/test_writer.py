"""Writing pcapng: the very bytes, and what our reader and a file that ends early give back."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_go.capture.files import open_capture
from trace_go.capture.writer import Interface, PcapngWriter
from trace_go.model.packets import Batch
from trace_go.model.report import CaptureFile

Packet = tuple[int, bytes, int]  # ns, captured bytes, length on the wire

ETH0 = Interface(name="eth0", link_type=1, snap_length=262_144)
COOKED = Interface(name="any", link_type=276)
PACKETS: list[Packet] = [(1_700_000_000_123_456_789, b"abcde", 1500), (1_700_000_000_123_456_790, b"", 60)]


def batch(packets: list[Packet], before: int = 3) -> Batch:
    """Columns over packets that lie in a buffer with other bytes around them."""
    data = b"\xee" * before + b"".join(data + b"\xee" * before for _, data, _ in packets)
    sizes = [len(data) for _, data, _ in packets]
    return Batch(
        data=np.frombuffer(data, np.uint8),
        offset=np.cumsum([before, *(size + before for size in sizes[:-1])])[: len(sizes)].astype(np.int64),
        captured=np.array(sizes, np.int64),
        length=np.array([length for _, _, length in packets], np.int64),
        time_ns=np.array([time_ns for time_ns, _, _ in packets], np.int64),
        linktype=np.ones(len(packets), np.int64),
        first_number=1,
    )


def read(path: Path, content: bytes) -> tuple[list[Packet], CaptureFile]:
    path.write_bytes(content)
    packets: list[Packet] = []
    with open_capture(str(path)) as reader:
        for one in reader.batches():
            ends = (one.offset + one.captured).tolist()
            data = [one.data[start:end].tobytes() for start, end in zip(one.offset.tolist(), ends, strict=True)]
            packets += zip(one.time_ns.tolist(), data, one.length.tolist(), strict=True)
        return packets, reader.describe()


@pytest.fixture(scope="module")
def spot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to overwrite."""
    return tmp_path_factory.mktemp("capture") / "x.pcapng"


def words(*values: int | bytes) -> bytes:
    return b"".join(value if isinstance(value, bytes) else struct.pack("<I", value) for value in values)


def test_the_very_bytes() -> None:
    out = io.BytesIO()
    writer = PcapngWriter(out, interfaces=[ETH0])
    writer.write_many(batch(PACKETS))
    writer.stats(drops=7, received=9)
    high, low = 0x17979CFE, 0x3D85CD15
    assert out.getvalue() == b"".join(
        [
            words(0x0A0D0D0A, 44, 0x1A2B3C4D, b"\1\0\0\0", b"\xff" * 8, b"\4\0\x08\0trace-go", 0, 44),
            words(1, 40, b"\1\0\0\0", 262_144, b"\2\0\4\0eth0", b"\x09\0\1\0\x09\0\0\0", 0, 40),
            words(6, 40, 0, high, low, 5, 1500, b"abcde\0\0\0", 40),
            words(6, 32, 0, high, low + 1, 0, 60, 32),
            words(5, 52, 0, high, low + 1, b"\4\0\x08\0", 9, 0, b"\5\0\x08\0", 7, 0, 0, 52),
        ]
    )


def test_one_by_one_is_all_at_once() -> None:
    single, many = io.BytesIO(), io.BytesIO()
    writer = PcapngWriter(single, interfaces=[ETH0, COOKED])
    for time_ns, data, length in PACKETS:
        writer.write(time_ns, data, length, interface=1)
    writer.stats(0, 2, interface=1)
    writer = PcapngWriter(many, interfaces=[ETH0, COOKED])
    writer.write_many(batch(PACKETS), interface=1)
    writer.write_many(batch([]))
    writer.stats(0, 2, interface=1)
    assert single.getvalue() == many.getvalue()


def test_it_is_read_back(spot: Path) -> None:
    out = io.BytesIO()
    writer = PcapngWriter(out, interfaces=[ETH0, COOKED])
    writer.write_many(batch(PACKETS), np.array([1, 0]))
    writer.stats(drops=7, received=9)
    writer.stats(drops=5, received=9, interface=1)
    packets, file = read(spot, out.getvalue())
    assert packets == PACKETS
    assert (file.link_types, file.drops) == (("Ethernet", "Linux cooked v2"), 12)
    assert (file.truncated_packets, file.problem) == (2, None)


def test_names_that_are_no_text_are_written() -> None:
    out = io.BytesIO()
    PcapngWriter(out, interfaces=[Interface(name="v\udcffé", link_type=1)])
    assert "v\\udcffé".encode() in out.getvalue()


def test_a_file_that_ends_early_is_read_up_to_its_last_whole_block(spot: Path) -> None:
    out = io.BytesIO()
    writer = PcapngWriter(out, interfaces=[ETH0])
    head = len(out.getvalue())
    ends = [head]
    for packet in PACKETS * 3:
        writer.write_many(batch([packet]))
        ends.append(len(out.getvalue()))
    for size in range(head, len(out.getvalue()) + 1):
        packets, file = read(spot, out.getvalue()[:size])
        whole = sum(end <= size for end in ends) - 1
        assert packets == (PACKETS * 3)[:whole]
        assert (file.problem is None) == (size in ends)


def test_flush_reaches_the_file(spot: Path) -> None:
    with spot.open("wb") as out:
        writer = PcapngWriter(out, interfaces=[ETH0])
        writer.write(*PACKETS[0])
        writer.flush()
        with open_capture(str(spot)) as reader:
            assert [len(one) for one in reader.batches()] == [1]


some_packets = st.lists(
    st.tuples(st.integers(1, 2**32 * 10**9), st.binary(max_size=70), st.integers(70, 70_000)), max_size=20
)


@given(some_packets, st.integers(0, 5))
def test_any_packets_are_read_back(spot: Path, packets: list[Packet], before: int) -> None:
    out = io.BytesIO()
    PcapngWriter(out, interfaces=[ETH0]).write_many(batch(packets, before))
    assert read(spot, out.getvalue())[0] == packets
