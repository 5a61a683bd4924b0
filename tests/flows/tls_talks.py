"""Genuine TLS handshakes by OpenSSL as turns, and records by hand."""

import ssl
from functools import cache

from wire.tls_samples import (
    NAME,
    TLS12,
    TLS13,
    _certificate,
    alpn,
    client_hello,
    contexts,
    extension,
    message,
    record,
    server_hello,
    server_name,
    uint16s,
    vector,
)

Turns = tuple[tuple[int, bytes], ...]
"""(side, bytes): 0 is the client"""

ALERT, CCS, HANDSHAKE, DATA = 21, 20, 22, 23
CERTIFICATE: bytes = _certificate()[1]


@cache
def handshake(
    version: ssl.TLSVersion, *, retry: bool = False, trusted: bool = True, wants_client: bool = False
) -> Turns:
    """Turns until both sides are done and each sent `hello`, or until the client refuses.

    retry, trusted and wants_client as of `contexts`.
    """
    client_side, server_side = contexts(version, retry=retry, trusted=trusted, wants_client=wants_client)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_side.wrap_bio(to_client, to_server, server_hostname=NAME)
    server = server_side.wrap_bio(to_server, to_client, server_side=True)
    turns: list[tuple[int, bytes]] = []
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
        out.write(flight)
        if flight:
            turns.append((0 if out is to_server else 1, flight))
        if refused:
            break
    return tuple(turns)


def hello(name: str = NAME, *extensions: bytes, versions: tuple[int, ...] = (0x0304, 0x0303)) -> bytes:
    """A ClientHello record."""
    more = extension(43, vector(1, uint16s(*versions)))
    return record(
        HANDSHAKE, message(1, client_hello(server_name(name.encode()), alpn(b"h2"), more, *extensions)), 0x0301
    )


def answer13(*, retry: bool = False) -> bytes:
    """A ServerHello record of TLS 1.3, or a HelloRetryRequest."""
    from trace_go.wire.tls import HELLO_RETRY_RANDOM

    body = server_hello(
        extension(43, uint16s(0x0304)), suite=0x1301, random=HELLO_RETRY_RANDOM if retry else bytes(range(32))
    )
    return record(HANDSHAKE, message(2, body))


def answer12(*chain: bytes) -> bytes:
    """ServerHello, Certificate and ServerHelloDone of TLS 1.2, a record each."""
    certificates = vector(3, *(vector(3, der) for der in chain))
    parts = message(2, server_hello()), message(11, certificates), message(14, b"")
    return b"".join(record(HANDSHAKE, part) for part in parts)


def alert(description: int, level: int = 2) -> bytes:
    return record(ALERT, bytes([level, description]))


def encrypted(size: int, kind: int = DATA) -> bytes:
    """A record of `size` opaque bytes."""
    return record(kind, b"\xe5" * size)


CHANGE = record(CCS, b"\1")
FLIGHT13 = CHANGE + encrypted(32) + encrypted(900) + encrypted(281) + encrypted(53)
"""what a TLS 1.3 server sends behind its ServerHello"""

__all__ = ["TLS12", "TLS13"]
