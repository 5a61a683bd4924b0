"""Hand-made and genuine TLS bytes for the tests of this folder."""

import ssl
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NAME = "proxy.golang.org"
TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3

# -- hand-made --------------------------------------------------------------------------------------------------------


def uint16s(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(2, "big") for number in numbers)


def vector(length_size: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return len(body).to_bytes(length_size, "big") + body


def extension(kind: int, *parts: bytes) -> bytes:
    return uint16s(kind) + vector(2, *parts)


def server_name(*names: bytes, kind: int = 0) -> bytes:
    return extension(0, vector(2, *(bytes([kind]) + vector(2, name) for name in names)))


def alpn(*names: bytes) -> bytes:
    return extension(16, vector(2, *(vector(1, name) for name in names)))


def client_hello(
    *extensions: bytes,
    version: int = 0x0303,
    random: bytes = bytes(range(32)),
    session_id: bytes = b"",
    suites: Iterable[int] = (0x1301, 0xC02F),
    compression: bytes = b"\0",
    block: bytes | None = None,
) -> bytes:
    """The body of a ClientHello; `block` replaces the whole extension block with its length."""
    return (
        uint16s(version)
        + random
        + vector(1, session_id)
        + vector(2, uint16s(*suites))
        + vector(1, compression)
        + (vector(2, *extensions) if block is None else block)
    )


def server_hello(
    *extensions: bytes,
    version: int = 0x0303,
    random: bytes = bytes(range(32)),
    session_id: bytes = b"",
    suite: int = 0xC02F,
    compression: int = 0,
    block: bytes | None = None,
) -> bytes:
    return (
        uint16s(version)
        + random
        + vector(1, session_id)
        + uint16s(suite)
        + bytes([compression])
        + (vector(2, *extensions) if block is None else block)
    )


def message(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + vector(3, body)


def record(kind: int, body: bytes, version: int = 0x0303) -> bytes:
    return bytes([kind]) + uint16s(version) + vector(2, body)


def records(kind: int, body: bytes, *cuts: int) -> bytes:
    """`body` over several records, cut at these offsets."""
    return b"".join(record(kind, body[start:stop]) for start, stop in pairwise((0, *cuts, len(body))))


# -- genuine ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """What each side sent, and the certificate that the server has."""

    client: bytes
    server: bytes
    certificate: bytes


def contexts(
    version: ssl.TLSVersion, *, retry: bool = False, trusted: bool = True, wants_client: bool = False
) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a client and a server.

    retry: the server wants a group that the client offers without a key share. trusted: the client verifies with the
    right certificate; if not it refuses. wants_client: the server asks for a certificate, and the client has one.
    """
    pem, der = _certificate()
    client_side, server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for context in (client_side, server_side):
        context.minimum_version = context.maximum_version = version
        context.set_alpn_protocols(["h2", "http/1.1"])
    if retry:
        server_side.set_ecdh_curve("secp384r1")
    if trusted:
        client_side.load_verify_locations(cadata=der)
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(pem)
        server_side.load_cert_chain(file.name)
        if wants_client:
            client_side.load_cert_chain(file.name)
            server_side.verify_mode = ssl.CERT_REQUIRED
            server_side.load_verify_locations(cadata=der)
    return client_side, server_side


@cache
def conversation(version: ssl.TLSVersion, *, retry: bool = False, trusted: bool = True) -> Conversation:
    """A handshake by OpenSSL and, where it succeeds, one message each way; retry and trusted as of `contexts`."""
    client_side, server_side = contexts(version, retry=retry, trusted=trusted)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(to_client, to_server, server_hostname=NAME)
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    sent = {to_server: b"", to_client: b""}
    steps = [(client.do_handshake, to_server), (server.do_handshake, to_client)] * 3
    for step, out in [*steps, (lambda: client.write(b"hello"), to_server), (lambda: server.write(b"hello"), to_client)]:
        refused = False
        try:
            step()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            refused = True
        flight = out.read()
        sent[out] += flight
        out.write(flight)
        if refused:
            break
    return Conversation(client=sent[to_server], server=sent[to_client], certificate=_certificate()[1])


def _certificate() -> tuple[bytes, bytes]:
    return certificate_of(NAME)


@cache
def certificate_of(host: str) -> tuple[bytes, bytes]:
    """(key and certificate in PEM, certificate in DER)"""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ) + certificate.public_bytes(serialization.Encoding.PEM)
    return pem, certificate.public_bytes(serialization.Encoding.DER)
