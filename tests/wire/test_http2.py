"""Http2Reader: every case is delivered whole, byte by byte, and with trailing data."""

import struct
from typing import NamedTuple

import pytest
from hpack import Encoder
from hypothesis import given
from hypothesis import strategies as st

from trace_go.model.errors import WireError
from trace_go.wire import http2
from trace_go.wire.header_block import MAX_TABLE
from trace_go.wire.http2 import Data, Event, GoAway, Headers, Http2Reader, Reset, Settings

GET = ((":method", "GET"), (":scheme", "https"), (":authority", "proxy.golang.org"), (":path", "/a/@v/list"))
OK = ((":status", "200"), ("content-type", "text/plain"))
END, END_HEADERS, PADDED, PRIORITY = 1, 4, 8, 32


def frame(kind: int, body: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body


def block(fields: tuple[tuple[str, str], ...], encoder: Encoder | None = None) -> bytes:
    return bytes((encoder or Encoder()).encode(fields))


def headers(fields: tuple[tuple[str, str], ...], *, flags: int = 0, stream: int = 1) -> bytes:
    return frame(1, block(fields), flags=flags | END_HEADERS, stream=stream)


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(4, b"".join(struct.pack("!HI", *pair) for pair in pairs))


def tell(event: Event) -> str:
    match event:
        case Headers():
            shown = " ".join(value for _, value in event.fields)
            return f"headers {event.stream} {shown}{' end' if event.ends else ''}"
        case Data():
            return f"data {event.stream} {event.data.decode()}{' end' if event.ends else ''}"
        case Reset():
            return f"reset {event.stream} {event.code}"
        case GoAway():
            return f"goaway {event.last_stream} {event.code}"
        case Settings():
            return f"table {event.table_bytes}"


def told(stream: bytes, step: int, *, from_client: bool = False) -> list[str]:
    """Events; pieces of one body as one."""
    reader, found = Http2Reader(from_client), list[str]()
    body = ""
    try:
        for start in range(0, len(stream), step):
            reader.receive(stream[start : start + step])
            while event := reader.next_event():
                if isinstance(event, Data) and not event.ends:
                    body += event.data.decode()
                elif isinstance(event, Data):
                    found.append(f"data {event.stream} {body}{event.data.decode()} end")
                    body = ""
                else:
                    found.append(tell(event))
    except WireError as error:
        with pytest.raises(WireError, match=error.reason):  # for good
            reader.next_event()
        found.append(str(error))
    return found + ([f"body {body}"] if body else [])


class Case(NamedTuple):
    name: str
    stream: bytes
    events: list[str]


_BLOCK = block(OK)
COMPLETE = [
    Case("settings", settings((1, 4096), (3, 100)), ["table 4096"]),
    Case("settings without a table", settings((3, 100)), []),
    Case("settings twice in one", settings((1, 100), (1, 0)), ["table 100"]),
    Case("acknowledgement", frame(4, flags=1), []),
    Case("answer", headers(OK), ["headers 1 200 text/plain"]),
    Case("answer without body", headers(OK, flags=END), ["headers 1 200 text/plain end"]),
    Case(
        "body",
        headers(OK) + frame(0, b"v1.0.0\n", flags=END, stream=1),
        ["headers 1 200 text/plain", "data 1 v1.0.0\n end"],
    ),
    Case("empty end", frame(0, flags=END, stream=3), ["data 3  end"]),
    Case("padded", frame(0, b"\3abc\0\0\0", flags=END | PADDED, stream=1), ["data 1 abc end"]),
    Case("padding only", frame(0, b"\3\0\0\0", flags=END | PADDED, stream=1), ["data 1  end"]),
    Case(
        "padded block",
        frame(1, b"\2" + _BLOCK + b"\0\0", flags=END_HEADERS | PADDED, stream=1),
        ["headers 1 200 text/plain"],
    ),
    Case("priority", frame(1, bytes(5) + _BLOCK, flags=END_HEADERS | PRIORITY, stream=1), ["headers 1 200 text/plain"]),
    Case(
        "continued",
        frame(1, _BLOCK[:2], flags=END, stream=1)
        + frame(9, _BLOCK[2:5], stream=1)
        + frame(9, _BLOCK[5:], flags=END_HEADERS, stream=1),
        ["headers 1 200 text/plain end"],
    ),
    Case("promise", frame(5, bytes(4) + block(GET), flags=END_HEADERS, stream=1), []),
    Case("reset", frame(3, struct.pack("!I", 8), stream=5), ["reset 5 8"]),
    Case("goaway", frame(7, struct.pack("!II", 7, 2) + b"debug"), ["goaway 7 2"]),
    Case(
        "passed over",
        frame(6, bytes(8)) + frame(8, bytes(4)) + frame(99, bytes(70_000)) + frame(3, bytes(4), stream=1),
        ["reset 1 0"],
    ),
    Case("long control frame", frame(4, bytes(20_000)) + frame(3, bytes(4), stream=1), ["reset 1 0"]),
]
UNFINISHED = [
    Case("header", settings()[:-1], []),
    Case("block", headers(OK)[:-1], []),
    Case("body", frame(0, b"abcdef", flags=END, stream=1)[:-2], ["body abcd"]),
    Case("without end of headers", frame(1, _BLOCK, stream=1), []),
]
BROKEN = [
    Case("other frame in a block", frame(1, _BLOCK, stream=1) + settings(), ["header block cut short at byte 19"]),
    Case(
        "other stream in a block",
        frame(1, _BLOCK, stream=1) + frame(9, stream=3),
        ["header block cut short at byte 19"],
    ),
    Case("continuation of nothing", frame(9, _BLOCK, stream=1), ["CONTINUATION without a header block at byte 0"]),
    Case("long block", frame(1, bytes(66_000))[:9], ["header block longer than 65536 bytes at byte 0"]),
    Case(
        "continuation flood",
        frame(1, bytes(16_000), stream=1) + frame(9, bytes(16_000), stream=1) * 9,
        ["header block longer than 65536 bytes at byte 64036"],
    ),
    Case("padding beyond the frame", frame(0, b"\7abc", flags=PADDED), ["more padding than frame at byte 0"]),
    Case("padding beyond the block", frame(1, b"\7abc", flags=PADDED), ["more padding than frame at byte 0"]),
    Case("no such index", frame(1, b"\xff\xff\xff", flags=END_HEADERS), ["header block does not unpack at byte 0"]),
    Case(
        "bomb",
        frame(1, block((("a", "b" * 4000),)) + b"\xbe" * 17, flags=END_HEADERS),
        ["header block does not unpack at byte 0"],
    ),
    Case(
        "table larger than allowed",
        frame(1, b"\x3f\xe1\x7f", flags=END_HEADERS),
        ["header block does not unpack at byte 0"],
    ),
]


@pytest.mark.parametrize("case", [*COMPLETE, *UNFINISHED, *BROKEN], ids=lambda case: case.name)
def test_whole_and_byte_by_byte(case: Case) -> None:
    for step in (len(case.stream), 1000, 1):
        assert told(case.stream, step) == case.events


@pytest.mark.parametrize("case", COMPLETE, ids=lambda case: case.name)
def test_with_trailing_data(case: Case) -> None:
    for step in (len(case.stream) + 99, 7):
        assert told(case.stream + frame(3, bytes(4), stream=9), step) == [*case.events, "reset 9 0"]


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: case.name)
def test_nothing_is_read_behind_an_error(case: Case) -> None:
    assert told(case.stream + frame(3, bytes(4), stream=9), 50) == case.events


