"""Bodies of TLS handshake messages: hellos and certificates (RFC 8446 §4.1–4.2, RFC 5246 §7.4, RFC 6066 §3, RFC 7301).

A body comes whole and without its 4-byte header. Each reader returns a value or raises WireError, never anything else.
An observer records: an error is only what leaves nothing to tell. What an endpoint would refuse, also lengths that lie
about the extensions, becomes an entry of `oddities`, and an extension that does not parse is kept as it came.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import Generic, TypeAlias, TypeVar

from msgspec.structs import replace

from trace_go.model.errors import WireError
from trace_go.model.tls import ClientHello, ServerHello
from trace_go.wire import fingerprint
from trace_go.wire.cursor import Cursor

T = TypeVar("T")
_Hello = TypeVar("_Hello", ClientHello, ServerHello)
_Mask: TypeAlias = list[tuple[int, int]]
"""begin and end of each part"""
_Lasting: TypeAlias = Callable[[bytes], tuple[bytes, ...]]
_NO_LAYOUT: tuple[_Mask, _Lasting] = [], itemgetter(0)

MAX_EXTENSIONS = 256
"""of one hello; IANA has assigned about 65 types, and RFC 8701 reserves 16 more for GREASE"""
MAX_CERTIFICATES = 100
"""of one chain; OpenSSL's default verification depth"""
MAX_SESSION_ID = 32
"""RFC 8446 §4.1.2; a longer one is recorded"""
CACHED_HELLOS = 1024
"""different hellos remembered on each side; go's own differ by minor version and by the name they ask for"""
MAX_CACHED = 4096
"""bytes of a hello worth remembering; with an ML-KEM key share one has about 1,500"""

HELLO_RETRY_RANDOM = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
"""makes a ServerHello a HelloRetryRequest (RFC 8446 §4.1.3)"""

_LEGACY_VERSIONS = range(0x0300, 0x0304)
_DRAFT = b"\x7f"
"""starts a ServerHello of TLS 1.3 before draft 22, which has no session id and no compression method"""
_SERVER_NAME, _GROUPS, _POINT_FORMATS, _SIGNATURE_ALGORITHMS, _ALPN = 0, 10, 11, 13, 16
_SESSION_TICKET, _PRE_SHARED_KEY, _VERSIONS, _KEY_SHARE, _ENCRYPTED_HELLO = 35, 41, 43, 51, 0xFE0D
_OPAQUE = (_SESSION_TICKET, _PRE_SHARED_KEY, _ENCRYPTED_HELLO)
"""extensions that differ in every connection and tell an observer nothing but that they are there"""
_SESSION_ID = 35
"""where it begins in a hello"""
_KEY_SHARE_START = bytes((0, _KEY_SHARE, 0))
_HOST_NAME = 0
_HEADER = struct.Struct("!HH")
"""of an extension and of a key share: a number, and the length of what follows"""

_Numbers: TypeAlias = Mapping[int, Callable[[Cursor], tuple[int, ...]]]
_Names: TypeAlias = Mapping[int, Callable[[Cursor], tuple[bytes, ...]]]


# -- hellos ------------------------------------------------------------------------------------------------------------


def client_hello(body: bytes) -> ClientHello:
    """Equal hellos give the same object: each is parsed and fingerprinted once. What differs in every connection
    (random, session id, key share values, tickets, pre-shared keys, encrypted hellos) is told only by its presence.
    """
    return _client_hellos.hello(body)


def client_random(body: bytes) -> bytes:
    """The 32 bytes of a ClientHello that name the connection in a key log."""
    if len(body) < 34:
        raise WireError(len(body), "ClientHello cut short")
    return body[2:34]


def server_hello(body: bytes) -> ServerHello:
    """A ServerHello or, told by its random, a HelloRetryRequest."""
    random = body[2:34]
    if random == HELLO_RETRY_RANDOM or body[:1] == _DRAFT:
        return _read_server_hello(body)
    return replace(_server_hellos.hello(body), random=random)


