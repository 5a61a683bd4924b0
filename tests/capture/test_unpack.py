"""Compressed captures: every packing by content, several frames, cuts, damage, bombs."""

import gzip
import io
import lzma
import random
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.test_files import CHUNKS, NOISE, PACKETS, pcap, read, spot
from trace_go.capture import unpack
from trace_go.capture.files import open_capture
from trace_go.capture.unpack import PACKINGS, XZ_BYTES, Plain, maybe_unpacked
from trace_go.model.errors import CaptureError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

__all__ = ["spot"]

BLOB = pcap(PACKETS * 40)
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "zstd": zstd.compress,
    "lz4": lambda data: bytes(lz4.frame.compress(data, content_checksum=True)),
}
SKIPPABLE = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"


def test_every_packing_is_tested() -> None:
    assert {packing.name for packing in PACKINGS} == set(PACK)


@pytest.mark.parametrize("chunk_bytes", CHUNKS)
@pytest.mark.parametrize("name", PACK)
def test_one_frame_and_many(spot: Path, name: str, chunk_bytes: int) -> None:
    frames = b"".join(PACK[name](BLOB[at : at + 1000]) for at in range(0, len(BLOB), 1000))
    empty = PACK[name](BLOB[:100]) + PACK[name](b"") + PACK[name](BLOB[100:])
    for packed in (PACK[name](BLOB), frames, empty):
        spot.write_bytes(packed)
        packets, file = read(spot, chunk_bytes)
        assert packets == PACKETS * 40
        assert (file.format, file.problem) == (f"pcap+{name}", None)


@pytest.mark.parametrize(
    ("name", "packed"),
    [
        ("gzip", gzip.compress(BLOB, 0, mtime=0)),
        ("gzip", gzip.compress(BLOB[:100], mtime=0) + bytes(7) + gzip.compress(BLOB[100:], mtime=0) + bytes(512)),
        ("xz", lzma.compress(BLOB) + bytes(8)),
        ("xz", lzma.compress(BLOB, check=lzma.CHECK_NONE, preset=9 | lzma.PRESET_EXTREME)),
        ("zstd", SKIPPABLE + zstd.compress(BLOB[:500]) + SKIPPABLE + zstd.compress(BLOB[500:])),
        ("lz4", lz4.frame.compress(BLOB, store_size=False, block_linked=False, block_checksum=True)),
    ],
)
def test_kinds_of_frames(spot: Path, name: str, packed: bytes) -> None:
    spot.write_bytes(packed)
    packets, file = read(spot)
    assert packets == PACKETS * 40
    assert (file.format, file.problem) == (f"pcap+{name}", None)


@pytest.mark.parametrize("name", PACK)
def test_cut_off(spot: Path, name: str) -> None:
    packed = PACK[name](pcap(NOISE))
    seen = []
    for size in range(100, len(packed), 97):
        spot.write_bytes(packed[:size])
        if name in ("zstd", "lz4"):  # for which this capture is one block
            with pytest.raises(CaptureError, match=f"the {name} data is cut off before any packet; get the file again"):
                read(spot)
            continue
        packets, file = read(spot)
        assert packets == NOISE[: len(packets)]
        assert file.problem is not None
        assert file.problem.endswith(f"the {name} data is cut off")
        seen.append(len(packets))
    assert seen == sorted(seen)
    assert name in ("zstd", "lz4") or seen[-1] > 95


@pytest.mark.parametrize(("level", "at", "least"), [(0, 4000, 50), (9, 4000, 50), (9, -6, 100)])
def test_damaged_gzip(spot: Path, level: int, at: int, least: int) -> None:
    """In the middle: the rest cannot be trusted, but what is unpacked is read; in the checksum: all is there."""
    packed = bytearray(gzip.compress(pcap(NOISE), level))
    packed[at] ^= 0xFF
    spot.write_bytes(packed)
    packets, file = read(spot)
    assert len(packets) >= least
    assert packets[:least] == NOISE[:least]
    assert file.problem is not None
    assert "the gzip data is damaged" in file.problem


@pytest.mark.parametrize("name", PACK)
def test_damage_leaves_what_stands_well_before_it(spot: Path, name: str) -> None:
    noise = [(n * 1000, random.Random(n).randbytes(900), 900) for n in range(1000)]
    packed = bytearray(PACK[name](pcap(noise)))
    packed[600_000:600_050] = bytes(50)
    spot.write_bytes(packed)
    packets, file = read(spot)
    assert packets[:400] == noise[:400]
    assert file.problem is not None
    assert f"the {name} data is damaged" in file.problem or name == "zstd"  # which stores what it cannot pack


@pytest.mark.parametrize("name", PACK)
def test_what_follows_the_frames_is_reported(spot: Path, name: str) -> None:
    spot.write_bytes(PACK[name](BLOB) + b"something else" * 3)
    packets, file = read(spot)
    assert packets == PACKETS * 40
    where = f"stopped at byte {len(BLOB)} of the unpacked data, after packet 120"
    assert file.problem == f"{where}: the {name} data is damaged"


@pytest.mark.parametrize("name", PACK)
def test_nonsense_behind_a_bomb_is_not_unpacked(spot: Path, name: str) -> None:
    spot.write_bytes(PACK[name](pcap(PACKETS) + b"\xff" * 50_000_000))
    with open_capture(str(spot), chunk_bytes=1 << 20) as reader:
        assert sum(map(len, reader.batches())) == 3
        assert reader.bytes_total == spot.stat().st_size
        assert reader.bytes_read < 20_000


@pytest.mark.parametrize("name", PACK)
def test_a_bomb_of_sound_packets(spot: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpack, "FREE_BYTES", 1 << 20)
    spot.write_bytes(PACK[name](pcap([]) + pcap([(0, bytes(240), 240)])[24:] * 100_000))  # 25 MB
    packets, file = read(spot)
    assert 4_000 < len(packets) < 70_000
    assert file.problem is not None
    assert file.problem.endswith("it unpacks to more than 100 times its size; if that is meant, unpack it first")


def test_xz_that_needs_too_much_memory(spot: Path) -> None:
    packed = bytearray(lzma.compress(BLOB))
    packed[16] = 40  # in the header of the block: a dictionary of 4 GiB
    packed[20:24] = zlib.crc32(packed[12:20]).to_bytes(4, "little")
    spot.write_bytes(packed)
    with pytest.raises(CaptureError, match=f"needs more than {XZ_BYTES >> 20} MiB of memory to be unpacked"):
        read(spot)


@given(st.binary(max_size=300), st.sampled_from(list(PACK)), st.integers(0, 12))
def test_any_bytes_behind_the_magic(tail: bytes, name: str, kept: int) -> None:
    blob = PACK[name](BLOB)[: 4 + kept] + tail

    class Memory(Plain):
        def __init__(self) -> None:
            self.stream = io.BytesIO(blob)

        def readinto(self, view: memoryview) -> int:
            return self.stream.readinto(view)

    source = Memory()
    unpacked = maybe_unpacked(source, source.read(28))
    if unpacked:
        assert len(unpacked.read(1 << 20)) <= 1 << 20
        assert unpacked.read(1) == b""
        assert unpacked.trouble
