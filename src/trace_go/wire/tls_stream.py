"""One direction of a TLS conversation as records (RFC 8446 §5, RFC 5246 §6.2).

`TlsReader.next_event` returns an event, returns None ("need more"), or raises WireError when the bytes are not TLS, and
then does so for good. Handshake messages come out as soon as they are complete, also from several records and before
their record ends. Of an encrypted record only the header is read: `skip` tells how many bytes to leave out. Who has
keys sets `whole`: encrypted records then come out with their bytes, and nothing is left out.
"""

import struct
from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from trace_go.model.errors import WireError

MAX_RECORD = 16384 + 2048
"""RFC 5246 §6.2.3; TLS 1.3 allows 16384 + 256"""
MAX_MESSAGE = 256 * 1024
"""crypto/tls of Go refuses longer certificate messages (maxHandshakeCertificateMsg); the length field allows 16 MiB"""

_CHANGE_CIPHER_SPEC, _ALERT, _HANDSHAKE, _APPLICATION_DATA, _HEARTBEAT = 20, 21, 22, 23, 24
_CLIENT_HELLO, _SERVER_HELLO, _CERTIFICATE = 1, 2, 11
_HEADER = struct.Struct("!BHH")
_WORD = struct.Struct("!I")
_MAJOR_VERSION = 3
_ENCRYPTED = bytes((_APPLICATION_DATA, _MAJOR_VERSION))
_SHORTEST_HELLO = 4 + 38
"""a ServerHello without session id and extensions, with its header"""


class HandshakeMessage(Struct, frozen=True, kw_only=True):
    """A handshake message in clear. start, end: offsets in this direction of its first byte and behind its last."""

    type: int
    body: bytes
    """without its 4-byte header"""
    start: int
    end: int


class AlertRecord(Struct, frozen=True, kw_only=True):
    """start, end: offsets of the record in this direction."""

    level: int
    """1 warning, 2 fatal, -1 encrypted"""
    description: int
    """-1 encrypted"""
    start: int
    end: int


class ChangeCipherSpec(Struct, frozen=True, kw_only=True):
    """start, end: offsets of the record in this direction."""

    start: int
    end: int


class EncryptedRecord(Struct, frozen=True, kw_only=True):
    """A record, of which only the header was read. start, end: its offsets; `end` may lie ahead of what arrived."""

    content_type: int
    length: int
    """bytes after the 5-byte header"""
    start: int
    end: int
    record: bytes = b""
    """all of it, header included, where the reader was asked for whole ones"""


Event: TypeAlias = HandshakeMessage | AlertRecord | ChangeCipherSpec | EncryptedRecord


