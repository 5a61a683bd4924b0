"""HTTP/1 in clear, one direction each (RFC 9112). Sans-IO: bytes in, events out, offsets count from the stream's start.

An observer reads what servers would refuse: an odd or missing version after a known method, bare LF, folded lines,
lines without a colon (kept under the empty name), conflicting lengths (the first that is a number counts), a transfer
coding next to a length (the coding counts). All of it stays visible in the head. WireError means that the place of the
next message is unknown; it is final.
"""

import re
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from msgspec import Struct

from trace_go.model.errors import WireError
from trace_go.model.http import HttpRequestHead, HttpResponseHead
from trace_go.wire.page import START_BYTES

MAX_HEAD_BYTES = 64 * 1024  # ours: Node 16 KiB, nginx 32 KiB, go's server 1 MiB; a flow's head must stay small
MAX_HEADER_LINES = 2_000  # Node's maxHeadersCount; Apache's LimitRequestFields is 100
MAX_METHOD_BYTES = 32  # ours: the longest registered method has 17
MAX_CHUNK_LINE_BYTES = 4_096  # maxLineLength of net/http/internal/chunked.go
MAX_CHUNK_DIGITS = 15  # parseHexUint there takes 16; one less keeps every size below MAX_LENGTH
MAX_LENGTH = 2**63 - 1  # net/http parseContentLength
PIECE_BYTES = 16 * 1024  # ours: of wanted content, taken together
MAX_UNANSWERED = 1_000  # ours: requests without an answer remembered, the oldest go; go and git never pipeline

_METHODS = frozenset(
    b"GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH QUERY PURGE "
    b"PROPFIND PROPPATCH MKCOL COPY MOVE LOCK UNLOCK SEARCH REPORT ACL BIND UNBIND REBIND LINK UNLINK MERGE LABEL "
    b"UPDATE CHECKIN CHECKOUT UNCHECKOUT MKACTIVITY MKWORKSPACE MKCALENDAR VERSION-CONTROL ORDERPATCH".split()
)  # RFC 9110, 5789, 4918, 3253 (svn), 5323, 3744, 5842, 3648
_METHOD_STARTS = frozenset(method[:size] for method in _METHODS for size in range(len(method) + 1))
_LONGEST_METHOD = max(map(len, _METHODS))
_RESPONSE_START = b"HTTP/1."

_SPACE = " \t"
_BLANK = b"\r\n"
_BLANK_BLOCK = 64  # bytes looked at together where blank lines are passed over
_UNTIL_CLOSE = MAX_LENGTH + 1

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VERSION = re.compile(r"HTTP/1\.[0-9]")
_OTHER_PROTOCOL = re.compile(r" (?!HTTP/)[A-Z]+/[0-9.]*$")  # RTSP/1.0, SIP/2.0, ICAP/1.0
_STATUS_LINE = re.compile(r"(HTTP/1\.[0-9]) +([0-9]{3})(?: +(.*))?", re.DOTALL)
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9A-Fa-f]{1,%d})[ \t]*(?:;.*)?" % MAX_CHUNK_DIGITS, re.DOTALL)


class RequestEvent(Struct, frozen=True, kw_only=True):
    head: HttpRequestHead
    start: int
    end: int
    """offset behind the blank line"""


class ResponseEvent(Struct, frozen=True, kw_only=True):
    """A response head. Interim ones (1xx) have no BodyEnd and answer no request."""

    head: HttpResponseHead
    start: int
    end: int


class BodyEnd(Struct, frozen=True, kw_only=True):
    """Follows every head except interim responses and those that switch, also when the body is empty."""

    length: int
    """bytes of content, without chunk framing"""
    end: int


class BodyData(Struct, frozen=True, kw_only=True):
    """Some bytes of content; only when they are wanted."""

    data: bytes


_Head = TypeVar("_Head", RequestEvent, ResponseEvent)
_Headers = tuple[tuple[str, str], ...]


