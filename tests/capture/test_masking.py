"""Credentials are overwritten in kept captures, in their packets only, and nothing else is touched."""

import io
from pathlib import Path

import pytest

from flows.frames import Talk
from trace_go.capture.files import open_capture
from trace_go.capture.masking import mask_credentials
from trace_go.capture.writer import Interface, PcapngWriter
from trace_go.flows.credentials import Credentials
from trace_go.model.errors import CaptureError

SECRET = b"bGFiOmh1c2g="
CONNECT = b"CONNECT a.example:443 HTTP/1.1\r\nProxy-Authorization: Basic " + SECRET + b"\r\nHost: a.example\r\n\r\n"


def kept(path: Path, *packets: bytes) -> Path:
    out = io.BytesIO()
    writer = PcapngWriter(out, interfaces=[Interface(name="eth0", link_type=1)])
    for number, packet in enumerate(packets):
        writer.write(number, packet, len(packet))
    path.write_bytes(out.getvalue())
    return path


def packets_of(path: Path) -> list[bytes]:
    found = []
    with open_capture(str(path)) as reader:
        for batch in reader.batches():
            for start, size in zip(batch.offset.tolist(), batch.captured.tolist(), strict=True):
                found.append(batch.data[start : start + size].tobytes())
    return found


@pytest.mark.parametrize("size", [1400, 70, 9])
def test_what_is_found_is_overwritten(tmp_path: Path, size: int) -> None:
    talk = Talk(server=("192.0.2.80", 3128)).open().up(CONNECT, size=size).down(b"HTTP/1.1 200 OK\r\n\r\n")
    packets = [frame.data for frame in talk.frames]
    path = kept(tmp_path / "a.pcapng", *packets)
    length = path.stat().st_size
    assert mask_credentials(path, Credentials())
    masked = packets_of(path)
    assert path.stat().st_size == length
    assert b"".join(packet[54:] for packet in masked).startswith(CONNECT.replace(SECRET, b"x" * len(SECRET)))
    assert [packet[:54] for packet in masked] == [packet[:54] for packet in packets]


def test_nothing_to_mask_leaves_the_file(tmp_path: Path) -> None:
    path = kept(tmp_path / "a.pcapng", b"\x01\x02me\x05h.sh!", b"x" * 70)
    before = path.read_bytes()
    assert mask_credentials(path, Credentials()) == 0
    assert path.read_bytes() == before
    assert mask_credentials(kept(tmp_path / "empty.pcapng"), Credentials()) == 0


def test_what_is_no_capture(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100)
    with pytest.raises(CaptureError):
        mask_credentials(tmp_path / "a", Credentials())