class TlsReader:
    """Feed with `receive` in stream order, then take events until None."""

    __slots__ = (
        "_base", "_data", "_error", "_hello", "_left", "_message", "_pos", "_start", "encrypted", "short", "skip",
        "whole",
    )  # fmt: skip

    skip: int
    """bytes that come next in the stream and are not needed: left out by `skipped`, or dropped when fed"""
    encrypted: bool
    """the last record was a ChangeCipherSpec or encrypted: in TLS ≤ 1.2 all that follows is"""

    whole: bool
    short: int
    """bytes that a whole record still lacks: with fewer, there is no use in asking for events"""

    def __init__(self, from_client: bool, *, whole: bool = False) -> None:
        self.skip = self.short = 0
        self.encrypted = False
        self.whole = whole
        self._hello = _CLIENT_HELLO if from_client else _SERVER_HELLO
        self._data = b""
        self._pos = 0
        self._base = 0  # stream offset of _data[0]
        self._left = 0  # bytes to come of the open handshake record
        self._message: bytes | bytearray = b""  # an unfinished handshake message
        self._start = 0  # its offset
        self._error: WireError | None = None

    @property
    def buffered(self) -> int:
        """Bytes kept until more come."""
        return len(self._data) - self._pos + len(self._message)

    @property
    def received(self) -> int:
        """Bytes so far, those that were skipped among them."""
        return self._base + len(self._data)

    def receive(self, data: bytes) -> None:
        """The next bytes of the stream; those that `skip` announced may be among them or not."""
        if self.skip:
            dropped = min(self.skip, len(data))
            self.skipped(dropped)
            data = data[dropped:]
        self.short = 0
        self._base += self._pos
        self._data = data if self._pos == len(self._data) else self._data[self._pos :] + data
        self._pos = 0

    def taken_back(self) -> bytes:
        """What waits for more, to be fed again before that."""
        rest, self._base = self._data[self._pos :], self._base + self._pos
        self._data, self._pos = b"", 0
        return rest

    def skipped(self, n: int) -> None:
        """The next `n` bytes of the stream will not be fed. More than `skip` leave a gap: WireError."""
        if n > self.skip:
            raise WireError(self._base + self._pos, "bytes missing")
        self.skip -= n
        self._base += n

    def next_event(self) -> Event | None:
        """Of a handshake record in clear the header is taken first; how much is left of it goes to `_left`."""
        if self._error:
            raise self._error
        data, size = self._data, len(self._data)
        try:
            while True:
                if self._left:
                    message = self._maybe_message()
                    if message is not None or self._left:
                        return message
                pos = self._pos
                if size - pos < _HEADER.size:
                    self.short = pos + _HEADER.size - size if pos < size or self._message else 0
                    return None
                kind, version, length = _HEADER.unpack_from(data, pos)
                if kind not in _READERS or version >> 8 != _MAJOR_VERSION:
                    raise self._wrong("not a TLS record")
                if length > MAX_RECORD:
                    raise self._wrong(f"record of {length} bytes")
                if not length and kind != _APPLICATION_DATA:
                    raise self._wrong("empty record")
                if self._message and kind not in (_HANDSHAKE, _ALERT):
                    raise self._wrong("handshake message cut short")
                if kind == _HANDSHAKE and not self.encrypted:
                    self._pos, self._left = pos + _HEADER.size, length
                    continue
                event = _READERS[kind](self, kind, length)
                if event is not None or not self._left:
                    return event
        except WireError as error:
            self._error = error
            raise

    def _wrong(self, reason: str) -> WireError:
        return WireError(self._base + self._pos, reason)

    def _maybe_handshake(self, kind: int, length: int) -> Event | None:
        if self.encrypted:
            # After a HelloRetryRequest both sides say hello in clear behind a ChangeCipherSpec (RFC 8446 §D.4).
            if length < _SHORTEST_HELLO:
                return self._encrypted_record(kind, length)
            head = self._maybe_body(5)
            if head is None:
                return None
            size = 4 + int.from_bytes(head[1:4], "big")
            if head[0] != self._hello or head[4] != _MAJOR_VERSION or not length <= size <= MAX_MESSAGE:
                return self._encrypted_record(kind, length)
        self.encrypted = False
        self._pos += _HEADER.size
        self._left = length
        return None

    def _maybe_change_cipher_spec(self, kind: int, length: int) -> Event | None:
        if length != 1:
            if self.encrypted:
                return self._encrypted_record(kind, length)
            raise self._wrong(f"ChangeCipherSpec of {length} bytes")
        if self._maybe_body(length) is None:
            return None
        self.encrypted = True
        start = self._pass(length)
        return ChangeCipherSpec(start=start, end=start + _HEADER.size + length)

    def _maybe_alert(self, kind: int, length: int) -> Event | None:
        level = description = -1
        if length == 2:  # no cipher makes two bytes of an alert
            body = self._maybe_body(length)
            if body is None:
                return None
            level, description = body
        elif self.whole:
            return self._encrypted_record(kind, length)
        start = self._pass(length)
        return AlertRecord(level=level, description=description, start=start, end=start + _HEADER.size + length)

    def _encrypted_record(self, kind: int, length: int) -> Event | None:
        record = b""
        if self.whole:
            if self._maybe_body(length) is None:
                return None
            record = self._data[self._pos : self._pos + _HEADER.size + length]
        self.encrypted = True
        start = self._pass(length)
        end = start + _HEADER.size + length
        return EncryptedRecord(content_type=kind, length=length, start=start, end=end, record=record)

    def _maybe_body(self, size: int) -> bytes | None:
        """The first `size` bytes of a record, once they have arrived."""
        start = self._pos + _HEADER.size
        self.short = max(0, start + size - len(self._data))
        return None if self.short else self._data[start : start + size]

    def _pass(self, length: int) -> int:
        """Moves behind a record, and returns its offset; what has not arrived of it is to be skipped."""
        start, end, arrived = self._base + self._pos, self._pos + _HEADER.size + length, len(self._data)
        if end > arrived:
            self._pos, self.skip = arrived, end - arrived
        else:
            self._pos = end
        return start

    def _maybe_message(self) -> HandshakeMessage | None:
        """A message that ends in the open record; of one that goes on behind it what has arrived is collected."""
        if not self._message:
            data, pos, left = self._data, self._pos, self._left
            start, arrived = self._base + pos, len(data) - pos
            size = 4 + (_WORD.unpack_from(data, pos)[0] & 0xFFFFFF) if arrived >= 4 else 4
            if size <= left:
                if arrived < size:
                    self.short = size - arrived
                    return None
                self._pos, self._left = pos + size, left - size
                return HandshakeMessage(type=data[pos], body=data[pos + 4 : pos + size], start=start, end=start + size)
            self._start = start
        self._collect(4)
        if len(self._message) < 4:
            return None
        size = 4 + int.from_bytes(self._message[1:4], "big")
        if size > MAX_MESSAGE:
            raise WireError(self._start, f"handshake message of {size} bytes")
        self._collect(size)
        if len(self._message) < size:
            return None
        message, self._message = self._message, b""
        return HandshakeMessage(type=message[0], body=bytes(message[4:]), start=self._start, end=self._base + self._pos)

    def _collect(self, size: int) -> None:
        """Takes bytes of the open record until the message has `size`."""
        take = min(size - len(self._message), self._left)
        taken = self._data[self._pos : self._pos + take] if take > 0 else b""
        if self._message:
            self._message += taken
        else:
            self._message = bytearray(taken)
        self._pos += len(taken)
        self._left -= len(taken)
        self.short = min(size - len(self._message), self._left)