def looks_like_request(data: bytes) -> bool | None:
    """Whether a connection starts with a known method and a space; None = need more. Reads at most 16 bytes."""
    method, space, _ = data[: _LONGEST_METHOD + 1].partition(b" ")
    if space:
        return method in _METHODS
    return None if method in _METHOD_STARTS else False


def looks_like_response(data: bytes) -> bool | None:
    """Whether a connection's answer starts as HTTP/1.0 or 1.1 do; None = need more."""
    if data.startswith(_RESPONSE_START):
        return True
    return None if _RESPONSE_START.startswith(data) else False


class _Reader(Generic[_Head]):
    """Both directions' framing. A state is a method that returns an event, or None when it went on or needs more."""

    def __init__(self) -> None:
        self.switched = False
        """the stream is no longer HTTP/1; `rest` is what followed"""
        self.wanted = False
        """the content of the message whose head came last is to come out, too"""
        self._buffer = bytearray()
        self._offset = 0  # of the buffer in the stream
        self._searched = 0  # bytes of the buffer known to hold no end of what is awaited
        self._left = 0  # bytes of the body or chunk still to come; the buffered ones included
        self._length = 0  # content bytes of this body so far
        self.start = b""
        """the first bytes of the latest body, at most START_BYTES and as far as they were not skipped"""
        self._trailer_bytes = 0
        self._closed = False
        self._error: WireError | None = None
        self._state: Callable[[_Reader[_Head]], _Head | BodyData | BodyEnd | None] = _Reader._read_head

    @property
    def rest(self) -> bytes:
        """What was received and not read: once `switched`, the bytes of the other protocol."""
        return bytes(self._buffer)

    @property
    def skip(self) -> int:
        """Bytes of content that come next in the stream and need not be received; more than 2**62 = until it closes."""
        return 0 if self.wanted else max(0, self._left - len(self._buffer))

    @property
    def short(self) -> int:
        """Bytes that are to come before there is use in asking for more: wanted content comes in pieces."""
        if self.wanted and self._left:
            return min(self._left - len(self._buffer), PIECE_BYTES)
        return min(len(self._buffer), 1)

    def skipped(self, n: int) -> None:
        """The stream went on by n bytes (at most `skip`) that were not handed to `receive`."""
        if n > self.skip:
            raise self._failed(self._offset + len(self._buffer), "gap beyond the body")
        if n:
            self._consume_body(len(self._buffer))
            self._offset += n
            self._count(n)

    @property
    def buffered(self) -> int:
        """Bytes kept until more come."""
        return len(self._buffer)

    def receive(self, data: bytes) -> None:
        if self._error is None:
            self._buffer += data

    def close(self) -> None:
        """The stream ended: a body that lasts until then is complete."""
        self._closed = True

    def next_event(self) -> _Head | BodyData | BodyEnd | None:
        """The next event; None = need more, or switched. Raises WireError, each time again."""
        if self._error is not None:
            raise WireError(self._error.offset, self._error.reason)
        while not self.switched:
            state = self._state
            event = state(self)
            if event is not None or self._state is state:
                return event
        return None

    def _failed(self, offset: int, reason: str) -> WireError:
        """Enters the final state."""
        self._error = WireError(offset, reason)
        self._buffer.clear()
        self._left = 0
        return self._error

    def _drop(self, size: int) -> None:
        del self._buffer[:size]
        self._offset += size
        self._searched = 0

    def _maybe_line(self, cap: int) -> bytes | None:
        """The next line without its end."""
        end = self._buffer.find(b"\n", self._searched, cap)
        if end < 0:
            if len(self._buffer) >= cap:
                raise self._failed(self._offset, f"line longer than {cap} bytes")
            self._searched = len(self._buffer)
            return None
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        self._drop(end + 1)
        return line

    # States, in the order of a message

    def _read_head(self) -> _Head | BodyEnd | None:
        while (block := self._buffer[:_BLANK_BLOCK]) and (blank := len(block) - len(block.lstrip(_BLANK))):
            self._drop(blank)  # RFC 9112 §2.2
        if not self._buffer or not self._starts_well():
            return None
        size, limit = 0, MAX_HEAD_BYTES
        for mark in (b"\n\r\n", b"\n\n"):
            stop = self._buffer.find(mark, self._searched, limit)
            if stop >= 0:
                size = limit = stop + len(mark)
        if not size:
            if len(self._buffer) >= MAX_HEAD_BYTES:
                raise self._failed(self._offset, f"head longer than {MAX_HEAD_BYTES} bytes")
            self._searched = max(0, len(self._buffer) - 2)
            return None
        start = self._offset
        first, *lines = [line.removesuffix("\r") for line in self._buffer[:size].decode("latin-1").split("\n")[:-2]]
        if len(lines) > MAX_HEADER_LINES:
            raise self._failed(start, f"more than {MAX_HEADER_LINES} header lines")
        self._drop(size)
        return self._take_head(first, _headers(lines), start)

    def _read_body(self) -> BodyData | BodyEnd | None:
        if data := self._consume_body(min(len(self._buffer), self._left)):
            return data
        if self._left and not (self._closed and self._left > MAX_LENGTH):
            return None
        return self._end_body()

    def _read_chunk_size(self) -> None:
        start = self._offset
        line = self._maybe_line(MAX_CHUNK_LINE_BYTES)
        if line is None:
            return
        match = _CHUNK_SIZE.fullmatch(line)
        if not match:
            raise self._failed(start, "no chunk size")
        self._left = int(match[1], 16)
        self._state = _Reader._read_chunk if self._left else _Reader._read_trailers

    def _read_chunk(self) -> BodyData | None:
        data = self._consume_body(min(len(self._buffer), self._left))
        if not self._left:
            self._state = _Reader._read_chunk_end
        return data

    def _read_chunk_end(self) -> None:
        for mark in (b"\r\n", b"\n"):
            if self._buffer.startswith(mark):
                self._drop(len(mark))
                self._state = _Reader._read_chunk_size
                return
        if self._buffer not in (b"", b"\r"):
            raise self._failed(self._offset, "chunk longer than announced")

    def _read_trailers(self) -> BodyEnd | None:
        while (line := self._maybe_line(MAX_HEAD_BYTES)) is not None:
            if not line:
                return self._end_body()
            self._trailer_bytes += len(line)
            if self._trailer_bytes > MAX_HEAD_BYTES:
                raise self._failed(self._offset, f"trailers longer than {MAX_HEAD_BYTES} bytes")
        return None

    # What states share

    def _consume_body(self, size: int) -> BodyData | None:
        if len(self.start) == self._length < START_BYTES:
            self.start += self._buffer[: min(size, START_BYTES - self._length)]
        data = bytes(self._buffer[:size]) if self.wanted else b""
        self._drop(size)
        self._count(size)
        return BodyData(data=data) if data else None

    def _count(self, size: int) -> None:
        self._length += size
        if self._left <= MAX_LENGTH:
            self._left -= size

    def _begin_body(self, headers: _Headers, *, unframed: int) -> None:
        """Chooses the framing (RFC 9112 §6.3); `unframed` is the length of a body without any."""
        coding = _coding(headers)
        self._length, self.start, self._trailer_bytes = 0, b"", 0
        if coding == "chunked":
            self._state = _Reader._read_chunk_size
            return
        self._state = _Reader._read_body
        self._left = _UNTIL_CLOSE if coding else _content_length(headers, unframed)

    def _end_body(self) -> BodyEnd:
        self._left = 0
        self.wanted = False
        self._state = _Reader._read_head
        return BodyEnd(length=self._length, end=self._offset)

    # What directions differ in

    def _starts_well(self) -> bool:
        """Whether the buffer starts like a message; False = need more."""
        raise NotImplementedError

    def _take_head(self, first: str, headers: _Headers, start: int) -> _Head:
        raise NotImplementedError


