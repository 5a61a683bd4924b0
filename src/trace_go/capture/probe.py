"""The active probe: which certificate chain a host presents now, seen from here and through the same forward proxy.

TLS 1.3 hides certificates from a capture (RFC 8446 §4.4.2), so the probe asks for TLS 1.2 and reads the Certificate
message as sent. Only a server that refuses that is asked again with any version. Nothing is verified and nothing is sent
after the handshake. CONNECT as Go sends it: net/http, transport.go.
"""

import base64
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from trace_go.model.errors import WireError
from trace_go.wire.secrets import mask_url
from trace_go.wire.tls import certificate_chain
from trace_go.wire.tls_stream import HandshakeMessage, TlsReader

MAX_WORKERS = 8
# net/http's limit for the headers of a CONNECT answer is 10 MB; a proxy that sends so much is not one.
MAX_CONNECT_ANSWER = 64 * 1024
# Many times a real handshake (a chain of ten certificates has 20 kB).
MAX_HANDSHAKE_BYTES = 1 << 20
_CHUNK_BYTES = 16384
_CERTIFICATE = 11
_ALPN = ["h2", "http/1.1"]


class Target(NamedTuple):
    host: str
    port: int
    proxy: str | None = None
    """`http://[user:password@]host:port`"""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeResult:
    host: str
    port: int
    via: str | None
    """the forward proxy, credentials masked"""
    chain: tuple[bytes, ...]
    """DER, leaf first, as sent; may be there although the handshake failed"""
    version: str | None
    """`TLSv1.2`, … of the handshake; None when it did not finish"""
    alpn: str | None
    error: str | None
    """one line; None when the handshake finished"""
    connected_ip: str | None
    """of the host, or of the proxy"""
    at_ns: int


class _ProbeError(Exception):
    """Why a probe ended early, in one line."""


def probe_all(targets: Sequence[Target], *, timeout_s: float = 5.0, deadline_s: float = 10.0) -> list[ProbeResult]:
    """Probe each target once, in parallel. Returns within deadline_s, in order of `targets`; what is late is an error."""
    wanted = list(dict.fromkeys(targets))
    work: queue.SimpleQueue[Target] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[Target, ProbeResult]] = queue.SimpleQueue()
    for target in wanted:
        work.put(target)

    def run() -> None:
        while True:
            try:
                target = work.get_nowait()
            except queue.Empty:
                return
            done.put((target, probe(target.host, target.port, proxy=target.proxy, timeout_s=timeout_s)))

    for _ in range(min(MAX_WORKERS, len(wanted))):
        # Daemons, since a name server that does not answer holds getaddrinfo(3) beyond any limit of ours.
        threading.Thread(target=run, name="probe", daemon=True).start()
    results: dict[Target, ProbeResult] = {}
    end = time.monotonic() + deadline_s
    while len(results) < len(wanted):
        try:
            target, result = done.get(timeout=max(end - time.monotonic(), 0))
        except queue.Empty:
            break
        results[target] = result
    late = f"no answer within {deadline_s:g} s"
    return [results.get(target) or _failed(target, late) for target in wanted]


def probe(
    host: str, port: int, *, proxy: str | None = None, timeout_s: float = 5.0, server_name: str | None = None
) -> ProbeResult:
    """Fetch the chain of host:port, through `proxy` when given. Each connection has timeout_s. Never raises.

    server_name: the SNI when it is not `host`; an IP address is not sent as SNI (RFC 6066 §3).
    """
    target = Target(host, port, proxy)
    result = _failed(target, "not tried")
    for newest in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        result = _attempt(target, server_name or host, newest, time.monotonic() + timeout_s)
        if result.chain or result.connected_ip is None:
            break
    return result
