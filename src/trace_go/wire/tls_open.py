"""The inside of one TLS connection: encrypted records in, handshake messages, alerts and application data out.

Sans-IO, both directions. Which secret opens a record is found by trying the next ones when the present one does not fit
(RFC 8446 §4.6.3, §7.1): so a log that lacks some secrets, early data that the server skips, and contradicting logs cost
a few tries and no special case. What no secret opens is None, never an error.
"""

from collections.abc import Iterator
from typing import TypeAlias

from trace_go.model.errors import WireError
from trace_go.model.tls import ServerHello
from trace_go.wire.keylog import Label, Secrets
from trace_go.wire.tls_protection import (
    TLS10,
    TLS13,
    Opened,
    Protection,
    Protection13,
    Suite,
    maybe_suite,
    next_secret,
    protections12,
)
from trace_go.wire.tls_stream import MAX_MESSAGE, AlertRecord, EncryptedRecord, HandshakeMessage

MAX_MISSES = 64
"""records of one direction that no secret opens before it is given up; certificates of 256 KiB fill 17"""
_ALERT, _HANDSHAKE, _APPLICATION_DATA = 21, 22, 23
_END_OF_EARLY_DATA, _FINISHED, _KEY_UPDATE = 5, 20, 24
_ENCRYPT_THEN_MAC = 22
_EARLY_SUITES = (0x1301, 0x1302, 0x1303)
"""of early data, which comes before the ServerHello names one"""

_EPOCHS: tuple[tuple[Label, ...], ...] = (
    (Label.SERVER_HANDSHAKE_TRAFFIC_SECRET, Label.SERVER_TRAFFIC_SECRET_0),
    (Label.CLIENT_EARLY_TRAFFIC_SECRET, Label.CLIENT_HANDSHAKE_TRAFFIC_SECRET, Label.CLIENT_TRAFFIC_SECRET_0),
)
"""of the server, of the client: whose index is `from_client`"""


Content: TypeAlias = HandshakeMessage | AlertRecord | bytes
"""bytes: application data"""

_Candidate: TypeAlias = tuple[Protection, bytes, tuple[Label, ...]]
"""what may open a record, its secret, and what comes after it"""


class _Direction:
    """mine: what is being opened; ahead: labels of the secrets to come."""

    __slots__ = ("ahead", "messages", "mine", "misses", "opened", "secret")

    def __init__(self, ahead: tuple[Label, ...]) -> None:
        self.ahead = ahead
        self.mine: Protection | None = None
        self.secret = b""
        self.misses = self.opened = 0
        self.messages = bytearray()


class TlsOpener:
    """For a connection of which the key log holds something; `start` when its ServerHello is there."""

    def __init__(self, secrets: Secrets, client_random: bytes) -> None:
        self._secrets, self._client_random = secrets, client_random
        self._hello: ServerHello | None = None
        self._suite: Suite | None = None
        self._of = (_Direction(_EPOCHS[0]), _Direction(_EPOCHS[1]))
        self.supported = True
        """False: a cipher or a compression that is not read here"""

    def start(self, hello: ServerHello) -> None:
        """Not with a HelloRetryRequest."""
        self._hello, self._suite = hello, maybe_suite(hello.cipher_suite)
        self.supported = self._suite is not None and TLS10 <= hello.version <= TLS13 and not hello.compression

    @property
    def opened(self) -> int:
        """Records, both directions."""
        return sum(direction.opened for direction in self._of)

    def blind(self, from_client: bool) -> bool:
        """Nothing more of this direction can be opened."""
        direction = self._of[from_client]
        if not self.supported or direction.misses > MAX_MISSES:
            return True
        return self._is_13 and direction.mine is None and not any(map(self._secrets.get, direction.ahead))

    def open(self, event: EncryptedRecord, from_client: bool) -> list[Content] | None:
        """What a whole record holds, without a message that goes on in the next; None when no secret opens it.

        Offsets in the contents are the record's. Raises WireError for content that is not TLS.
        """
        direction, record = self._of[from_client], event.record
        found = direction.mine.open(record) if direction.mine else None
        if found is None:
            found = self._try(self._ahead(direction) if self._is_13 else self._masters(direction), direction, record)
        if found is None:
            direction.misses += 1
            return None
        direction.opened += 1
        kind, content = found
        if kind == _APPLICATION_DATA:
            return [content]
        if kind == _ALERT and len(content) == 2:
            level, description = content
            return [AlertRecord(level=level, description=description, start=event.start, end=event.end)]
        return list(self._messages(direction, content, event)) if kind == _HANDSHAKE else []

    @staticmethod
    def _try(candidates: Iterator[_Candidate], direction: _Direction, record: bytes) -> Opened | None:
        for protection, secret, ahead in candidates:
            if (found := protection.open(record)) is not None:
                direction.mine, direction.secret, direction.ahead = protection, secret, ahead
                direction.misses = 0
                return found
        return None

    @property
    def _is_13(self) -> bool:
        """Or not yet known: early data."""
        return self._hello is None or self._hello.version == TLS13

    def _ahead(self, direction: _Direction) -> Iterator[_Candidate]:
        for place, label in enumerate(direction.ahead):
            early = label is Label.CLIENT_EARLY_TRAFFIC_SECRET
            suites = list(map(maybe_suite, _EARLY_SUITES)) if early else [self._suite]
            for secret in self._secrets.get(label, ()):
                for suite in filter(None, suites):
                    yield Protection13(secret, suite), secret, direction.ahead[place + 1 :]

    def _masters(self, direction: _Direction) -> Iterator[_Candidate]:
        """Of TLS 1.2 and before: one key for all records, so only for the first."""
        hello, suite = self._hello, self._suite
        if hello is None or suite is None or direction.opened:
            return
        etm = _ENCRYPT_THEN_MAC in hello.extension_types
        for master in self._secrets.get(Label.CLIENT_RANDOM, ()):
            made = protections12(
                suite, hello.version, master, (self._client_random, hello.random), encrypt_then_mac=etm
            )
            yield made[direction is self._of[False]], master, ()

    def _messages(self, direction: _Direction, content: bytes, event: EncryptedRecord) -> Iterator[HandshakeMessage]:
        buffer = direction.messages
        buffer += content
        while len(buffer) >= 4:
            size = 4 + int.from_bytes(buffer[1:4], "big")
            if size > MAX_MESSAGE:
                raise WireError(event.start, f"handshake message of {size} bytes")
            if len(buffer) < size:
                return
            message = HandshakeMessage(type=buffer[0], body=bytes(buffer[4:size]), start=event.start, end=event.end)
            del buffer[:size]
            self._advance(direction, message.type)
            yield message

    def _advance(self, direction: _Direction, kind: int) -> None:
        """The keys change behind some messages of TLS 1.3."""
        if self._suite is None or not self._is_13:
            return
        if kind == _KEY_UPDATE and not direction.ahead:
            direction.secret = next_secret(direction.secret, self._suite)
            direction.mine = Protection13(direction.secret, self._suite)
        elif kind in (_FINISHED, _END_OF_EARLY_DATA):
            direction.mine = None