class RequestReader(_Reader[RequestEvent]):
    """Client to server. A CONNECT switches at once; a request with Upgrade does when what follows is no request."""

    def __init__(self) -> None:
        super().__init__()
        self._may_upgrade = False

    def _starts_well(self) -> bool:
        start = bytes(self._buffer[: MAX_METHOD_BYTES + 1])
        if self._may_upgrade and looks_like_request(start) is False:
            self.switched = True
            return False
        method, space, _ = start.partition(b" ")
        if len(method) > MAX_METHOD_BYTES or not _TOKEN.fullmatch(method):
            raise self._failed(self._offset, "no request")
        return bool(space)

    def _take_head(self, first: str, headers: _Headers, start: int) -> RequestEvent:
        method, _, line = first.partition(" ")
        line = line.strip(_SPACE)
        target, _, version = line.rpartition(" ")
        target = target.rstrip(_SPACE)
        if not version.startswith("HTTP/"):
            target, version = line, ""
        known = method.encode() in _METHODS and not _OTHER_PROTOCOL.search(line)
        if not (known or _VERSION.fullmatch(version)):
            raise self._failed(start, "no request line")
        head = HttpRequestHead(
            method=method, target=target, version=version, headers=headers, head_bytes=self._offset - start
        )
        self.switched = method == "CONNECT"
        self._may_upgrade = head.header("upgrade") is not None
        if not self.switched:
            self._begin_body(headers, unframed=0)
        return RequestEvent(head=head, start=start, end=self._offset)


