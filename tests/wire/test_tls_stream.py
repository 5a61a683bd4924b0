"""TlsReader: every case is delivered whole, byte by byte, with trailing data, and with encrypted bodies left out."""

import ssl
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_go.model.errors import WireError
from trace_go.wire import tls
from trace_go.wire.tls_stream import (
    MAX_RECORD,
    AlertRecord,
    ChangeCipherSpec,
    EncryptedRecord,
    Event,
    HandshakeMessage,
    TlsReader,
    looks_like_tls,
)
from wire.tls_samples import TLS12, TLS13, client_hello, conversation, message, record, records, server_hello

HELLO = client_hello(session_id=bytes(32))
RETRY = server_hello(random=tls.HELLO_RETRY_RANDOM)
CCS = record(20, b"\1")
FINISHED = record(22, bytes(range(40)))
"""encrypted, TLS 1.2"""


class Case(NamedTuple):
    name: str
    stream: bytes
    events: list[str]
    """as `tell` puts them; of BROKEN the last is a WireError"""
    from_client: bool = True


COMPLETE = [
    Case("nothing", b"", []),
    Case("one message", record(22, message(1, HELLO)), ["message 1"]),
    Case("two in a record", record(22, message(2, RETRY) + message(14, b"")), ["message 2", "message 14"], False),
    Case("over three records", records(22, message(1, HELLO), 1, 3), ["message 1"]),
    Case("over records of a byte", records(22, message(1, HELLO), *range(1, 40)), ["message 1"]),
    Case("end and start", records(22, message(2, RETRY) + message(14, b""), 9), ["message 2", "message 14"], False),
    Case("odd minor version", record(22, message(1, HELLO), version=0x0377), ["message 1"]),
    Case("plain alert", record(21, b"\2\x2a"), ["alert 2 42"]),
    Case("encrypted alert", CCS + record(21, bytes(26)), ["ccs", "alert -1 -1"]),
    Case("TLS 1.2 Finished", CCS + FINISHED, ["ccs", "encrypted 22 40"]),
    Case("Finished like a hello", CCS + record(22, b"\1\0\0\0\3" + bytes(59)), ["ccs", "encrypted 22 64"]),
    Case("longer than any hello", CCS + record(22, b"\1\xff\0\0\3" + bytes(59)), ["ccs", "encrypted 22 64"]),
    Case("renegotiation", CCS + FINISHED + record(20, bytes(25)), ["ccs", "encrypted 22 40", "encrypted 20 25"]),
    Case("hello again", CCS + record(22, message(1, HELLO)), ["ccs", "message 1"]),
    Case("hello again, two records", CCS + records(22, message(1, HELLO), 50), ["ccs", "message 1"]),
    Case("hello of the other side", CCS + record(22, message(2, RETRY)), ["ccs", "encrypted 22 44"]),
    Case("empty application data", record(23, b""), ["encrypted 23 0"]),
    Case("heartbeat", record(24, bytes(19)), ["encrypted 24 19"]),
    Case("longest record", record(23, bytes(MAX_RECORD)), [f"encrypted 23 {MAX_RECORD}"]),
]
UNFINISHED = [
    Case("record", record(22, message(2, RETRY) + message(11, bytes(99)))[:-9], ["message 2"], False),
    Case("message", records(22, message(1, HELLO), 9)[:14], []),
    Case("message and alert", records(22, message(1, HELLO), 9)[:14] + record(21, b"\1\0"), ["alert 1 0"]),
    Case("alert", record(21, b"\1\0")[:-1], []),
    Case("ChangeCipherSpec", CCS[:-1], []),
    Case("encrypted or hello", CCS + record(22, bytes(64))[:9], ["ccs"]),
]
BROKEN = [
    Case("not TLS", b"HTTP/1.1 400 Bad Request\r\n\r\n", ["not a TLS record at byte 0"]),
    Case("no longer TLS", CCS + b"GET / HTTP/1.1", ["ccs", "not a TLS record at byte 6"]),
    Case("other major version", record(22, message(1, HELLO), version=0x0403), ["not a TLS record at byte 0"]),
    Case("empty record", record(22, b""), ["empty record at byte 0"]),
    Case("long record", record(23, bytes(MAX_RECORD + 1)), [f"record of {MAX_RECORD + 1} bytes at byte 0"]),
    Case("long message", record(22, b"\x0b\4\0\0"), ["handshake message of 262148 bytes at byte 5"]),
    Case("long ChangeCipherSpec", record(20, b"\1\1"), ["ChangeCipherSpec of 2 bytes at byte 0"]),
    Case("message cut short", records(22, message(1, HELLO), 9)[:14] + CCS, ["handshake message cut short at byte 14"]),
]