def certificate_chain(body: bytes) -> tuple[bytes, ...]:
    """The DER certificates of a Certificate message up to TLS 1.2, as sent: leaf first, none when a client has none."""
    cursor = Cursor(body)
    chain = cursor.pull_list(3, lambda entry: entry.pull_opaque(3))
    cursor.expect_end()
    if len(chain) > MAX_CERTIFICATES:
        raise WireError(0, f"more than {MAX_CERTIFICATES} certificates")
    return chain


def certificate_chain13(body: bytes) -> tuple[bytes, ...]:
    """The DER certificates of a Certificate message of TLS 1.3 (RFC 8446 §4.4.2), whose extensions are passed over."""
    cursor = Cursor(body)
    cursor.pull_opaque(1)  # of a request for a client's certificate
    chain = cursor.pull_list(3, _pull_certificate_entry)
    cursor.expect_end()
    if len(chain) > MAX_CERTIFICATES:
        raise WireError(0, f"more than {MAX_CERTIFICATES} certificates")
    return chain


def encrypted_alpn(body: bytes) -> str | None:
    """The protocol that EncryptedExtensions choose (RFC 8446 §4.3.1)."""
    alpn = _pull_extensions(Cursor(body), {}, _SERVER_NAMES).names.get(_ALPN)
    return _text(alpn[0]) if alpn else None


def _pull_certificate_entry(entry: Cursor) -> bytes:
    der = entry.pull_opaque(3)
    entry.pull_opaque(2)
    return der


class _Cache(Generic[_Hello]):
    """Remembers hellos by what lasts of them: all but what differs in every connection, which is put to zero."""

    def __init__(self, read: Callable[[bytes], _Hello], *, from_client: bool) -> None:
        self._read: Callable[[bytes], _Hello] = read
        self._from_client = from_client
        self._hellos: dict[bytes, _Hello] = {}
        self._lasting: dict[tuple[int, int], tuple[_Mask, _Lasting]] = {}
        """Length of a hello and where its key shares seem to be → what differs in the last one of these, and what
        takes the rest of a hello."""
        self._known: dict[tuple[_Lasting, tuple[bytes, ...]], _Hello] = {}
        """By what was taken so."""

    def hello(self, body: bytes) -> _Hello:
        layout = len(body), body.find(_KEY_SHARE_START, _SESSION_ID)
        last, take = self._lasting.get(layout, _NO_LAYOUT)
        # Where all else is as in a hello that is known, the places of what differs are the same, too.
        if last and (found := self._known.get((take, take(body)))) is not None:
            return found
        mask: _Mask = _changing(body, from_client=self._from_client)
        lasting = _blanked(body, mask)
        found = self._hellos.get(lasting) or self._read(lasting)
        if len(body) <= MAX_CACHED and mask:
            for cache in (self._hellos, self._lasting, self._known):
                if len(cache) >= CACHED_HELLOS:
                    cache.clear()
            if mask != last:
                cuts = [0, *chain.from_iterable(mask), len(body)]
                take = itemgetter(*map(slice, cuts[::2], cuts[1::2]))
            self._hellos[lasting] = self._known[take, take(body)] = found
            self._lasting[layout] = mask, take
        return found


def _blanked(body: bytes, mask: _Mask) -> bytes:
    blank = bytearray(body)
    for start, end in mask:
        blank[start:end] = bytes(end - start)
    return bytes(blank)


def _changing(body: bytes, *, from_client: bool) -> _Mask:
    """Begin and end of what differs in every connection; nothing where lengths do not add up."""
    try:
        pos = 35 + body[34]
        found = [(2, 34), (35, pos)]
        if from_client:
            pos += 2 + int.from_bytes(body[pos : pos + 2], "big")  # cipher suites
            pos += 1 + body[pos]  # compression methods
        else:
            pos += 3
        pos += 2
        while pos < len(body):
            kind, size = _HEADER.unpack_from(body, pos)
            start, pos = pos + 4, pos + 4 + size
            if kind == _KEY_SHARE and size > 4:
                share = start + 2 if from_client else start
                while share < pos:
                    _, size = _HEADER.unpack_from(body, share)
                    found.append((share + 4, share + 4 + size))
                    share += 4 + size
                if share != pos:
                    return []
            elif kind in _OPAQUE:
                found.append((start, pos))
    except (IndexError, struct.error):
        return []
    return found if all(end <= len(body) for _, end in found) else []


