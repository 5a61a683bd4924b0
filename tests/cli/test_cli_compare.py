"""`trace-go read --compare-tshark`: alike on real captures, a difference is listed, no tshark is exit status 3."""

import shutil
import struct
from pathlib import Path
from ssl import TLSVersion

import pytest

from capture.test_files import pcap
from cli.conftest import CAPTURES, Run
from flows.frames import ICMP, UDP, Frame, Talk, icmp, ip, link, udp
from flows.keyed_talks import TLS12, TLS13, Http2
from flows.tls_talks import handshake, hello

needs_tshark = pytest.mark.skipif(not shutil.which("tshark"), reason="no tshark")


def saved(path: Path, frames: list[Frame]) -> Path:
    path.write_bytes(pcap([(frame.time_ns, frame.data, len(frame.data)) for frame in frames]))
    return path


@needs_tshark
def test_shipped_captures_are_alike(here: Run) -> None:
    names = sorted(CAPTURES.glob("*.pcap*"))
    done = here("read", "--compare-tshark", *names)
    assert (done.code, done.err) == (0, "")
    assert done.out.count("alike: ") == len(names) > 10
    assert "only" not in done.out


def question(name: bytes, opcode: int = 0) -> bytes:
    return struct.pack("!6H", 7, 0x100 | opcode << 11, 1, 0, 0, 0) + name + b"\0\0\1\0\1"


@needs_tshark
def test_what_is_no_difference(tmp_path: Path, here: Run) -> None:
    """Client certificates, second hellos, the root, updates, questions quoted by ICMP errors, copies of segments."""
    frames: list[Frame] = []
    for port, turns in (
        (1001, handshake(TLS12, wants_client=True)),
        (1002, handshake(TLS13, retry=True)),
    ):
        talk = Talk(("10.0.0.2", port)).open()
        for side, data in turns:
            talk.say(side, data)
        frames += [copy for frame in talk.close().frames for copy in (frame, frame)]
    asked = [
        udp(5000 + number, 53, question(name, opcode))
        for number, (name, opcode) in enumerate([(b"", 0), (b"\2Go\3dev", 0), (b"\1a\2go", 5), (b"\1b\2go", 4)])
    ]
    frames += [Frame(link(ip("10.0.0.2", "10.0.0.1", UDP, body))) for body in asked]
    quoted = ip("10.0.0.2", "10.0.0.1", UDP, udp(6000, 53, question(b"\1c\2go")))
    frames.append(Frame(link(ip("10.0.0.1", "10.0.0.2", ICMP, icmp(3, 1, quoted)))))
    done = here("read", "--compare-tshark", saved(tmp_path / "x.pcap", frames))
    assert (done.code, done.err) == (0, "")
    assert "alike: 1 server names, 2 JA3, 1 certificates, 1 DNS names, 0 CONNECT, 0 HTTP requests" in done.out


@needs_tshark
@pytest.mark.parametrize("version", [TLS12, TLS13])
def test_requests_inside_tls_are_compared_with_several_key_logs(version: TLSVersion, tmp_path: Path, here: Run) -> None:
    frames, options = list[Frame](), list[str | Path]()
    talks = (
        Http2().get(1, "/m/@v/v1.0.0.mod").answer(1, 200).body(1, b"module m\n").get(3, "/m/@v/list").answer(3, 404),
        Http2().get(1, "/a?token=s3cret").answer(1, 302, end=True),
    )
    for number, inside in enumerate(talks):
        said, keys = inside.wrapped(version)
        talk = Talk(client=("192.0.2.9", 40_000 + number)).open()
        for side, data in said:
            talk.say(side, data, 1400)
        frames += talk.close().frames
        (tmp_path / f"{number}.log").write_bytes(keys.rstrip(b"\n"))  # its last line is not ended
        options += ["--keylog", tmp_path / f"{number}.log"]
    path = saved(tmp_path / "it.pcap", frames)
    done = here("read", *options, "--compare-tshark", path)
    assert (done.code, done.err) == (0, ""), done.out
    assert "3 HTTP requests" in done.out
    partly = here("read", *options[:2], "--compare-tshark", path)
    assert "2 HTTP requests" in partly.out
    assert "s3cret" not in done.out + partly.out


@needs_tshark
def test_a_difference_is_listed(tmp_path: Path, here: Run) -> None:
    """tshark takes port 8080 for HTTP."""
    talk = Talk(server=("192.0.2.80", 8080)).open().up(hello())
    path = saved(tmp_path / "odd.pcap", talk.frames)
    done = here("read", "--compare-tshark", path)
    assert done.code == 1
    assert f"{path}: server names: only trace-go: proxy.golang.org" in done.out


@needs_tshark
def test_what_tshark_cannot_read(tmp_path: Path, here: Run) -> None:
    path = tmp_path / "x.pcap"
    path.write_bytes(b"rubbish" * 10)
    done = here("read", "--compare-tshark", path)
    assert done.code == 2
    assert "tshark cannot read it" in done.err


def test_without_tshark(here: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = here("read", "--compare-tshark", CAPTURES / "mirror-http.pcap")
    assert done.code == 3
    assert "needs tshark: install it" in done.err


def test_standard_input_cannot_be_read_twice(here: Run) -> None:
    done = here("read", "--compare-tshark", "-")
    assert done.code == 2
    assert "reads a capture twice" in done.err