class ResponseReader(_Reader[ResponseEvent]):
    """Server to client. 101, and 2xx to CONNECT, switch. A response nobody announced is taken for one to GET."""

    def __init__(self) -> None:
        super().__init__()
        self._methods: deque[str] = deque(maxlen=MAX_UNANSWERED)

    def expect(self, method: str) -> None:
        """The method of the next request that is not yet answered; once for each, in order."""
        self._methods.append(method if method in ("HEAD", "CONNECT") else "GET")

    def _starts_well(self) -> bool:
        starts = looks_like_response(bytes(self._buffer[: len(_RESPONSE_START)]))
        if starts is False:
            raise self._failed(self._offset, "no response")
        return starts is True

    def _take_head(self, first: str, headers: _Headers, start: int) -> ResponseEvent:
        line = _STATUS_LINE.fullmatch(first)
        if not line:
            raise self._failed(start, "no status line")
        version, status, reason = line[1], int(line[2]), line[3] or ""
        head = HttpResponseHead(
            status=status, reason=reason, version=version, headers=headers, head_bytes=self._offset - start
        )
        interim = 100 <= status < 200
        method = self._methods.popleft() if self._methods and not interim else "GET"
        self.switched = status == 101 or (method == "CONNECT" and 200 <= status < 300)
        if method == "HEAD" or status in (204, 304):
            self._begin_body((), unframed=0)
        elif not (interim or self.switched):
            self._begin_body(headers, unframed=_UNTIL_CLOSE)
        return ResponseEvent(head=head, start=start, end=self._offset)


def _headers(lines: list[str]) -> _Headers:
    headers: list[tuple[str, str]] = []
    for line in lines:
        if line[:1] in (" ", "\t") and headers:  # a folded value continues (RFC 9112 §5.2)
            name, value = headers[-1]
            headers[-1] = (name, f"{value} {line.strip(_SPACE)}")
            continue
        name, colon, value = line.partition(":")
        headers.append((name.strip(_SPACE).lower(), value.strip(_SPACE)) if colon else ("", line))
    return tuple(headers)


def _values(headers: _Headers, name: str) -> list[str]:
    return [item.strip(_SPACE) for key, value in headers if key == name for item in value.split(",")]


def _coding(headers: _Headers) -> str:
    """The final transfer coding, in lower case; empty when there is none."""
    codings = [coding.lower() for coding in _values(headers, "transfer-encoding")]
    return next((coding for coding in reversed(codings) if coding not in ("", "identity")), "")


def _content_length(headers: _Headers, default: int) -> int:
    for value in _values(headers, "content-length"):
        if value.isdecimal() and len(value) <= len(str(MAX_LENGTH)) and int(value) <= MAX_LENGTH:
            return int(value)
    return default
