"""SOCKS in clear, one direction each: version 5 (RFC 1928, login RFC 1929), version 4 and 4A (notes by Ying-Da Lee).

Sans-IO: bytes in, events out. `next_event` returns an event, returns None ("need more", or `switched`), or raises
WireError, and then does so for good. Of a login only the fact is kept; other methods than user name and password are
not followed.
"""

from collections.abc import Callable
from ipaddress import ip_address
from typing import TypeAlias

from msgspec import Struct

from trace_go.model.errors import WireError

V4, V5 = 4, 5
CONNECT, BIND, UDP_ASSOCIATE = 1, 2, 3
GRANTED = {V4: 90, V5: 0}
NO_LOGIN, PASSWORD, NONE_ACCEPTABLE = 0, 2, 255
MAX_TEXT_BYTES = 255
"""of a name in version 5, whose lengths have one byte; taken as the bound of version 4 too, which has none"""

_LOGIN_VERSION = 1
_IPV4, _NAME, _IPV6 = 1, 3, 4
_ADDRESS_BYTES = {_IPV4: 4, _IPV6: 16}
_PORT_BYTES = 2
_REQUEST4_BYTES, _REPLY4_BYTES = 8, 8
_REPLY4_VERSION = 0
_REPLIES = {
    V5: (
        "succeeded", "general failure", "not allowed by the proxy's rules", "network unreachable", "host unreachable",
        "connection refused", "time to live expired", "command not supported", "address type not supported",
    ),
    V4: ("granted", "rejected or failed", "no identd on the client", "identd names another user"),
}  # fmt: skip


class Greeting(Struct, frozen=True, kw_only=True):
    """The first message of a client of version 5."""

    methods: tuple[int, ...]


class Login(Struct, frozen=True, kw_only=True):
    """User name and password, not kept."""


class Request(Struct, frozen=True, kw_only=True):
    version: int
    command: int
    authority: str
    """`host:port`, an IPv6 address in brackets"""
    has_user: bool
    """version 4 only: a user name is there"""


class Method(Struct, frozen=True, kw_only=True):
    """What the server chose of the greeting's methods, NONE_ACCEPTABLE for none."""

    method: int


class LoginResult(Struct, frozen=True, kw_only=True):
    status: int
    """0 = welcome"""


class Reply(Struct, frozen=True, kw_only=True):
    version: int
    code: int
    """GRANTED[version], or why not"""


Event: TypeAlias = Greeting | Login | Request | Method | LoginResult | Reply
_Found: TypeAlias = tuple[Event, int] | None
"""an event and where the next message begins; None = need more"""


def looks_like_client(data: bytes) -> bool | None:
    """Whether a connection starts with exactly one greeting or request, to be answered first; None = need more."""
    if not data:
        return None
    if data[0] == V5:
        if len(data) < 2 or len(data) < 2 + data[1]:
            return None
        return data[1] > 0 and len(data) == 2 + data[1] and len(set(data[2:])) == data[1]
    if data[0] == V4:
        try:
            found = _maybe_request4(data)
        except WireError:
            return False
        return None if found is None else found[1] == len(data)
    return False


def reply_text(version: int, code: int) -> str:
    """
    >>> reply_text(5, 5), reply_text(4, 91), reply_text(5, 200)
    ('connection refused', 'rejected or failed', 'reply 200')
    """
    texts, number = _REPLIES[version], code - GRANTED[version]
    return texts[number] if 0 <= number < len(texts) else f"reply {code}"


class _Reader:
    def __init__(self, state: Callable[[bytes], _Found]) -> None:
        self.switched = False
        """what follows is the tunnel; `rest` is what came of it"""
        self.skip = self.short = 0
        self._state = state
        self._data = b""
        self._base = 0
        self._error: WireError | None = None

    @property
    def rest(self) -> bytes:
        return self._data

    @property
    def buffered(self) -> int:
        """Bytes kept until more come."""
        return len(self._data)

    def receive(self, data: bytes) -> None:
        self._data += data

    def skipped(self, n: int) -> None:
        """Nothing is ever skipped."""

    def next_event(self) -> Event | None:
        if self._error:
            raise self._error
        if self.switched or not self._data:
            return None
        try:
            found = self._state(self._data)
        except WireError as error:
            self._error = WireError(self._base + error.offset, error.reason)
            raise self._error from None
        if found is None:
            return None
        event, size = found
        self._data, self._base = self._data[size:], self._base + size
        self._follow(event)
        return event

    def _follow(self, event: Event) -> None:
        raise NotImplementedError


class ClientReader(_Reader):
    """Client to proxy. Switches behind the request."""

    def __init__(self) -> None:
        super().__init__(_maybe_first)

    def _follow(self, event: Event) -> None:
        self._state = _maybe_login_or_request
        self.switched = isinstance(event, Request)