def tell(event: Event) -> str:
    match event:
        case HandshakeMessage():
            return f"message {event.type}"
        case AlertRecord():
            return f"alert {event.level} {event.description}"
        case ChangeCipherSpec():
            return "ccs"
        case EncryptedRecord():
            return f"encrypted {event.content_type} {event.length}"


def play(
    stream: bytes, from_client: bool, step: int, *, leave_out: bool = False
) -> tuple[list[Event], WireError | None]:
    """All events of `stream`, fed `step` bytes at a time; leave_out: what the reader does not need is not fed."""
    reader, events, position = TlsReader(from_client=from_client), [], 0
    try:
        while position < len(stream):
            if leave_out and reader.skip:
                gone = min(reader.skip, len(stream) - position)
                reader.skipped(gone)
                position += gone
            reader.receive(stream[position : position + step])
            position += step
            while event := reader.next_event():
                events.append(event)
    except WireError as error:
        with pytest.raises(WireError, match=error.reason):  # for good
            reader.next_event()
        return events, error
    return events, None


def told(stream: bytes, from_client: bool, step: int, *, leave_out: bool = False) -> list[str]:
    events, error = play(stream, from_client, step, leave_out=leave_out)
    return [*map(tell, events), *([str(error)] if error else [])]


def check_deliveries(stream: bytes, from_client: bool, expected: list[str]) -> None:
    assert told(stream, from_client, max(len(stream), 1)) == expected
    assert told(stream, from_client, 1) == expected
    assert told(stream, from_client, 1, leave_out=True) == expected


@pytest.mark.parametrize("case", [*COMPLETE, *UNFINISHED, *BROKEN], ids=lambda case: case.name)
def test_whole_and_byte_by_byte(case: Case) -> None:
    check_deliveries(case.stream, case.from_client, case.events)


@pytest.mark.parametrize("case", COMPLETE, ids=lambda case: case.name)
def test_with_trailing_data(case: Case) -> None:
    check_deliveries(case.stream + record(23, b"trailing"), case.from_client, [*case.events, "encrypted 23 8"])


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_nothing_is_read_behind_an_error(case: Case) -> None:
    check_deliveries(case.stream + record(23, b"trailing"), case.from_client, case.events)


GENUINE = [
    ("TLS 1.2", conversation(TLS12).client, True, "m1 m16 ccs e22 e23"),
    ("TLS 1.2", conversation(TLS12).server, False, "m2 m11 m12 m14 m4 ccs e22 e23"),
    ("TLS 1.2 refused", conversation(TLS12, trusted=False).client, True, "m1 alert/2/48"),
    ("TLS 1.3", conversation(TLS13).client, True, "m1 ccs e23 e23"),
    ("TLS 1.3", conversation(TLS13).server, False, "m2 ccs e23"),
    ("TLS 1.3 retry", conversation(TLS13, retry=True).client, True, "m1 ccs m1 e23 e23"),
    ("TLS 1.3 retry", conversation(TLS13, retry=True).server, False, "m2 ccs m2 e23"),
    ("TLS 1.3 refused", conversation(TLS13, trusted=False).client, True, "m1 alert/2/48"),
]


@pytest.mark.parametrize(("name", "stream", "from_client", "expected"), GENUINE)
def test_genuine_handshake(name: str, stream: bytes, from_client: bool, expected: str) -> None:
    """OpenSSL's own records; in TLS 1.3 it refuses a certificate with an alert in clear."""
    events, error = play(stream, from_client, len(stream))
    words = [tell(event).split() for event in events]
    short = " ".join(w[0][0] + w[1] if w[0] in ("message", "encrypted") else "/".join(w) for w in words)
    assert error is None
    assert short.startswith(expected)
    for step in (1, 5, 6, 1000):
        for leave_out in (False, True):
            assert play(stream, from_client, step, leave_out=leave_out) == (events, None)


def test_certificate_is_the_servers() -> None:
    talk = conversation(TLS12)
    events, _ = play(talk.server, False, 100)
    bodies = [event.body for event in events if isinstance(event, HandshakeMessage) and event.type == 11]
    assert [tls.certificate_chain(body) for body in bodies] == [(talk.certificate,)]


