"""HTTP/2 frames and header blocks, one direction each (RFC 9113, RFC 7541). Sans-IO: bytes in, events out.

An observer reads on where an endpoint would refuse: unknown frames, flags and settings are passed over. WireError means
that the place of the next frame, or the state of the header compression, is unknown; it is final. Bodies are handed on
as they come and never kept here.
"""

import struct
from typing import TypeAlias

from msgspec import Struct

from trace_go.model.errors import WireError
from trace_go.wire.header_block import BlockReader

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""what the client's side begins with; the server's begins with SETTINGS"""
MAX_BLOCK = 64 * 1024
"""bytes of one header block, all CONTINUATION frames together; nginx takes 32 KiB, Node and hpack 64 KiB"""
MAX_CONTROL = 16 * 1024
"""bytes of a frame that is read as a whole and holds no headers; SETTINGS_MAX_FRAME_SIZE begins there"""

_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PUSH_PROMISE, _GOAWAY, _CONTINUATION = 0, 1, 3, 4, 5, 7, 9
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
_HEADER_TABLE_SIZE = 1
_STREAM = 0x7FFFFFFF
_PLAIN_DATA = (bytes((_DATA, 0)), bytes((_DATA, _END_STREAM)))
"""type and flags of a frame without padding"""
_HEADER = struct.Struct("!HBBBI")
_SETTINGS_START = b"\4\0\0\0\0\0"
"""type, flags and stream of the first frame of a server, behind its length"""


class Headers(Struct, frozen=True, kw_only=True):
    """A header block: of a request or answer, or trailers."""

    stream: int
    fields: tuple[tuple[str, str], ...]
    """names as sent, `:status` among them; latin-1 decoded"""
    ends: bool
    """nothing of this stream follows"""


class Data(Struct, frozen=True, kw_only=True):
    """Some bytes of a body, without padding."""

    stream: int
    data: bytes
    ends: bool


class Reset(Struct, frozen=True, kw_only=True):
    stream: int
    code: int


class GoAway(Struct, frozen=True, kw_only=True):
    last_stream: int
    code: int


class Settings(Struct, frozen=True, kw_only=True):
    table_bytes: int
    """how much the other side's header compression may remember"""


Event: TypeAlias = Headers | Data | Reset | GoAway | Settings


def looks_like_client(data: bytes) -> bool | None:
    """Whether a client's side that begins with `data` is HTTP/2; None = need more."""
    if data.startswith(PREFACE):
        return True
    return None if PREFACE.startswith(data) else False


def looks_like_server(data: bytes) -> bool | None:
    """The same of a server's side."""
    if len(data) < _HEADER.size:
        return None if data[:1] in (b"", b"\0") and _SETTINGS_START.startswith(data[3:]) else False
    return data[0] == 0 and int.from_bytes(data[:3], "big") % 6 == 0 and data[3:9] == _SETTINGS_START


