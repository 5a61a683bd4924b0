"""Capture files: every pcap variant, gzip, pipes, what cannot be opened, and damage of all kinds."""

import contextlib
import gzip
import io
import lzma
import os
import random
import struct
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_go.capture.files import LINK_NAMES, begins_as_capture, open_capture
from trace_go.model.errors import CaptureError
from trace_go.model.packets import LinkType
from trace_go.model.report import CaptureFile

Packet = tuple[int, bytes, int]  # ns, captured bytes, length on the wire

PACKETS: list[Packet] = [
    (1_700_000_000_000_001_000, b"a" * 60, 60),
    (1_700_000_000_000_002_000, b"", 0),
    (1_700_000_001_999_999_000, b"cut" * 32, 1500),
]
VARIANTS = {  # magic number, byte order, ns per tick, bytes a record header has more
    "us-le": (0xA1B2C3D4, "<", 1000, 0),
    "us-be": (0xA1B2C3D4, ">", 1000, 0),
    "ns-le": (0xA1B23C4D, "<", 1, 0),
    "ns-be": (0xA1B23C4D, ">", 1, 0),
    "modified-le": (0xA1B2CD34, "<", 1000, 8),
    "modified-be": (0xA1B2CD34, ">", 1000, 8),
}
NOISE: list[Packet] = [(n * 1000, random.Random(n).randbytes(50), 50) for n in range(100)]
CHUNKS = [1, 64, 150, 1 << 20]