def test_offsets_are_those_of_the_stream() -> None:
    stream = conversation(TLS12).server
    for event in play(stream, False, 3)[0]:
        if isinstance(event, HandshakeMessage):
            assert stream[event.start : event.end] == message(event.type, event.body)
        else:
            assert event.end - event.start == 5 + int.from_bytes(stream[event.start + 3 : event.start + 5], "big")
    (split,), _ = play(records(22, message(1, HELLO), 2, 9), True, 1)
    assert (split.start, split.end) == (5, 3 * 5 + 4 + len(HELLO))


@pytest.mark.parametrize("version", [TLS12, TLS13])
@pytest.mark.parametrize("step", [1, 6, 100, 10_000])
def test_whole_records(version: ssl.TLSVersion, step: int) -> None:
    stream, reader, found = conversation(version).server, TlsReader(from_client=False, whole=True), []
    for start in range(0, len(stream), step):
        reader.receive(stream[start : start + step])
        assert not reader.skip
        while event := reader.next_event():
            found.append(event)
    assert list(map(tell, found)) == list(map(tell, play(stream, False, 1)[0]))
    encrypted = [event for event in found if isinstance(event, EncryptedRecord)]
    assert encrypted
    assert all(event.record == stream[event.start : event.end] for event in encrypted)


def test_whole_alert_is_a_record() -> None:
    reader = TlsReader(from_client=True, whole=True)
    reader.receive(record(21, b"\1\0") + record(21, bytes(26)))
    assert isinstance(reader.next_event(), AlertRecord)
    assert reader.next_event() == EncryptedRecord(
        content_type=21, length=26, start=7, end=38, record=record(21, bytes(26))
    )


def test_encrypted_body_is_not_waited_for() -> None:
    reader = TlsReader(from_client=True)
    reader.receive(record(23, bytes(1000))[:9])
    assert reader.next_event() == EncryptedRecord(content_type=23, length=1000, start=0, end=1005)
    assert (reader.skip, reader.encrypted) == (996, True)
    reader.skipped(990)
    reader.receive(bytes(6) + record(21, b"\1\0"))
    assert reader.next_event() == AlertRecord(level=1, description=0, start=1005, end=1012)
    assert (reader.skip, reader.next_event()) == (0, None)


def test_a_gap_is_an_error() -> None:
    reader = TlsReader(from_client=True)
    reader.receive(record(23, bytes(10))[:7])
    reader.next_event()
    with pytest.raises(WireError, match="bytes missing"):
        reader.skipped(9)


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"", None),
        (b"\x16", None),
        (b"\x16\3\1\2\0", None),
        (b"\x16\3\1\2\0\1", True),
        (b"\x16\3\x7f\2\0\2", True),
        (b"\x16\3\1\2\0\x0b", True),  # a capture that begins with the server's certificate
        (b"\x16\3\1\2\0\x10", False),
        (b"\x16\3\1\0\0\1", False),
        (b"\x16\3\1\xff\0\1", False),
        (b"\x16\2", False),
        (b"\x15\3\3\0\2", True),
        (b"\x17\3\3\0\x13", True),
        (b"\x80\x2e\1\3\1", False),  # SSL 2.0
        (b"GET / HTTP/1.1", False),
        (b"HTTP/1.1 200 OK", False),
    ],
)
def test_looks_like_tls(data: bytes, answer: bool | None) -> None:
    assert looks_like_tls(data) is answer


@given(st.binary(max_size=16))
def test_looks_like_tls_never_changes_its_mind(data: bytes) -> None:
    answers = [looks_like_tls(data[:size]) for size in range(len(data) + 1)]
    firm = [answer for answer in answers if answer is not None]
    assert answers == [None] * (len(answers) - len(firm)) + firm
    assert len(set(firm)) <= 1


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A genuine or hand-made stream with a few bytes replaced, removed or put in."""
    stream = bytearray(
        draw(
            st.sampled_from(
                [stream for _, stream, _, _ in GENUINE]
                + [case.stream[:2000] for case in [*COMPLETE, *UNFINISHED, *BROKEN]]
            )
        )
    )
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(stream)))
        stream[start : start + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(stream)


@given(st.one_of(st.binary(max_size=300), mutated()), st.booleans(), st.integers(1, 50))
def test_any_bytes_any_pieces_same_events(stream: bytes, from_client: bool, step: int) -> None:
    """Nothing but WireError leaves the reader, and what it tells does not depend on how the bytes came."""
    assert told(stream, from_client, step) == told(stream, from_client, max(len(stream), 1))
    assert told(stream, from_client, step, leave_out=True) == told(stream, from_client, step)
