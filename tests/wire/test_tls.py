"""Hellos and certificate messages: genuine, hand-made and hostile."""

import ssl
from collections.abc import Callable, Mapping
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from trace_go.model.errors import WireError
from trace_go.wire import tls, tls_names
from trace_go.wire.tls_stream import HandshakeMessage, TlsReader
from wire.tls_samples import (
    NAME,
    TLS12,
    TLS13,
    alpn,
    client_hello,
    conversation,
    extension,
    server_hello,
    server_name,
    uint16s,
    vector,
)

HOST = server_name(b"proxy.golang.org")
GROUPS = extension(10, vector(2, uint16s(29, 23)))
SHARES = extension(51, vector(2, uint16s(29), vector(2, bytes(range(32))), uint16s(0x2A2A), vector(2, b"\0")))
VERSIONS = extension(43, vector(1, uint16s(0x0304, 0x0303)))
ALGORITHMS = extension(13, vector(2, uint16s(0x0403, 0x0804)))


def messages(stream: bytes, from_client: bool, kind: int) -> list[bytes]:
    """The bodies of all handshake messages of this kind."""
    reader = TlsReader(from_client=from_client)
    reader.receive(stream)
    bodies = []
    while event := reader.next_event():
        if isinstance(event, HandshakeMessage) and event.type == kind:
            bodies.append(event.body)
    return bodies


# -- genuine -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "offered"), [(TLS12, (0x0303,)), (TLS13, (0x0304,))])
def test_client_hello_of_openssl(version: ssl.TLSVersion, offered: tuple[int, ...]) -> None:
    (body,) = messages(conversation(version).client, True, 1)
    hello = tls.client_hello(body)
    assert (hello.legacy_version, hello.versions) == (0x0303, offered)
    assert (hello.sni, hello.alpn) == (NAME, ("h2", "http/1.1"))
    assert (hello.compression_methods, hello.oddities) == ((0,), ())
    assert hello.key_shares == ((29,) if version is TLS13 else ())
    assert {23, 24, 25, 29} <= set(hello.groups)
    assert 0x0403 in hello.signature_algorithms
    assert tls.client_random(body) == body[2:34]


def test_server_hello_of_openssl() -> None:
    (old,) = messages(conversation(TLS12).server, False, 2)
    (new,) = messages(conversation(TLS13).server, False, 2)
    hello = tls.server_hello(old)
    assert (hello.version, hello.alpn, hello.group, hello.hello_retry) == (0x0303, "h2", None, False)
    assert hello.random == old[2:34]
    hello = tls.server_hello(new)
    assert (hello.legacy_version, hello.version, hello.group, hello.alpn) == (0x0303, 0x0304, 29, None)
    assert (hello.random, hello.extension_types, hello.oddities) == (new[2:34], (43, 51), ())
    assert tls_names.cipher_name(hello.cipher_suite) == "TLS_AES_256_GCM_SHA384"


def test_hello_retry_request_of_openssl() -> None:
    retry, hello = map(tls.server_hello, messages(conversation(TLS13, retry=True).server, False, 2))
    assert (retry.hello_retry, retry.version, retry.group, retry.oddities) == (True, 0x0304, 24, ())
    assert (hello.hello_retry, hello.version, hello.group, hello.oddities) == (False, 0x0304, 24, ())
    first, second = map(tls.client_hello, messages(conversation(TLS13, retry=True).client, True, 1))
    assert (first.key_shares, second.key_shares) == ((29,), (24,))


# -- client hellos -----------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    name: str
    body: bytes
    facts: Mapping[str, object]
    """fields that must hold; all others are not looked at"""
    oddities: tuple[str, ...] = ()


ALL = (HOST, GROUPS, alpn(b"h2"), VERSIONS, ALGORITHMS, SHARES)
KNOWN: Mapping[str, object] = {
    "sni": NAME,
    "groups": (29, 23),
    "alpn": ("h2",),
    "versions": (0x0304, 0x0303),
    "key_shares": (29, 0x2A2A),
}