class Http2Reader:
    """Feed with `receive` in stream order, then take events until None."""

    def __init__(self, from_client: bool) -> None:
        self._blocks = BlockReader()
        self._data, self._pos, self._base = b"", 0, 0
        self._preface = from_client
        self._error: WireError | None = None
        self._left = self._padding = 0  # bytes to come of the open DATA frame, and how many of them are padding
        self._skip = 0  # bytes to come of a frame that says nothing
        self._flags = self._stream = 0  # of the open DATA frame, or of the open header block
        self._block: bytearray | None = None
        self._promise = False  # the open block is of a PUSH_PROMISE

    def allow_table(self, size: int) -> None:
        """The other side announced this size."""
        self._blocks.allow_table(size)

    @property
    def received(self) -> int:
        """Bytes so far."""
        return self._base + len(self._data)

    @property
    def taken(self) -> int:
        """Of them, up to the end of the last event."""
        return self._base + self._pos

    def receive(self, data: bytes) -> None:
        if self._error is None:
            self._data, self._base, self._pos = self._data[self._pos :] + data, self._base + self._pos, 0

    def next_event(self) -> Event | None:
        """The next event; None = need more. Raises WireError, each time again."""
        if self._error is not None:
            raise self._error
        data, pos = self._data, self._pos
        if (
            data[pos + 3 : pos + 5] in _PLAIN_DATA
            and not (self._left or self._skip or self._preface)
            and self._block is None
        ):
            # Most frames of a download: what `_maybe_event` comes to in the end, without the way there.
            start = pos + _HEADER.size
            end = start + int.from_bytes(data[pos : pos + 3], "big")
            if start < end <= len(data):
                self._pos = end
                stream = int.from_bytes(data[pos + 5 : start], "big") & _STREAM
                return Data(stream=stream, data=data[start:end], ends=bool(data[pos + 4] & _END_STREAM))
        try:
            return self._maybe_event()
        except WireError as error:
            self._error, self._data, self._pos = error, b"", 0
            raise

    def _maybe_event(self) -> Event | None:
        while True:
            here = len(self._data) - self._pos
            if self._skip:
                passed = min(self._skip, here)
                self._skip, self._pos = self._skip - passed, self._pos + passed
            elif self._left:
                if not here:
                    return None
                return self._some_data(here)
            elif self._preface:
                if here < len(PREFACE):
                    return None
                if not self._data.startswith(PREFACE):
                    raise WireError(self._base, "no HTTP/2 preface")
                self._pos, self._preface = len(PREFACE), False
            elif here < _HEADER.size:
                return None
            else:
                before = self._pos
                event = self._frame(here)
                if event or self._pos == before:
                    return event
            if self._skip and self._pos == len(self._data):
                return None

    def _frame(self, here: int) -> Event | None:
        """Begins the next frame. Stays where it is to wait for more."""
        high, low, kind, flags, stream = _HEADER.unpack_from(self._data, self._pos)
        size, stream = high << 8 | low, stream & _STREAM
        start = self._base + self._pos
        if self._block is not None and (kind != _CONTINUATION or stream != self._stream):
            raise WireError(start, "header block cut short")
        if kind == _DATA:
            return self._begin_data(size, flags, stream, here)
        if kind in (_HEADERS, _PUSH_PROMISE, _CONTINUATION):
            most = MAX_BLOCK + 256 + 5 - len(self._block or b"")
            if size > most:
                raise WireError(start, f"header block longer than {MAX_BLOCK} bytes")
        elif kind not in _CONTROL or size > MAX_CONTROL:
            self._pos, self._skip = self._pos + _HEADER.size, size
            return None
        if here < _HEADER.size + size:
            return None
        body = self._data[self._pos + _HEADER.size : self._pos + _HEADER.size + size]
        self._pos += _HEADER.size + size
        if kind in (_HEADERS, _PUSH_PROMISE, _CONTINUATION):
            return self._headers(kind, flags, stream, body, start)
        return _control(kind, flags, stream, body)

    def _begin_data(self, size: int, flags: int, stream: int, here: int) -> Event | None:
        padded = bool(flags & _PADDED) and size > 0
        if here < _HEADER.size + padded:
            return None
        self._padding = self._data[self._pos + _HEADER.size] if padded else 0
        if self._padding >= size > 0 and padded:
            raise WireError(self._base + self._pos, "more padding than frame")
        self._pos += _HEADER.size + padded
        self._left, self._flags, self._stream = size - padded, flags, stream
        if self._left <= self._padding:  # no byte of content
            self._skip, self._left = self._left, 0
            return Data(stream=stream, data=b"", ends=bool(flags & _END_STREAM))
        return None

    def _some_data(self, here: int) -> Data:
        """What has arrived of the open DATA frame."""
        content = min(self._left - self._padding, here)
        data = self._data[self._pos : self._pos + content]
        self._pos, self._left = self._pos + content, self._left - content
        whole = self._left == self._padding
        if whole:
            self._skip, self._left = self._padding, 0
        return Data(stream=self._stream, data=data, ends=whole and bool(self._flags & _END_STREAM))

    def _headers(self, kind: int, flags: int, stream: int, body: bytes, start: int) -> Headers | None:
        if kind == _CONTINUATION:
            if self._block is None:
                raise WireError(start, "CONTINUATION without a header block")
        else:
            before = (4 if kind == _PUSH_PROMISE else 0) + (5 if flags & _PRIORITY and kind == _HEADERS else 0)
            padding = body[0] if flags & _PADDED and body else 0
            before += bool(flags & _PADDED)
            if before + padding > len(body):
                raise WireError(start, "more padding than frame")
            body = body[before : len(body) - padding]
            self._block, self._flags, self._stream = bytearray(), flags, stream
            self._promise = kind == _PUSH_PROMISE
        assert self._block is not None
        self._block += body
        if len(self._block) > MAX_BLOCK:
            raise WireError(start, f"header block longer than {MAX_BLOCK} bytes")
        if not flags & _END_HEADERS:
            return None
        block, self._block = bytes(self._block), None
        fields = self._blocks.read(block, start)
        return None if self._promise else Headers(stream=stream, fields=fields, ends=bool(self._flags & _END_STREAM))


_CONTROL = frozenset({_RST_STREAM, _SETTINGS, _GOAWAY})


def _control(kind: int, flags: int, stream: int, body: bytes) -> Event | None:
    """None for a frame that says nothing."""
    if kind == _RST_STREAM and len(body) >= 4:
        return Reset(stream=stream, code=int.from_bytes(body[:4], "big"))
    if kind == _GOAWAY and len(body) >= 8:
        last, code = struct.unpack_from("!II", body)
        return GoAway(last_stream=last & _STREAM, code=code)
    if kind == _SETTINGS and not flags & _ACK:
        pairs = struct.iter_unpack("!HI", body[: len(body) // 6 * 6])
        if sizes := [value for name, value in pairs if name == _HEADER_TABLE_SIZE]:
            return Settings(table_bytes=max(sizes))
    return None
