"""Two processes for one capture find what one finds, whatever the packets are; when they cannot, one goes on."""

import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from capture.test_capture_keys import KEYS, PACKETS, secrets
from capture.test_pcapng import idb, shb
from flows.dns_talks import query, reply
from flows.frames import UDP, Frame, Talk, ip, link, udp
from flows.test_fragments import frames, pieces
from flows.tls_talks import hello
from trace_go.capture.beside import possible
from trace_go.pipeline import Source, observe

pytestmark = pytest.mark.skipif(not possible(), reason="one processor, or no fork")

PCAPS = sorted((Path(__file__).parents[1] / "captures").glob("*.pcap"))
DIVIDED, WHOLE = 1 << 20, 0
Two = Callable[[int], None]


@pytest.fixture(name="two")
def two_processes(monkeypatch: pytest.MonkeyPatch) -> Two:
    """Called with CROWDED: from now on, two processes read even the smallest capture."""

    def begin(crowded: int) -> None:
        monkeypatch.setattr("trace_go.pipeline.LEAST_BYTES", 1)
        monkeypatch.setattr("trace_go.together.CROWDED", crowded)

    return begin


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trace_go.capture.merge.CHUNK_BYTES", 2000)
    monkeypatch.setattr("trace_go.capture.merge.LEAST_CHUNK", 2000)
    monkeypatch.setattr("trace_go.capture.files.BATCH_ROWS", 7)


def source(path: Path) -> Source:
    return Source(captures=(str(path),))


def written(path: Path, packets: list[Frame]) -> Path:
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, 1)
    body = [
        struct.pack("<4I", *divmod(frame.time_ns // 1000, 10**6), len(frame.data), len(frame.data)) + frame.data
        for frame in packets
    ]
    path.write_bytes(head + b"".join(body))
    return path


def find_the_same(path: Path, crowded: int, two: Two) -> None:
    alone = observe(source(path))
    two(crowded)
    assert observe(source(path)) == alone


@pytest.mark.parametrize("crowded", [DIVIDED, WHOLE])
@pytest.mark.parametrize("path", PCAPS, ids=lambda path: path.stem)
def test_they_find_what_one_does(path: Path, crowded: int, two: Two) -> None:
    find_the_same(path, crowded, two)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("crowded", [DIVIDED, WHOLE])
@pytest.mark.parametrize("path", PCAPS[:4], ids=lambda path: path.stem)
def test_in_many_chunks(path: Path, crowded: int, two: Two) -> None:
    find_the_same(path, crowded, two)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("crowded", [DIVIDED, WHOLE])
def test_ipv6_and_fragments_over_chunks(tmp_path: Path, crowded: int, two: Two) -> None:
    made: list[Frame] = []
    for number in range(40):
        name = f"host{number}.example"
        asked = udp(5000 + number, 53, query(number, name))
        made.append(Frame(link(ip("10.0.0.2", "192.0.2.53", UDP, asked))))
        answer = udp(53, 5000 + number, reply(number, name, ["192.0.2.1"] * 20))
        made += frames(pieces(answer, 128, number=number)[: None if number % 5 else 2])
        made += Talk((f"2001:db8::{number + 1:x}", 4000), ("2001:db8:1::1", 443)).open().up(hello()).close().frames
    path = written(tmp_path / "mixed.pcap", made)
    alone = observe(source(path))
    assert len(alone.traffic.lookups) == 40
    two(crowded)
    both = observe(source(path))
    assert both == alone


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("crowded", [DIVIDED, WHOLE])
@pytest.mark.parametrize("where", [0, 5, len(PACKETS)])
def test_secrets_in_the_capture(tmp_path: Path, where: int, crowded: int, two: Two) -> None:
    path = tmp_path / "capture.pcapng"
    path.write_bytes(b"".join([shb(), idb(), *PACKETS[:where], secrets(KEYS), *PACKETS[where:]]))
    alone = observe(source(path))
    assert [exchange.status for flow in alone.traffic.flows for exchange in flow.exchanges] == [200]
    two(crowded)
    assert observe(source(path)) == alone


@pytest.mark.parametrize("content", [b"", b"rubbish", PCAPS[0].read_bytes()[:24], PCAPS[0].read_bytes()[:-5]])
def test_what_cannot_be_read_is_told(tmp_path: Path, content: bytes, two: Two) -> None:
    path = tmp_path / "bad.pcap"
    path.write_bytes(content)
    alone = observe(source(path))
    two(DIVIDED)
    assert observe(source(path)) == alone


@pytest.mark.parametrize("broken", ["pack", "decode"])
def test_when_the_second_process_dies_one_reads_all(broken: str, two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = observe(source(PCAPS[0]))
    two(DIVIDED)
    monkeypatch.setattr(f"trace_go.together.{broken}", lambda *_: os._exit(1))
    assert observe(source(PCAPS[0])) == alone


@pytest.mark.usefixtures("small_chunks")
def test_progress_and_names(two: Two) -> None:
    seen: list[tuple[str, int, int | None]] = []
    two(DIVIDED)
    path = PCAPS[0]
    observed = observe(Source(captures=(str(path),), names=("this run",)), lambda *step: seen.append(step))
    assert observed.files[0].name == "this run"
    assert {name for name, _, _ in seen} == {"this run"}
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
    assert 0 < seen[-1][1] <= (seen[-1][2] or 0) <= path.stat().st_size