CLIENT_CASES = [
    Case("usual", client_hello(*ALL), {**KNOWN, "extension_types": (0, 10, 16, 43, 13, 51), "unknown_extensions": ()}),
    Case("no extension block", client_hello(block=b"", version=0x0301), {"sni": None, "versions": (0x0301,)}),
    Case("empty extension block", client_hello(), {"extension_types": (), "versions": (0x0303,)}),
    Case("unknown extension", client_hello(HOST, extension(0x1234, b"?")), {"unknown_extensions": ((0x1234, b"?"),)}),
    Case("GREASE", client_hello(extension(0x3A3A), suites=(0x1A1A, 0x1301)), {"cipher_suites": (0x1A1A, 0x1301)}),
    Case(
        "ticket, key and encrypted hello",
        client_hello(*(extension(kind, b"x" * 40) for kind in (35, 0xFE0D, 41))),
        {"unknown_extensions": (), "extension_types": (35, 0xFE0D, 41)},
    ),
    Case("binary ALPN", client_hello(alpn(b"\xba\xad", b"h2")), {"alpn": ("\\xba\\xad", "h2")}),
    Case(
        "odd legacy version",
        client_hello(*ALL, version=0x7F12),
        {**KNOWN, "legacy_version": 0x7F12},
        ("legacy version 0x7f12",),
    ),
    Case(
        "odd versions", client_hello(extension(43, vector(1, uint16s(0xFAFA, 0x7F1C)))), {"versions": (0xFAFA, 0x7F1C)}
    ),
    Case(
        "long session id",
        client_hello(*ALL, session_id=bytes(33)),
        {**KNOWN, "session_id_length": 33},
        ("session id of 33 bytes",),
    ),
    Case("no suites", client_hello(*ALL, suites=()), KNOWN, ("no cipher suites",)),
    Case("no null compression", client_hello(*ALL, compression=b"\1"), KNOWN, ("no null compression",)),
    Case(
        "name not ASCII",
        client_hello(server_name(b"caf\xc3\xa9\0.example"), GROUPS),
        {"sni": "caf\\xc3\\xa9\0.example", "groups": (29, 23)},
        ("server name is not ASCII",),
    ),
    Case("empty name", client_hello(server_name(b""), GROUPS), {"sni": "", "groups": (29, 23)}, ("empty server name",)),
    Case("two names", client_hello(server_name(b"a.example", b"b.example")), {"sni": "a.example"}, ("2 server names",)),
    Case("name of no host", client_hello(server_name(b"x", kind=9)), {"sni": None}, ("0 server names",)),
    Case(
        "empty name extension",
        client_hello(extension(0), GROUPS),
        {"sni": None, "groups": (29, 23), "unknown_extensions": ((0, b""),)},
        ("extension 0 does not parse",),
    ),
    Case("empty ALPN list", client_hello(alpn()), {"alpn": ()}, ("empty ALPN",)),
    Case("empty ALPN name", client_hello(alpn(b"h2", b"")), {"alpn": ("h2", "")}, ("empty ALPN",)),
    Case(
        "repeated",
        client_hello(HOST, server_name(b"b.example")),
        {"sni": NAME, "extension_types": (0, 0)},
        ("extension 0 repeated",),
    ),
    Case(
        "inner length too long",
        client_hello(extension(10, b"\0\xff\0\x1d"), HOST),
        {"sni": NAME, "groups": (), "unknown_extensions": ((10, b"\0\xff\0\x1d"),)},
        ("extension 10 does not parse",),
    ),
    Case(
        "inner length too short",
        client_hello(extension(10, b"\0\2\0\x1d\0"), HOST),
        {"sni": NAME, "groups": ()},
        ("extension 10 does not parse",),
    ),
    Case(
        "odd inner length",
        client_hello(extension(13, b"\0\3\4\3\0"), HOST),
        {"sni": NAME, "signature_algorithms": ()},
        ("extension 13 does not parse",),
    ),
    Case(
        "lying key share",
        client_hello(extension(51, vector(2, b"\0\x1d\0\xff")), HOST),
        {"sni": NAME, "key_shares": (), "unknown_extensions": ((51, b"\0\4\0\x1d\0\xff"),)},
        ("extension 51 does not parse",),
    ),
    Case(
        "very many protocols",
        client_hello(HOST, alpn(*[b"x"] * 2000)),
        {"sni": NAME, "alpn": ()},
        ("extension 16 does not parse",),
    ),
    Case(
        "block longer than the body",
        client_hello(block=b"\0\x40" + HOST),
        {"sni": NAME},
        ("64 bytes of extensions announced, 25 left",),
    ),
    Case(
        "block shorter than the body",
        client_hello(*ALL) + b"??",
        KNOWN,
        ("110 bytes of extensions announced, 112 left",),
    ),
    Case(
        "extension longer than the block",
        client_hello(HOST, uint16s(10, 99) + b"?"),
        {"sni": NAME, "extension_types": (0,)},
        ("last extension cut short",),
    ),
    Case(
        "extension header cut",
        client_hello(HOST, b"\0\x0a\0"),
        {"sni": NAME, "extension_types": (0,)},
        ("last extension cut short",),
    ),
    Case(
        "too many extensions",
        client_hello(HOST, *(extension(n) for n in range(1000, 1300))),
        {"sni": NAME},
        ("more than 256 extensions",),
    ),
    Case(
        "64 KiB",
        client_hello(HOST, extension(21, bytes(65000))),
        {"sni": NAME, "unknown_extensions": ((21, bytes(65000)),)},
    ),
]