def test_client_begins_with_the_preface() -> None:
    stream = http2.PREFACE + settings((1, 65536)) + headers(GET, flags=END)
    for step in (1, 5, 1000):
        events = told(stream, step, from_client=True)
        assert events == ["table 65536", "headers 1 GET https proxy.golang.org /a/@v/list end"]
    assert told(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 99, from_client=True) == ["no HTTP/2 preface at byte 0"]


def test_table_is_shared_by_blocks_and_may_grow() -> None:
    encoder, reader = Encoder(), Http2Reader(from_client=False)
    reader.allow_table(1 << 30)
    encoder.header_table_size = MAX_TABLE
    fields = tuple((f"x-{number}", "v" * 40) for number in range(200))
    for _ in range(3):
        reader.receive(frame(1, block(fields, encoder), flags=END_HEADERS, stream=1))
        event = reader.next_event()
        assert isinstance(event, Headers)
        assert event.fields == fields


def test_looks_like() -> None:
    for size in range(len(http2.PREFACE)):
        assert http2.looks_like_client(http2.PREFACE[:size]) is None
    assert http2.looks_like_client(http2.PREFACE + b"x")
    assert http2.looks_like_client(b"PRI * HTTP/1.1") is False
    first = settings((3, 100))
    for size in range(9):
        assert http2.looks_like_server(first[:size]) is None
    assert http2.looks_like_server(first)
    assert http2.looks_like_server(b"HTTP/1.1 200 OK") is False
    assert http2.looks_like_server(b"\0\0\1" + first[3:]) is False


FRAMES = st.builds(
    lambda kind, body, flags, stream: frame(kind, body, flags=flags, stream=stream),
    st.integers(0, 10), st.binary(max_size=60), st.integers(0, 255), st.integers(0, 3),
)  # fmt: skip


@given(st.one_of(st.binary(max_size=300), st.lists(FRAMES, max_size=12).map(b"".join)), st.booleans())
def test_any_bytes(data: bytes, from_client: bool) -> None:
    """Events or WireError, the same in any pieces."""

    def shown(step: int) -> list[object]:
        reader, found, body = Http2Reader(from_client), list[object](), dict[int, bytes]()
        try:
            for start in range(0, len(data), step):
                reader.receive(data[start : start + step])
                while event := reader.next_event():
                    if isinstance(event, Data):
                        body[event.stream] = body.get(event.stream, b"") + event.data
                    else:
                        found.append(event)
        except WireError as error:
            found.append(str(error))
        return [found, body]

    assert shown(len(data) or 1) == shown(1)