def pcap(packets: list[Packet], variant: str = "us-le", *, snap: int = 65535, network: int = 1) -> bytes:
    magic, order, tick, more = VARIANTS[variant]
    blob = struct.pack(f"{order}IHHiIII", magic, 2, 4, 0, 0, snap, network)
    for time_ns, data, length in packets:
        seconds, rest = divmod(time_ns, 10**9)
        blob += struct.pack(f"{order}IIII", seconds, rest // tick, len(data), length) + bytes(more) + data
    return blob


def read(path: Path | str, chunk_bytes: int = 1 << 20) -> tuple[list[Packet], CaptureFile]:
    packets: list[Packet] = []
    with open_capture(str(path), chunk_bytes=chunk_bytes) as reader:
        for batch in reader.batches():
            assert batch.first_number == len(packets) + 1
            assert (batch.length >= batch.captured).all()
            ends = batch.offset + batch.captured
            spans = zip(batch.offset.tolist(), ends.tolist(), strict=True)
            data = [batch.data[start:end].tobytes() for start, end in spans]
            assert [len(part) for part in data] == batch.captured.tolist()
            packets += zip(batch.time_ns.tolist(), data, batch.length.tolist(), strict=True)
        return packets, reader.describe()


@pytest.fixture(scope="module")
def spot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to overwrite."""
    return tmp_path_factory.mktemp("capture") / "x.pcap"


@pytest.mark.parametrize("chunk_bytes", CHUNKS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_of_pcap(spot: Path, variant: str, chunk_bytes: int) -> None:
    spot.write_bytes(pcap(PACKETS, variant))
    packets, file = read(spot, chunk_bytes)
    assert packets == PACKETS
    assert file == CaptureFile(
        name=str(spot),
        format="pcap",
        link_types=("Ethernet",),
        packets=3,
        bytes=156,
        first_ns=PACKETS[0][0],
        last_ns=PACKETS[-1][0],
        truncated_packets=1,
        drops=None,
        problem=None,
    )


def test_every_link_type_has_a_name() -> None:
    assert set(LINK_NAMES) == set(LinkType)


def test_a_link_type_that_is_not_understood_is_told(spot: Path) -> None:
    spot.write_bytes(pcap(PACKETS, network=147))
    problem = read(spot)[1].problem
    assert problem is not None
    assert "not understood (LINKTYPE 147)" in problem
    spot.write_bytes(pcap([], network=147))
    assert read(spot)[1].problem is None


@pytest.mark.parametrize("version", [(2, 2), (2, 0), (543, 0)])
@pytest.mark.parametrize("order", "<>")
def test_old_versions_swap_the_lengths(spot: Path, order: str, version: tuple[int, int]) -> None:
    blob = struct.pack(f"{order}IHHiIII", 0xA1B2C3D4, *version, 0, 0, 65535, 1)
    for time_ns, data, length in PACKETS:
        blob += struct.pack(f"{order}IIII", time_ns // 10**9, time_ns % 10**9 // 1000, length, len(data)) + data
    spot.write_bytes(blob)
    assert read(spot)[0] == PACKETS


@pytest.mark.parametrize(
    ("network", "number", "name"),
    [
        (1, 1, "Ethernet"),
        (0x10000001 | 4 << 28, 1, "Ethernet"),  # the upper bits tell the length of the frame check sequence
        (113, 113, "Linux cooked v1"),
        (276, 276, "Linux cooked v2"),
        (101, 101, "Raw IP"),
        (147, 147, "LINKTYPE 147"),
    ],
)
def test_link_types(spot: Path, network: int, number: int, name: str) -> None:
    spot.write_bytes(pcap(PACKETS, network=network))
    with open_capture(str(spot)) as reader:
        (batch,) = reader.batches()
        assert batch.linktype.tolist() == [number] * 3
        assert reader.describe().link_types == (name,)


def test_a_capture_without_packets(spot: Path) -> None:
    spot.write_bytes(pcap([]))
    packets, file = read(spot)
    assert packets == []
    assert (file.packets, file.first_ns, file.last_ns, file.problem) == (0, 0, 0, None)


def test_the_length_is_never_below_what_was_captured(spot: Path) -> None:
    spot.write_bytes(pcap([(0, b"x" * 50, 10)]))
    packets, file = read(spot)
    assert packets == [(0, b"x" * 50, 50)]
    assert file.truncated_packets == 0


@pytest.mark.parametrize("variant", ["us-le", "modified-be"])
def test_a_cut_anywhere_leaves_the_packets_before_it(spot: Path, variant: str) -> None:
    blob = pcap(PACKETS, variant)
    ends = [len(pcap(PACKETS[:count], variant)) for count in range(len(PACKETS) + 1)]
    for size in range(ends[0], len(blob)):
        spot.write_bytes(blob[:size])
        packets, file = read(spot, 1 if size % 2 else 1 << 20)
        whole = sum(end <= size for end in ends) - 1
        assert packets == PACKETS[:whole]
        cut = f"stopped at byte {ends[whole]}, after packet {whole}: the last record is cut off"
        assert file.problem == (None if size in ends else cut)


@pytest.mark.parametrize("chunk_bytes", CHUNKS)
@pytest.mark.parametrize(
    ("claimed", "snap", "good"),
    [
        (0xFFFFFFFF, 65535, False),
        (262_145, 65535, False),
        (262_145, 0, False),
        (262_144, 65535, True),
        (300_000, 524_288, True),
        (0xFFFFFFFF, 0xFFFFFFFF, False),  # the file header lies, too
    ],
)
def test_absurd_lengths_end_the_reading(spot: Path, claimed: int, snap: int, good: bool, chunk_bytes: int) -> None:
    body = bytes(min(claimed, 400_000))
    header = struct.pack("<IIII", 0, 0, claimed, claimed)
    spot.write_bytes(pcap(PACKETS, snap=snap) + header + body + pcap(PACKETS)[24:] * good)
    packets, file = read(spot, chunk_bytes)
    if good:
        assert packets == [*PACKETS, (0, body, claimed), *PACKETS]
        assert file.problem is None
    else:
        assert packets == PACKETS
        assert file.problem == f"stopped at byte 228, after packet 3: a record claims {claimed} bytes"


BLOB = pcap(PACKETS * 40)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty; nothing was recorded, capture again"),
        (b"#!/bin/sh\n", "starts with 23 21 2f 62, not a pcap or pcapng; give a file saved by"),
        (b"\n\r\r\n" + bytes(60), "starts with 0a 0d 0d 0a, not a pcap or pcapng"),
        (pcap([])[:23], "ends in its file header, after 23 bytes; get the file again"),
        (b"\n\r\r\n\x1c\0", "ends in its file header, after 6 bytes"),
        (gzip.compress(b"", mtime=0), "is empty when unpacked"),
        (
            gzip.compress(gzip.compress(pcap(PACKETS), mtime=0), mtime=0),
            "starts with 1f 8b 08 00 when unpacked, not a pcap",
        ),
        (gzip.compress(b"hello", mtime=0), "starts with 68 65 6c 6c when unpacked, not a pcap"),
        (gzip.compress(pcap(PACKETS), mtime=0)[:12], "the gzip data is cut off before any packet; get the file again"),
        (b"\x1f\x8b" + b"no" * 20, "the gzip data is damaged before any packet; get the file again"),
    ],
)
def test_what_is_no_capture(spot: Path, content: bytes, message: str) -> None:
    spot.write_bytes(content)
    with pytest.raises(CaptureError) as caught:
        open_capture(str(spot))
    assert str(caught.value).startswith(f"{spot}: {message}")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_what_cannot_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def message(path: str) -> str:
        with pytest.raises(CaptureError) as caught:
            open_capture(path)
        return str(caught.value).removeprefix(path)

    assert message(f"{tmp_path}/none") == ": cannot be opened: No such file or directory; check the path"
    assert message(str(tmp_path)) == ": cannot be opened: Is a directory; no file in it is a capture"
    assert message("a\0b") == ": cannot be opened: embedded null byte; check the path"

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("io.FileIO", refuse)
    assert message("x").startswith(": cannot be opened: Permission denied; make it readable")


def test_a_failing_disk_keeps_what_was_read(spot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing(io.FileIO):
        def readinto(self, buffer: Any) -> int | None:
            if self.tell() >= 500:
                raise OSError(5, "Input/output error")
            return super().readinto(buffer)

    monkeypatch.setattr("io.FileIO", Failing)
    spot.write_bytes(pcap(PACKETS * 10))
    packets, file = read(spot, 200)
    assert packets == (PACKETS * 10)[: len(packets)]
    assert 0 < len(packets) < 30
    assert file.problem is not None
    assert file.problem.endswith(f"after packet {len(packets)}: reading failed: Input/output error")


def test_standard_input() -> None:
    blob, (out, into), saved = pcap(PACKETS * 2000), os.pipe(), os.dup(0)

    def feed() -> None:
        with os.fdopen(into, "wb") as pipe:
            pipe.write(blob)

    os.dup2(out, 0)
    writer = threading.Thread(target=feed)
    try:
        writer.start()
        with open_capture("-", chunk_bytes=100_000) as reader:
            assert reader.bytes_total is None
            assert sum(map(len, reader.batches())) == 6000
            assert reader.bytes_read == len(blob)
            assert (reader.describe().name, reader.describe().problem) == ("standard input", None)
        writer.join()
        assert os.fstat(0)  # left open for whoever else reads it
    finally:
        os.dup2(saved, 0)
        for descriptor in (saved, out):
            os.close(descriptor)


def test_a_terminal_is_no_input() -> None:
    ours, theirs = os.openpty()
    with pytest.raises(CaptureError, match="is a terminal; pipe a capture into it"):
        open_capture(os.ttyname(theirs))
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize(
    ("content", "yes"),
    [
        *((pcap(PACKETS, variant), True) for variant in VARIANTS),
        (gzip.compress(BLOB, mtime=0), True),
        (lzma.compress(BLOB), True),
        (b"\n\r\r\n\x1c\0\0\0\x4d\x3c\x2b\x1a", True),
        (b"\n\r\r\n\x1c\0\0\0\x4d\x3c\x2b\x1b", False),
        (BLOB[1:], False),
        (gzip.compress(BLOB[1:], mtime=0), False),
        (b"\x1f\x8bnot gzip", False),
        (b"PK\3\4", False),
        (b"", False),
    ],
)
def test_what_begins_as_a_capture(spot: Path, content: bytes, yes: bool) -> None:
    spot.write_bytes(content)
    assert begins_as_capture(str(spot)) is yes


def test_what_is_no_plain_file_does_not_begin_as_a_capture(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for ever
    assert not begins_as_capture(str(tmp_path / "pipe"))
    assert not begins_as_capture(str(tmp_path))
    assert begins_as_capture(str(tmp_path / "gone")), "it is to be told about"


times = st.integers(0, (2**32 - 1) * 10**6).map(lambda us: us * 1000)
some_packets = st.lists(st.tuples(times, st.binary(max_size=80), st.integers(80, 2000)), max_size=12)
chunk_sizes = st.integers(1, 300)


@given(some_packets, st.sampled_from(list(VARIANTS)), chunk_sizes)
def test_any_packets_in_any_chunks(spot: Path, packets: list[Packet], variant: str, chunk_bytes: int) -> None:
    spot.write_bytes(pcap(packets, variant))
    assert read(spot, chunk_bytes)[0] == packets


@given(some_packets, st.sampled_from(list(VARIANTS)), chunk_sizes, st.data())
def test_damage_is_survived_alike_in_all_chunks(
    spot: Path, packets: list[Packet], variant: str, chunk_bytes: int, data: st.DataObject
) -> None:
    blob = bytearray(pcap(packets, variant))
    for _ in range(data.draw(st.integers(1, 4))):
        blob[data.draw(st.integers(4, len(blob) - 1))] = data.draw(st.integers(0, 255))
    spot.write_bytes(blob)
    assert read(spot, chunk_bytes) == read(spot)


def test_progress(spot: Path) -> None:
    spot.write_bytes(pcap(PACKETS * 100))
    with open_capture(str(spot), chunk_bytes=1000) as reader:
        assert reader.bytes_total == spot.stat().st_size
        seen = [reader.bytes_read for _ in reader.batches()]
    assert seen == sorted(set(seen))
    assert (seen[0], seen[-1]) == (1000, reader.bytes_total)


@given(st.binary(max_size=200), st.sampled_from([b"", *(pcap([], variant) for variant in VARIANTS), b"\x1f\x8b\x08\0"]))
def test_any_bytes(spot: Path, tail: bytes, head: bytes) -> None:
    spot.write_bytes(head + tail)
    with contextlib.suppress(CaptureError):  # the only exception, and only when nothing is readable
        packets, file = read(spot)
        assert file.packets == len(packets)
        assert begins_as_capture(str(spot))