_READERS: dict[int, Callable[[TlsReader, int, int], Event | None]] = {
    _CHANGE_CIPHER_SPEC: TlsReader._maybe_change_cipher_spec,
    _ALERT: TlsReader._maybe_alert,
    _HANDSHAKE: TlsReader._maybe_handshake,
    _APPLICATION_DATA: TlsReader._encrypted_record,
    _HEARTBEAT: TlsReader._encrypted_record,
}
"""content type → reader of a record, which gets that type and the length"""


def looks_like_tls(data: bytes) -> bool | None:
    """Whether a stream that begins with `data` is TLS: a record header, then a hello if it is a handshake record.

    None = need more (at most 6 bytes). A capture that starts late may show a certificate, an alert or encrypted records
    first. The ClientHello of SSL 2.0, which has no record header and which RFC 6176 forbids, is False.
    """
    if not data:
        return None
    if data[0] not in _READERS or (len(data) > 1 and data[1] != _MAJOR_VERSION):
        return False
    if len(data) < _HEADER.size:
        return None
    kind, _, length = _HEADER.unpack_from(data)
    if not 0 < length <= MAX_RECORD:
        return False
    if kind != _HANDSHAKE:
        return True
    return data[5] in (_CLIENT_HELLO, _SERVER_HELLO, _CERTIFICATE) if len(data) > _HEADER.size else None