def _read_client_hello(body: bytes) -> ClientHello:
    cursor = Cursor(body)
    version = cursor.pull_uint16()
    cursor.pull_bytes(32)
    session_id = cursor.pull_opaque(1)
    suites = cursor.pull_uint16s(2)
    compression = tuple(cursor.pull_opaque(1))
    found = _pull_extensions(cursor, _CLIENT_NUMBERS, _CLIENT_NAMES)
    hosts, alpn = found.names.get(_SERVER_NAME), found.names.get(_ALPN)
    oddities = [
        *_header_oddities(version, session_id),
        *(["no cipher suites"] if not suites else []),
        *(["no null compression"] if 0 not in compression else []),
        *_host_oddities(hosts),
        *(["empty ALPN"] if alpn is not None and not all(alpn or (b"",)) else []),
        *found.oddities,
    ]
    numbers = found.numbers
    versions = numbers.get(_VERSIONS, (version,))
    groups, algorithms = numbers.get(_GROUPS, ()), numbers.get(_SIGNATURE_ALGORITHMS, ())
    return ClientHello(
        legacy_version=version,
        cipher_suites=suites,
        compression_methods=compression,
        extension_types=tuple(found.types),
        sni=_text(hosts[0]) if hosts else None,
        alpn=tuple(map(_text, alpn or ())),
        versions=versions,
        groups=groups,
        key_shares=numbers.get(_KEY_SHARE, ()),
        signature_algorithms=algorithms,
        unknown_extensions=tuple(found.unknown),
        session_id_length=len(session_id),
        ja3=fingerprint.ja3(version, suites, found.types, groups, numbers.get(_POINT_FORMATS, ())),
        ja4=fingerprint.ja4(
            versions=versions,
            ciphers=suites,
            extensions=found.types,
            alpn=alpn or (),
            signature_algorithms=algorithms,
        ),
        oddities=tuple(oddities),
    )


_client_hellos = _Cache(_read_client_hello, from_client=True)


def _read_server_hello(body: bytes) -> ServerHello:
    cursor = Cursor(body)
    version = cursor.pull_uint16()
    random = cursor.pull_bytes(32)
    hello_retry = random == HELLO_RETRY_RANDOM
    draft = body[:1] == _DRAFT
    session_id = b"" if draft else cursor.pull_opaque(1)
    suite = cursor.pull_uint16()
    compression = 0 if draft else cursor.pull_uint8()
    found = _pull_extensions(cursor, _RETRY_NUMBERS if hello_retry else _SERVER_NUMBERS, _SERVER_NAMES)
    alpn = found.names.get(_ALPN)
    oddities = [
        *_header_oddities(version, session_id),
        *([f"compression method {compression}"] if compression else []),
        *([f"{len(alpn)} protocols chosen"] if alpn is not None and len(alpn) != 1 else []),
        *found.oddities,
    ]
    return ServerHello(
        legacy_version=version,
        version=found.numbers.get(_VERSIONS, (version,))[0],
        random=random,
        cipher_suite=suite,
        compression=compression,
        extension_types=tuple(found.types),
        alpn=_text(alpn[0]) if alpn else None,
        group=found.numbers.get(_KEY_SHARE, (None,))[0],
        hello_retry=hello_retry,
        ja3s=fingerprint.ja3s(version, suite, found.types),
        oddities=tuple(oddities),
    )


_server_hellos = _Cache(_read_server_hello, from_client=False)


def _header_oddities(version: int, session_id: bytes) -> list[str]:
    oddities = []
    if version not in _LEGACY_VERSIONS:
        oddities.append(f"legacy version {version:#06x}")
    if len(session_id) > MAX_SESSION_ID:
        oddities.append(f"session id of {len(session_id)} bytes")
    return oddities