@pytest.mark.parametrize("case", CLIENT_CASES, ids=lambda case: case.name)
def test_client_hello(case: Case) -> None:
    hello = tls.client_hello(case.body)
    assert {name: getattr(hello, name) for name in case.facts} == case.facts
    assert hello.oddities == case.oddities


@pytest.mark.parametrize("case", CLIENT_CASES, ids=lambda case: case.name)
def test_client_hello_cut_or_with_trailing_data(case: Case) -> None:
    """A hello that ends elsewhere than its lengths say is refused or told as odd."""
    end = 2 + 32 + 1 + case.body[34]
    end += 2 + int.from_bytes(case.body[end : end + 2], "big")
    end += 1 + case.body[end]  # up to TLS 1.2 a hello may end here
    whole = end + 2 + int.from_bytes(case.body[end : end + 2], "big")
    for size in {*range(min(len(case.body), 300)), len(case.body) - 1} - {end, whole}:
        try:
            assert tls.client_hello(case.body[:size]).oddities
        except WireError:
            assert size < end + 2
    if len(case.body) > end:
        assert tls.client_hello(case.body + b"trailing").oddities


def test_equal_hellos_are_one() -> None:
    shares = [
        extension(51, vector(2, uint16s(29), vector(2, bytes([n]) * 32), uint16s(23), vector(2, bytes([n]) * 65)))
        for n in range(2)
    ]
    one = client_hello(HOST, shares[0], random=b"1" * 32, session_id=b"1" * 32)
    two = client_hello(HOST, shares[1], random=b"2" * 32, session_id=b"2" * 32)
    assert tls.client_hello(one) is tls.client_hello(two)
    assert tls.client_hello(one) is not tls.client_hello(client_hello(HOST, shares[0]))
    assert (tls.client_random(one), tls.client_random(two)) == (b"1" * 32, b"2" * 32)


# -- server hellos -----------------------------------------------------------------------------------------------------

SELECTED = extension(43, uint16s(0x0304))
SHARE = extension(51, uint16s(0x11EC), vector(2, bytes(range(99))))
GROUP = extension(51, uint16s(24))

SERVER_CASES = [
    Case(
        "TLS 1.2",
        server_hello(extension(23), alpn(b"h2")),
        {"version": 0x0303, "alpn": "h2", "group": None, "extension_types": (23, 16)},
    ),
    Case("TLS 1.3", server_hello(SELECTED, SHARE), {"version": 0x0304, "legacy_version": 0x0303, "group": 0x11EC}),
    Case("no block", server_hello(block=b"", version=0x0301), {"version": 0x0301, "extension_types": ()}),
    Case("retry", server_hello(GROUP, SELECTED, random=tls.HELLO_RETRY_RANDOM), {"hello_retry": True, "group": 24}),
    Case(
        "retry with a key share",
        server_hello(SHARE, random=tls.HELLO_RETRY_RANDOM),
        {"group": None},
        ("extension 51 does not parse",),
    ),
    Case(
        "hello with a bare group",
        server_hello(GROUP, SELECTED),
        {"group": None, "version": 0x0304},
        ("extension 51 does not parse",),
    ),
    Case("odd version", server_hello(version=0x0402), {"version": 0x0402}, ("legacy version 0x0402",)),
    Case(
        "draft of TLS 1.3",
        uint16s(0x7F13) + bytes(32) + uint16s(0x1301) + vector(2, SHARE),
        {"version": 0x7F13, "cipher_suite": 0x1301, "group": 0x11EC},
        ("legacy version 0x7f13",),
    ),
    Case("session id", server_hello(session_id=bytes(40)), {}, ("session id of 40 bytes",)),
    Case("compression", server_hello(compression=1), {}, ("compression method 1",)),
    Case("two protocols", server_hello(alpn(b"h2", b"h3")), {"alpn": "h2"}, ("2 protocols chosen",)),
    Case("repeated", server_hello(SELECTED, SELECTED), {"version": 0x0304}, ("extension 43 repeated",)),
    Case(
        "lying block",
        server_hello(SELECTED, block=b"\0\7" + SELECTED),
        {"version": 0x0304},
        ("7 bytes of extensions announced, 6 left",),
    ),
    Case("trailing", server_hello(SELECTED) + b"?", {"version": 0x0304}, ("6 bytes of extensions announced, 7 left",)),
]


