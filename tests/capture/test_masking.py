"""Credentials are overwritten in kept captures, in their packets only, and nothing else is touched."""

import io
from pathlib import Path

import pytest

from trace_go.capture.files import open_capture
from trace_go.capture.masking import mask_credentials
from trace_go.capture.writer import Interface, PcapngWriter
from trace_go.model.errors import CaptureError

SECRET = b"bGFiOmh1c2g="
CONNECT = b"CONNECT a.example:443 HTTP/1.1\r\nProxy-Authorization: Basic " + SECRET + b"\r\nHost: a.example\r\n\r\n"
LOGIN = b"\x01\x02me\x05h.sh!"


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


@pytest.mark.parametrize("header", [b"Authorization: Bearer ", b"authorization:Basic ", b"Proxy-Authorization:  "])
def test_headers(tmp_path: Path, header: bytes) -> None:
    packets = [b"\0" * 54 + b"GET / HTTP/1.1\r\n" + header + SECRET + b"\r\nX: y\r\n\r\n", b"other"]
    path = kept(tmp_path / "a.pcapng", *packets)
    assert mask_credentials(path, {}) == 1
    assert packets_of(path) == [packets[0].replace(SECRET, b"x" * len(SECRET)), packets[1]]


def test_a_cut_header_is_masked_to_the_end_of_its_packet(tmp_path: Path) -> None:
    for cut in range(CONNECT.index(SECRET) + 1, len(CONNECT)):
        path = kept(tmp_path / "a.pcapng", CONNECT[:cut], b"tail" * 9)
        assert mask_credentials(path, {}) == 1
        assert packets_of(path) == [CONNECT.replace(SECRET, b"x" * len(SECRET))[:cut], b"tail" * 9]


def test_a_header_without_a_value_takes_nothing_of_the_next_packet(tmp_path: Path) -> None:
    packets = [b"GET / HTTP/1.1\r\nAuthorization: ", b"Basic"]
    path = kept(tmp_path / "a.pcapng", *packets)
    mask_credentials(path, {})
    assert packets_of(path) == packets


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "all_proxy"])
def test_socks_logins_of_the_environment(tmp_path: Path, variable: str) -> None:
    path = kept(tmp_path / "a.pcapng", b"\5\2\0\2", LOGIN, b"\x01\x02me\x05hXsh!")
    assert mask_credentials(path, {variable: "socks5://me:h.sh%21@p.example:1080"}) == 2
    assert packets_of(path) == [b"\5\2\0\2", b"\x01\x02xx\x05xxxxx", b"\x01\x02me\x05hXsh!"]


def test_nothing_to_mask_leaves_the_file(tmp_path: Path) -> None:
    path = kept(tmp_path / "a.pcapng", LOGIN, b"x" * 70)
    before = path.read_bytes()
    assert mask_credentials(path, {"HTTPS_PROXY": "socks5://p.example:1080", "NO_PROXY": "socks5://[::1"}) == 0
    assert path.read_bytes() == before
    assert mask_credentials(kept(tmp_path / "empty.pcapng"), {}) == 0


def test_what_is_no_capture(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100)
    with pytest.raises(CaptureError):
        mask_credentials(tmp_path / "a", {})