def _host_oddities(hosts: tuple[bytes, ...] | None) -> list[str]:
    if hosts is None:
        return []
    oddities = [f"{len(hosts)} server names"] if len(hosts) != 1 else []
    if b"" in hosts:
        oddities.append("empty server name")
    if not all(map(bytes.isascii, hosts)):
        oddities.append("server name is not ASCII")
    return oddities


def _text(name: bytes) -> str:
    return name.decode("ascii", "backslashreplace")


# -- extensions --------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Extensions:
    types: list[int] = field(default_factory=list)
    numbers: dict[int, tuple[int, ...]] = field(default_factory=dict)
    names: dict[int, tuple[bytes, ...]] = field(default_factory=dict)
    unknown: list[tuple[int, bytes]] = field(default_factory=list)
    oddities: list[str] = field(default_factory=list)


def _pull_extensions(cursor: Cursor, numbers: _Numbers, names: _Names) -> _Extensions:
    """The rest of a hello; up to TLS 1.2 it may be nothing. From a block that lies about lengths, what can be read."""
    found = _Extensions()
    if not cursor.left:
        return found
    size = cursor.pull_uint16()
    if size != cursor.left:
        found.oddities.append(f"{size} bytes of extensions announced, {cursor.left} left")
    block = Cursor(cursor.data, cursor.pos, min(cursor.pos + size, cursor.end))
    while block.left:
        if len(found.types) == MAX_EXTENSIONS:
            found.oddities.append(f"more than {MAX_EXTENSIONS} extensions")
            break
        try:
            kind, body = block.pull_uint16(), block.pull_block(2)
        except WireError:
            found.oddities.append("last extension cut short")
            break
        _decode(found, kind, body, numbers, names)
    return found


def _decode(found: _Extensions, kind: int, body: Cursor, numbers: _Numbers, names: _Names) -> None:
    raw = (kind, body.data[body.pos : body.end])
    repeated = kind in found.types
    found.types.append(kind)
    try:
        if repeated:
            found.oddities.append(f"extension {kind} repeated")
            found.unknown.append(raw)
        elif kind in numbers:
            found.numbers[kind] = _pull_whole(body, numbers[kind])
        elif kind in names:
            found.names[kind] = _pull_whole(body, names[kind])
        elif kind not in _OPAQUE:
            found.unknown.append(raw)
    except WireError:
        found.oddities.append(f"extension {kind} does not parse")
        found.unknown.append(raw)


def _pull_whole(body: Cursor, pull: Callable[[Cursor], tuple[T, ...]]) -> tuple[T, ...]:
    value = pull(body)
    body.expect_end()
    return value


def _pull_server_name(entry: Cursor) -> tuple[int, bytes]:
    return entry.pull_uint8(), entry.pull_opaque(2)


def _pull_host_names(body: Cursor) -> tuple[bytes, ...]:
    return tuple(name for kind, name in body.pull_list(2, _pull_server_name) if kind == _HOST_NAME)


def _pull_protocols(body: Cursor) -> tuple[bytes, ...]:
    return body.pull_list(2, lambda entry: entry.pull_opaque(1))


def _pull_share_group(entry: Cursor) -> int:
    group = entry.pull_uint16()
    entry.pull_opaque(2)
    return group


_CLIENT_NUMBERS: _Numbers = {
    _GROUPS: lambda body: body.pull_uint16s(2),
    _POINT_FORMATS: lambda body: tuple(body.pull_opaque(1)),
    _SIGNATURE_ALGORITHMS: lambda body: body.pull_uint16s(2),
    _VERSIONS: lambda body: body.pull_uint16s(1),
    _KEY_SHARE: lambda body: body.pull_list(2, _pull_share_group),
}
_CLIENT_NAMES: _Names = {_SERVER_NAME: _pull_host_names, _ALPN: _pull_protocols}
_RETRY_NUMBERS: _Numbers = {
    _VERSIONS: lambda body: (body.pull_uint16(),),
    _KEY_SHARE: lambda body: (body.pull_uint16(),),
}
_SERVER_NUMBERS: _Numbers = {**_RETRY_NUMBERS, _KEY_SHARE: lambda body: (_pull_share_group(body),)}
_SERVER_NAMES: _Names = {_ALPN: _pull_protocols}