@pytest.mark.parametrize("case", SERVER_CASES, ids=lambda case: case.name)
def test_server_hello(case: Case) -> None:
    hello = tls.server_hello(case.body)
    assert {name: getattr(hello, name) for name in case.facts} == case.facts
    assert (hello.random, hello.oddities) == (case.body[2:34], case.oddities)
    for size in range(36 if case.body[0] == 0x7F else 38 + case.body[34]):
        with pytest.raises(WireError):
            tls.server_hello(case.body[:size])


def test_server_hellos_keep_their_own_random() -> None:
    one, two = (tls.server_hello(server_hello(SELECTED, SHARE, random=bytes([n]) * 32)) for n in (1, 2))
    assert (one.random, two.random) == (b"\1" * 32, b"\2" * 32)
    assert replace(one, random=b"") == replace(two, random=b"")


# -- certificates ------------------------------------------------------------------------------------------------------


def chain(*certificates: bytes) -> bytes:
    return vector(3, *(vector(3, certificate) for certificate in certificates))


@pytest.mark.parametrize("certificates", [(), (b"leaf",), (b"leaf", b"", b"root" * 1000), (b"x",) * 100])
def test_certificate_chain(certificates: tuple[bytes, ...]) -> None:
    body = chain(*certificates)
    assert tls.certificate_chain(body) == certificates
    for size in range(min(len(body), 200)):
        with pytest.raises(WireError):
            tls.certificate_chain(body[:size])
    with pytest.raises(WireError, match="left over"):
        tls.certificate_chain(body + b"trailing")


@pytest.mark.parametrize(
    "body", [chain(*[b"x"] * 101), chain(*[b""] * 2000), vector(3, b"\0\0\5leaf"), vector(3, b"\0")]
)
def test_hostile_certificate_chain(body: bytes) -> None:
    with pytest.raises(WireError):
        tls.certificate_chain(body)


# -- any bytes ---------------------------------------------------------------------------------------------------------

GENUINE = [
    body
    for version in (TLS12, TLS13)
    for talk in [conversation(version)]
    for body in messages(talk.client, True, 1) + messages(talk.server, False, 2) + messages(talk.server, False, 11)
]
READERS: list[Callable[[bytes], object]] = [
    tls.client_hello,
    tls.server_hello,
    tls.client_random,
    tls.certificate_chain,
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A genuine or hand-made body with a few bytes replaced, removed or put in."""
    body = bytearray(draw(st.sampled_from([*GENUINE, *(case.body[:2000] for case in CLIENT_CASES + SERVER_CASES)])))
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(body)))
        body[start : start + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(body)


@given(st.one_of(st.binary(max_size=200), mutated()))
def test_any_bytes_only_wire_error(body: bytes) -> None:
    for read in READERS:
        try:
            read(body)
        except WireError:
            continue


@given(mutated())
def test_remembered_hellos_are_what_parsing_gives(body: bytes) -> None:
    """Only bytes of extensions that are kept raw may differ: they can hold blanked key shares when the hello lies."""

    def outcome(read: Callable[[bytes], object]) -> object:
        try:
            return replace(read(body), unknown_extensions=())
        except WireError as error:
            return str(error)

    assert outcome(tls.client_hello) == outcome(tls._read_client_hello)


# -- names -------------------------------------------------------------------------------------------------------------


def test_names() -> None:
    assert [tls_names.alert_name(n) for n in (42, 255, -1)] == ["bad_certificate", "alert 255", "encrypted"]
    assert [tls_names.version_name(n) for n in (0x0304, 0x7F1C)] == ["TLS 1.3", "0x7f1c"]
    assert [tls_names.cipher_name(n) for n in (0x1301, 0x0A0A)] == ["TLS_AES_128_GCM_SHA256", None]
