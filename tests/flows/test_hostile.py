"""Packets made to cost much: each flood is read in seconds and keeps little, and what stands behind it is read, too."""

import random
import struct
import time
import tracemalloc
from collections.abc import Callable

import pytest

from flows.frames import ACK, START_NS, TCP, UDP, Frame, Talk, batches, ip, link, tcp, udp
from flows.tls_talks import hello
from trace_go.flows import reassembly
from trace_go.flows.engine import Engine
from wire.tls_samples import message, record, records

MB = 1 << 20
SECONDS, KEPT = 8.0, 24 * MB
"""of processor time, with memory traced; and kept at most once all was read"""
SERVER = ("192.0.2.80", 80)
SEGMENT = 60_000


def talk(*, up: bytes = b"", down: bytes = b"") -> list[Frame]:
    return Talk(server=SERVER).open().up(up, SEGMENT).down(down, SEGMENT).frames


def dns(body: bytes, port: int = 5353) -> Frame:
    return Frame(link(ip("10.0.0.2", "10.0.0.1", UDP, udp(port, 53, body))), START_NS)


def pointers() -> list[Frame]:
    """Names of 3,000 pointers, each to the one before it."""
    chain = b"".join(struct.pack("!H", 0xC000 | max(10 + 2 * n, 12)) for n in range(3000))
    return [dns(struct.pack("!6H", 7, 0x100, 2, 0, 0, 0) + b"\0\0" + chain + b"\0\1\0\1", 1024 + n) for n in range(200)]


def records_without_end() -> list[Frame]:
    """Messages that announce 65,535 answers, and have none."""
    return [dns(struct.pack("!6H", n, 0x8100, 0xFFFF, 0xFFFF, 0xFFFF, 0xFFFF)) for n in range(20_000)]


def extensions() -> list[Frame]:
    """A hello with 64 KiB of extensions."""
    head = b"\3\3" + bytes(32) + b"\0\0\2\x13\1\1\0"
    empty = b"".join(struct.pack("!HH", n, 0) for n in range(16_000))
    body = head + struct.pack("!H", len(empty)) + empty
    return talk(up=records(22, message(1, body), *range(16_000, len(body), 16_000)))


def long_message() -> list[Frame]:
    """A handshake message of 16 MiB."""
    return talk(up=hello(), down=record(22, b"\x0b\xff\xff\xff" + bytes(16_000)) + record(22, bytes(16_000)) * 1000)


def tiny_records() -> list[Frame]:
    """A handshake message in records of a byte."""
    return talk(up=records(22, message(1, bytes(60_000)), *range(1, 60_000)))


def headers() -> list[Frame]:
    """HTTP heads that do not end, of both sides."""
    line = b"X-Header: " + b"x" * 90 + b"\r\n"
    return talk(up=b"GET / HTTP/1.1\r\n" + line * 60_000, down=b"HTTP/1.1 200 OK\r\n" + line * 60_000)


def one_line() -> list[Frame]:
    return talk(up=b"GET /" + b"a" * (8 * MB), down=b"HTTP/1.1 200 " + b"b" * (8 * MB))


def one_by_one() -> list[Frame]:
    """A head that comes in 30,000 segments of a byte."""
    return Talk(server=SERVER).open().up(b"GET /" + b"a" * 30_000, 1).frames


def requests() -> list[Frame]:
    """Requests without answers, one behind the other."""
    return talk(up=b"GET /a HTTP/1.1\r\n\r\n" * 100_000)


def chunks() -> list[Frame]:
    """An answer in chunks of a byte."""
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    return talk(up=b"GET / HTTP/1.1\r\n\r\n", down=answer + b"1\r\nx\r\n" * 150_000)


def segments_apart() -> list[Frame]:
    """Segments with holes between them, in random order."""
    talk = Talk(server=SERVER).open()
    places = [2 + 3 * n for n in range(20_000)]
    random.Random(7).shuffle(places)
    return talk.frames + [talk.packet(0, b"x", seq=talk.next[0] + place) for place in places]


def holes_everywhere() -> list[Frame]:
    """Many connections that each miss a segment."""
    frames = []
    for n in range(1500):
        talk = Talk((f"10.1.{n >> 8}.{n & 255}", 1024 + n), SERVER).open()
        talk.next[0] += 1
        frames += talk.up(bytes(50_000), SEGMENT).frames
    return frames


def fragments() -> list[Frame]:
    """First fragments whose rest never comes."""
    body = ip("10.0.0.2", "192.0.2.80", UDP, bytes(1400), fragment=0x2000)
    return [
        Frame(link(body[:4] + struct.pack("!H", n & 0xFFFF) + body[6:]), START_NS + n * 1000) for n in range(10_000)
    ]


def unknown_protocol() -> list[Frame]:
    """What is searched for a hello, and begins like one all the time."""
    return talk(up=b"\x16\x03\x01" * (4 * MB), down=b"\x16\x03\x01\0\0\1\0" * MB)


def sequence_numbers() -> list[Frame]:
    """Segments of one connection at random numbers."""
    chance = random.Random(7)
    made = Talk(server=SERVER).open().frames
    for _ in range(30_000):
        body = tcp(40001, 80, b"x" * 20, seq=chance.getrandbits(32), ack=chance.getrandbits(32), flags=ACK)
        made.append(Frame(link(ip("10.0.0.2", "192.0.2.80", TCP, body)), START_NS))
    return made


FLOODS = [
    pointers,
    records_without_end,
    extensions,
    long_message,
    tiny_records,
    headers,
    one_line,
    one_by_one,
    requests,
    chunks,
    segments_apart,
    holes_everywhere,
    fragments,
    unknown_protocol,
    sequence_numbers,
]


@pytest.mark.parametrize("flood", FLOODS)
def test_floods(flood: Callable[[], list[Frame]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reassembly, "MAX_HELD", 8 * MB)
    frames = flood()
    after = Talk(("10.9.9.9", 5000), ("192.0.2.1", 443), start_ns=frames[-1].time_ns + 10**9).open().up(hello())
    made = batches([*frames, *after.frames], *[2000] * (len(frames) // 2000))
    engine = Engine(lambda _: "")
    tracemalloc.start()
    began = time.process_time()
    try:
        for batch in made:
            engine.add(batch)
        flows = engine.finish().flows
        took, kept = time.process_time() - began, tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert took < SECONDS
    assert kept < KEPT
    assert flows[-1].tls is not None
    assert flows[-1].tls.hello is not None