class ServerReader(_Reader):
    """Proxy to client. Switches behind the reply that grants the request."""

    def __init__(self, version: int) -> None:
        super().__init__(_maybe_reply4 if version == V4 else _maybe_method)

    def _follow(self, event: Event) -> None:
        if isinstance(event, Method):
            self._state = _maybe_login_result if event.method == PASSWORD else _maybe_reply5
        elif isinstance(event, LoginResult):
            self._state = _maybe_reply5
        elif isinstance(event, Reply):
            self.switched = event.code == GRANTED[event.version]


def _maybe_first(data: bytes) -> _Found:
    if data[0] == V4:
        return _maybe_request4(data)
    _expect(data, V5)
    if len(data) < 2 or len(data) < 2 + data[1]:
        return None
    return Greeting(methods=tuple(data[2 : 2 + data[1]])), 2 + data[1]


def _maybe_login_or_request(data: bytes) -> _Found:
    if data[0] != _LOGIN_VERSION:
        return _maybe_request5(data)
    end = 1
    for _ in ("user name", "password"):
        if len(data) <= end:
            return None
        end += 1 + data[end]
    return (Login(), end) if len(data) >= end else None


def _maybe_request5(data: bytes) -> _Found:
    _expect(data, V5)
    found = _maybe_address(data, 3)
    if found is None:
        return None
    return Request(version=V5, command=data[1], authority=found[0], has_user=False), found[1]


def _maybe_request4(data: bytes) -> _Found:
    _expect(data, V4)
    if len(data) < _REQUEST4_BYTES:
        return None
    if data[1] not in (CONNECT, BIND):
        raise WireError(1, "no SOCKS 4 command")
    user = _maybe_text4(data, _REQUEST4_BYTES)
    if user is None:
        return None
    host, end = str(ip_address(data[4:8])), user[1]
    if data[4:7] == b"\0\0\0" and data[7]:  # 4A: the proxy resolves the name that follows
        name = _maybe_text4(data, end)
        if name is None:
            return None
        host, end = name
    port = int.from_bytes(data[2:4], "big")
    return Request(version=V4, command=data[1], authority=f"{host}:{port}", has_user=bool(user[0])), end


def _maybe_text4(data: bytes, start: int) -> tuple[str, int] | None:
    """A text that ends with a zero byte, and where the next begins."""
    end = data.find(b"\0", start, start + MAX_TEXT_BYTES + 1)
    if end < 0:
        if len(data) > start + MAX_TEXT_BYTES:
            raise WireError(start, f"text longer than {MAX_TEXT_BYTES} bytes")
        return None
    return data[start:end].decode("ascii", "backslashreplace"), end + 1


def _maybe_method(data: bytes) -> _Found:
    _expect(data, V5)
    return (Method(method=data[1]), 2) if len(data) >= 2 else None


def _maybe_login_result(data: bytes) -> _Found:
    _expect(data, _LOGIN_VERSION)
    return (LoginResult(status=data[1]), 2) if len(data) >= 2 else None


def _maybe_reply5(data: bytes) -> _Found:
    _expect(data, V5)
    if len(data) < 2:
        return None
    refused = data[1] != GRANTED[V5]
    found = (0, len(data)) if refused else _maybe_address(data, 3)  # after a refusal nothing follows
    return (Reply(version=V5, code=data[1]), found[1]) if found else None


def _maybe_reply4(data: bytes) -> _Found:
    _expect(data, _REPLY4_VERSION)
    return (Reply(version=V4, code=data[1]), _REPLY4_BYTES) if len(data) >= _REPLY4_BYTES else None


def _maybe_address(data: bytes, at: int) -> tuple[str, int] | None:
    """Authority from the address type at `at` on, and where the next message begins."""
    if len(data) < at + 2:
        return None
    kind = data[at]
    if kind not in (_IPV4, _NAME, _IPV6):
        raise WireError(at, f"address type {kind}")
    start, size = (at + 2, data[at + 1]) if kind == _NAME else (at + 1, _ADDRESS_BYTES[kind])
    end = start + size + _PORT_BYTES
    if len(data) < end:
        return None
    raw = data[start : start + size]
    host = raw.decode("ascii", "backslashreplace") if kind == _NAME else str(ip_address(raw))
    port = int.from_bytes(data[start + size : end], "big")
    return f"[{host}]:{port}" if kind == _IPV6 else f"{host}:{port}", end


def _expect(data: bytes, version: int) -> None:
    if data[0] != version:
        raise WireError(0, f"{data[0]} where SOCKS has {version}")
