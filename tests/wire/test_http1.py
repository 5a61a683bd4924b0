"""HTTP/1 readers: one table of streams, each read whole, byte by byte, with bodies skipped, and with data behind."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trace_go.model.errors import WireError
from trace_go.wire import http1
from trace_go.wire.http1 import BodyEnd, RequestEvent, RequestReader, ResponseEvent, ResponseReader
from trace_go.wire.page import START_BYTES

Reader = RequestReader | ResponseReader
Event = RequestEvent | ResponseEvent | BodyEnd
TLS = b"\x16\x03\x01\x02\x00"
UNTIL_CLOSE = 2**62


@dataclass(frozen=True, kw_only=True)
class Case:
    """`events` in short: a method with its target or a status for a head, the length for the end of a body."""

    data: bytes
    events: tuple[str | int, ...]
    answers: tuple[str, ...] | None = None
    """None: a request stream; else the methods that the response stream answers"""
    rest: bytes | None = None
    """what follows a switch"""
    until_close: bool = False


CASES = {
    "get": Case(data=b"GET /m/@v/list HTTP/1.1\r\nHost: h\r\n\r\n", events=("GET /m/@v/list", 0)),
    "bare line feeds": Case(data=b"GET / HTTP/1.0\nHost: h\n\n", events=("GET /", 0)),
    "mixed line ends": Case(data=b"GET / HTTP/1.0\r\nHost: h\n\r\n", events=("GET /", 0)),
    "no header": Case(data=b"OPTIONS * HTTP/1.1\r\n\r\n", events=("OPTIONS *", 0)),
    "blank lines before": Case(data=b"\r\n\n\r\nGET / HTTP/1.1\r\n\r\n", events=("GET /", 0)),
    "absolute form": Case(data=b"GET http://h/x?y HTTP/1.1\r\n\r\n", events=("GET http://h/x?y", 0)),
    "target with spaces": Case(data=b"GET /a b  HTTP/1.1 \r\n\r\n", events=("GET /a b", 0)),
    "unknown method": Case(data=b"BREW /pot HTTP/1.1\r\n\r\n", events=("BREW /pot", 0)),
    "no version": Case(data=b"CONNECT /HTTP/1.1\nHost: h\n\n", events=("CONNECT /HTTP/1.1",), rest=b""),
    "odd version": Case(data=b"CONNECT / HTTP/1.\nHost: h\n\n", events=("CONNECT /",), rest=b""),
    "no target": Case(data=b"OPTIONS HTTP/1.1\r\n\r\n", events=("OPTIONS ", 0)),
    "keep-alive": Case(
        data=b"GET /1 HTTP/1.1\r\n\r\nPOST /git-upload-pack HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
        b"HEAD /3 HTTP/1.1\r\n\r\n",
        events=("GET /1", 0, "POST /git-upload-pack", 5, "HEAD /3", 0),
    ),
    "blank line after a body": Case(
        data=b"POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx\r\nGET / HTTP/1.1\r\n\r\n",
        events=("POST /", 1, "GET /", 0),
    ),
    "chunks": Case(
        data=b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n"
        b"5\r\nhello\r\nA ;x=y\r\n\r\n\r\n345678\r\n0\r\nTrailer: t\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        events=("POST /", 15, "GET /", 0),
    ),
    "chunks with bare line feeds": Case(
        data=b"POST / HTTP/1.1\nTransfer-Encoding: chunked\n\n2\nhi\n000\n\n", events=("POST /", 2)
    ),
    "coding and length": Case(
        data=b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        events=("POST /", 0),
    ),
    "identity is no coding": Case(
        data=b"POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\nhi", events=("POST /", 2)
    ),
    "equal lengths": Case(data=b"PUT / HTTP/1.1\r\nContent-Length: 2, 2\r\n\r\nhi", events=("PUT /", 2)),
    "conflicting lengths": Case(
        data=b"PUT / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 7\r\n\r\nhi", events=("PUT /", 2)
    ),
    "unusable lengths": Case(
        data=b"PUT / HTTP/1.1\r\nContent-Length: -1\r\nContent-Length: \xb2, +1\r\n"
        b"Content-Length: 99999999999999999999\r\nContent-Length: 9223372036854775808\r\n\r\n",
        events=("PUT /", 0),
    ),
    "connect": Case(
        data=b"CONNECT proxy.golang.org:443 HTTP/1.1\r\nHost: x\r\n\r\n" + TLS,
        events=("CONNECT proxy.golang.org:443",),
        rest=TLS,
    ),
    "upgrade taken": Case(
        data=b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n\x81\x85GET ", events=("GET /ws", 0), rest=b"\x81\x85GET "
    ),
    "upgrade to h2c": Case(
        data=b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        events=("GET /", 0),
        rest=b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ),
    "upgrade declined": Case(
        data=b"GET /1 HTTP/1.1\r\nUpgrade: h2c\r\n\r\nGET /2 HTTP/1.1\r\n\r\n", events=("GET /1", 0, "GET /2", 0)
    ),
    "ok": Case(data=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", answers=("GET",), events=(200, 2)),
    "no reason": Case(data=b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", answers=("GET",), events=(200, 0)),
    "nobody asked": Case(data=b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", answers=(), events=(200, 2)),
    "until the end": Case(data=b"HTTP/1.0 200 OK\r\n\r\nhello", answers=("GET",), events=(200, 5), until_close=True),
    "unframed by its coding": Case(
        data=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhello",
        answers=("GET",),
        events=(200, 5),
        until_close=True,
    ),
    "answers without a body": Case(
        data=b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"
        b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nx",
        answers=("HEAD", "GET", "DELETE", "GET"),
        events=(200, 0, 304, 0, 204, 0, 404, 1),
    ),
    "interim answers": Case(
        data=b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        answers=("HEAD", "GET"),
        events=(100, 103, 200, 0, 200, 1),
    ),
    "tunnel opened": Case(
        data=b"HTTP/1.1 200 Connection established\r\n\r\n" + TLS, answers=("CONNECT",), events=(200,), rest=TLS
    ),
    "tunnel refused": Case(
        data=b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 2\r\n\r\nno"
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + TLS,
        answers=("CONNECT", "CONNECT"),
        events=(407, 2, 200),
        rest=TLS,
    ),
    "switching protocols": Case(
        data=b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x01x", answers=("GET",), events=(101,), rest=b"\x81\x01x"
    ),
}


def reader_of(case: Case) -> Reader:
    if case.answers is None:
        return RequestReader()
    reader = ResponseReader()
    for method in case.answers:
        reader.expect(method)
    return reader


def short(event: Event) -> str | int:
    if isinstance(event, BodyEnd):
        return event.length
    return f"{event.head.method} {event.head.target}" if isinstance(event, RequestEvent) else event.head.status


def deliver(reader: Reader, pieces: Iterable[bytes], skipping: bool = False) -> list[Event]:
    """Feeds the pieces and collects the events; `skipping` keeps what `skip` allows from the reader."""
    events: list[Event] = []
    for piece in pieces:
        hidden = min(reader.skip, len(piece)) if skipping else 0
        if hidden:
            reader.skipped(hidden)
        if hidden < len(piece):
            reader.receive(piece[hidden:])
        while event := reader.next_event():
            events.append(event)
    return events


def pieces_of(data: bytes, size: int) -> list[bytes]:
    return [data[pos : pos + size] for pos in range(0, len(data), size)]


def outcome(reader: Reader, pieces: Iterable[bytes]) -> tuple[list[Event], bytes, bool, str]:
    events: list[Event] = []
    error = ""
    try:
        for piece in pieces:
            reader.receive(piece)
            while event := reader.next_event():
                events.append(event)
    except WireError as raised:
        error = str(raised)
    return events, reader.rest if reader.switched else b"", reader.switched, error


@pytest.mark.parametrize("name", CASES)
def test_whole_byte_by_byte_in_pieces_and_skipping(name: str) -> None:
    case = CASES[name]
    seen = []
    for size in (len(case.data), 1, 3, 17):
        for skipping in (False, True):
            reader = reader_of(case)
            events = deliver(reader, pieces_of(case.data, size), skipping)
            if case.until_close:
                assert reader.skip > UNTIL_CLOSE
                reader.close()
                events += deliver(reader, [b""])
            assert tuple(map(short, events)) == case.events
            assert reader.switched == (case.rest is not None)
            assert reader.rest == (case.rest or b"")
            assert reader.skip == 0
            assert reader.next_event() is None
            seen.append(events)
    assert all(events == seen[0] for events in seen)
    end = 0
    for event in seen[0]:
        if not isinstance(event, BodyEnd):
            assert event.start >= end
            assert event.head.head_bytes == event.end - event.start
        assert event.end >= end
        end = event.end
    assert end == len(case.data) - len(case.rest or b"")


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", [1, 5, 10_000])
def test_trailing_data(name: str, size: int) -> None:
    case = CASES[name]
    reader = reader_of(case)
    if case.until_close:
        deliver(reader, pieces_of(case.data + TLS, size))
        reader.close()
        assert reader.next_event() == BodyEnd(length=5 + len(TLS), end=len(case.data + TLS))
    elif case.rest is not None:
        assert tuple(map(short, deliver(reader, pieces_of(case.data + TLS, size)))) == case.events
        assert reader.rest == case.rest + TLS
    else:
        events, _, _, error = outcome(reader, pieces_of(case.data + b"\0" + TLS, size))
        assert tuple(map(short, events)) == case.events
        assert error.endswith(f" at byte {len(case.data)}")
        reader.receive(b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(WireError) as again:
            reader.next_event()
        assert str(again.value) == error
        assert (reader.rest, reader.skip) == (b"", 0)


@pytest.mark.parametrize("name", CASES)
def test_cut_streams_wait_for_more(name: str) -> None:
    case = CASES[name]
    for size in range(len(case.data)):
        reader = reader_of(case)
        seen = tuple(map(short, deliver(reader, [case.data[:size]])))
        assert case.events[: len(seen)] == seen
        if not case.until_close:
            reader.close()
            assert reader.next_event() is None


def test_heads_are_kept_as_sent() -> None:
    reader = ResponseReader()
    reader.receive(
        b"HTTP/1.1 307 Temporary \xe9 Redirect\r\nLocation: https://h/x?y \r\nX-Fold: one\r\n\t two\r\n"
        b"no colon\r\nEmpty:\r\nSpace : v\r\nVia: 1.1 a\r\nVIA:1.1 b\r\n\r\n"
    )
    event = reader.next_event()
    assert isinstance(event, ResponseEvent)
    assert (event.head.version, event.head.reason) == ("HTTP/1.1", "Temporary é Redirect")
    assert event.head.headers == (
        ("location", "https://h/x?y"),
        ("x-fold", "one two"),
        ("", "no colon"),
        ("empty", ""),
        ("space", "v"),
        ("via", "1.1 a"),
        ("via", "1.1 b"),
    )
    request = RequestReader()
    request.receive(b"GET /\xff HTTP/1.1\r\n  not folded\r\n\r\n")
    read = request.next_event()
    assert isinstance(read, RequestEvent)
    assert (read.head.target, read.head.version, read.head.headers) == ("/ÿ", "HTTP/1.1", (("", "  not folded"),))


def test_connect_ends_http1() -> None:
    reader = RequestReader()
    connect = b"CONNECT h:443 HTTP/1.1\r\n\r\n"
    assert len(deliver(reader, [connect, connect])) == 1
    assert reader.rest == connect


def test_the_first_bytes_of_a_body_are_kept_as_far_as_they_came() -> None:
    reader = ResponseReader()
    for body, pieces in ((b"<html>" + bytes(1000), 1), (b"PK" * 300, 7), (b"", 1), (b"module a", 1)):
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        deliver(reader, pieces_of(head + body, -(-len(head + body) // pieces)))
        assert reader.start == body[:START_BYTES]
    reader.receive(b"HTTP/1.1 200 OK\r\nContent-Length: 300\r\n\r\nab")
    assert isinstance(reader.next_event(), ResponseEvent)
    assert reader.next_event() is None
    reader.skipped(100)
    reader.receive(b"c" * 198)
    assert isinstance(reader.next_event(), BodyEnd)
    assert reader.start == b"ab"


def test_skipping_a_large_body_and_a_gap_beyond_it() -> None:
    reader = ResponseReader()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n"
    deliver(reader, [head + b"first"])
    assert reader.skip == 1_000_000_000 - 5
    reader.skipped(999_999_000)
    reader.receive(b"x" * 900)
    assert reader.skip == 95, "bytes received and not yet read are no longer to come"
    reader.skipped(95)
    assert reader.next_event() == BodyEnd(length=1_000_000_000, end=len(head) + 1_000_000_000)
    with pytest.raises(WireError) as error:
        reader.skipped(1)
    assert error.value.offset == len(head) + 1_000_000_000


@pytest.mark.parametrize(
    ("reader", "data", "offset"),
    [
        (RequestReader, TLS, 0),
        (RequestReader, b" / HTTP/1.1\r\n\r\n", 0),
        (RequestReader, b"GET\r\n", 0),
        (RequestReader, b"A" * (http1.MAX_METHOD_BYTES + 1), 0),
        (RequestReader, b"\r\nEHLO there\r\nMAIL x\r\n\r\n", 2),
        (RequestReader, b"BREW /\r\n\r\n", 0),
        (RequestReader, b"BREW / HTTP/1.\r\n\r\n", 0),
        (RequestReader, b"OPTIONS rtsp://h RTSP/1.0\r\n\r\n", 0),
        (RequestReader, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0),
        (RequestReader, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * (http1.MAX_HEADER_LINES + 1) + b"\r\n", 0),
        (RequestReader, b"\nGET / HTTP/1.1\r\n" + b"a" * http1.MAX_HEAD_BYTES, 1),
        (ResponseReader, b"SSH-2.0-x\r\n", 0),
        (ResponseReader, b"HTTP/2.0 200 OK\r\n\r\n", 0),
        (ResponseReader, b"HTTP/1.1 OK\r\n\r\n", 0),
        (ResponseReader, b"HTTP/1.1 2000 OK\r\n\r\n", 0),
        (ResponseReader, b"HTTP/1.1 2\xb20 OK\r\n\r\n", 0),
        (ResponseReader, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", 47),
        (ResponseReader, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\n", 47),
        (ResponseReader, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 16 + b"\r\n", 47),
        (ResponseReader, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n", 51),
        (ResponseReader, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 4096, 47),
    ],
)
@pytest.mark.parametrize("size", [1, 1_000_000])
def test_what_is_refused_and_where(reader: type[Reader], data: bytes, offset: int, size: int) -> None:
    with pytest.raises(WireError) as error:
        deliver(reader(), pieces_of(data, size))
    assert error.value.offset == offset


def test_endless_trailers_are_refused() -> None:
    reader = ResponseReader()
    reader.receive(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"a: b\r\n" * 20_000)
    reader.next_event()
    with pytest.raises(WireError, match="trailers"):
        reader.next_event()


@pytest.mark.parametrize(
    ("data", "request_", "response"),
    [
        (b"", None, None),
        (b"G", None, False),
        (b"GET", None, False),
        (b"GET ", True, False),
        (b"GETS /", False, False),
        (b"get / ", False, False),
        (b"CONNECT h:1", True, False),
        (b"PROPFIND /", True, False),
        (b"VERSION-CONTRO", None, False),
        (b"VERSION-CONTROL ", True, False),
        (b"H", None, None),
        (b"HEAD ", True, False),
        (b"HTTP/1.", False, True),
        (b"HTTP/1.1 200", False, True),
        (b"HTTP/2", False, False),
        (b"PRI * HTTP/2.0", False, False),
        (b"EHLO x", False, False),
        (TLS, False, False),
    ],
)
def test_first_bytes(data: bytes, request_: bool | None, response: bool | None) -> None:
    assert http1.looks_like_request(data) is request_
    assert http1.looks_like_response(data) is response


FRAGMENTS = st.lists(
    st.sampled_from(
        (
            b"GET / HTTP/1.1\r\n|CONNECT a:1 HTTP/1.1\r\n|HEAD |PRI * HTTP/2.0\r\n\r\n|HTTP/1.1 200 OK\r\n"
            b"|HTTP/1.0 100 x\n|Content-Length: 3\r\n|Transfer-Encoding: chunked\r\n|Upgrade: x\r\n| fold\r\n|:\r\n"
            b"|\r\n|\n|\r|3\r\nabc\r\n|0\r\n|0\r\n\r\n|abc|;x|\0|\xff"
        ).split(b"|")
    )
    | st.binary(max_size=4),
    max_size=12,
).map(b"".join)


@given(data=FRAGMENTS, size=st.integers(1, 20), methods=st.lists(st.sampled_from(["GET", "HEAD", "CONNECT"])))
def test_pieces_make_no_difference_and_only_wire_errors_leave(data: bytes, size: int, methods: list[str]) -> None:
    assert outcome(RequestReader(), [data]) == outcome(RequestReader(), pieces_of(data, size))
    readers = [ResponseReader(), ResponseReader()]
    for reader in readers:
        for method in methods:
            reader.expect(method)
    assert outcome(readers[0], [data]) == outcome(readers[1], pieces_of(data, size))


@given(data=FRAGMENTS, size=st.integers(1, 20))
def test_skipping_makes_no_difference(data: bytes, size: int) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    for start in (head, head.replace(b"Transfer-Encoding: chunked", b"Content-Length: 5")):
        seen = []
        for skipping in (False, True):
            events: list[Event] = []
            reader = ResponseReader()
            with contextlib.suppress(WireError):
                for piece in pieces_of(start + data, size):
                    events += deliver(reader, [piece], skipping)
            seen.append(events)
        assert seen[0] == seen[1]


@given(st.binary(max_size=40))
def test_first_bytes_decide_once(data: bytes) -> None:
    for looks in (http1.looks_like_request, http1.looks_like_response):
        answers = [looks(data[:size]) for size in range(len(data) + 1)]
        decided = [answer for answer in answers if answer is not None]
        assert len(set(decided)) <= 1
        assert None not in answers[len(answers) - len(decided) :]
