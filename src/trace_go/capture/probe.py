"""The active probe: which certificate chain a host presents now, seen from here and through the same forward proxy.

TLS 1.3 hides certificates from a capture (RFC 8446 §4.4.2), so the probe asks for TLS 1.2 and reads the Certificate
message as sent. Only a server that refuses that is asked again, for TLS 1.3. Nothing is verified, and nothing is sent
after the handshake. CONNECT and SOCKS as Go sends them: net/http, transport.go and socks_bundle.go.
"""

import base64
import queue
import re
import socket
import ssl
import sys
import threading
import time
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from trace_go.capture.dial import dial
from trace_go.model.errors import WireError
from trace_go.model.probe import ProbeResult, Target
from trace_go.wire import socks
from trace_go.wire.http1 import ResponseEvent, ResponseReader
from trace_go.wire.secrets import mask_url
from trace_go.wire.tls import certificate_chain
from trace_go.wire.tls_stream import HandshakeMessage, TlsReader

MAX_WORKERS = 8
# Many times a real handshake (a chain of ten certificates has 20 kB).
MAX_HANDSHAKE_BYTES = 1 << 20
_CHUNK_BYTES = 16384
_CERTIFICATE = 11
# Names and addresses; nothing that would begin another header line.
_HOST = re.compile(r"[\w.:%-]+", re.ASCII)
_ALPN = ["h2", "http/1.1"]
_PROXY_PORTS = {"http": 80, "socks5": 1080, "socks5h": 1080}


class _EndedError(Exception):
    """Why a probe ended early, in one line."""


def probe_all(targets: Sequence[Target], *, timeout_s: float = 5.0, deadline_s: float = 10.0) -> list[ProbeResult]:
    """Probe each target once, in parallel. Returns within deadline_s, in the order given; what is late is an error."""
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
    return [results.get(target) or _Attempt(target, 0).result(late) for target in wanted]


def probe(
    host: str, port: int, *, proxy: str | None = None, timeout_s: float = 5.0, server_name: str | None = None
) -> ProbeResult:
    """Fetch the chain of host:port, through `proxy` when given, within timeout_s for each of two connections at most.

    server_name: the SNI when it is not `host`; an IP address is not sent as SNI (RFC 6066 §3). Raises nothing: what
    went wrong is in the result.
    """
    attempt = _Attempt(Target(host, port, proxy), timeout_s)
    result = attempt.run(server_name or host, ssl.TLSVersion.TLSv1_2)
    if result.chain or not attempt.refused:
        return result
    again = _Attempt(Target(host, port, proxy), timeout_s)
    return again.run(server_name or host, ssl.TLSVersion.TLSv1_3)


class _Attempt:
    """One connection."""

    def __init__(self, target: Target, timeout_s: float) -> None:
        self._target = target
        self._end = time.monotonic() + timeout_s
        self._at_ns = time.time_ns()
        self._ip: str | None = None
        self._chain: tuple[bytes, ...] = ()
        self._version: str | None = None
        self._alpn: str | None = None
        self.refused = False
        """the server ended the handshake: it may like another version better"""

    def result(self, error: str | None) -> ProbeResult:
        return ProbeResult(
            host=self._target.host,
            port=self._target.port,
            via=None if self._target.proxy is None else mask_url(self._target.proxy),
            chain=self._chain,
            version=self._version,
            alpn=self._alpn,
            error=error,
            connected_ip=self._ip,
            at_ns=self._at_ns,
        )

    def run(self, server_name: str, newest: ssl.TLSVersion) -> ProbeResult:
        try:
            with self._connect() as connection:
                early = self._tunnel(connection)
                self._handshake(connection, early, server_name, newest)
        except _EndedError as end:
            return self.result(str(end))
        except TimeoutError:
            return self.result("timed out")
        except ssl.SSLError as error:
            self.refused = True
            return self.result(f"TLS: {(error.reason or str(error)).replace('_', ' ').lower()}")
        except OSError as error:
            return self.result(error.strerror or str(error))
        except ValueError:  # getaddrinfo(3) and SNI want names that IDNA can encode
            return self.result("not a host name")
        return self.result(None)

    def _connect(self) -> socket.socket:
        host, port = self._target.host, self._target.port
        if not _HOST.fullmatch(host):
            raise _EndedError("not a host name")
        if self._target.proxy is not None:
            url = urlsplit(self._target.proxy)
            if url.scheme not in _PROXY_PORTS or not url.hostname:
                raise _EndedError("the probe speaks to http:// and socks5:// proxies only")
            host, port = url.hostname, url.port or _PROXY_PORTS[url.scheme]
        connection = dial(host, port, self._end)
        self._ip = connection.getpeername()[0]
        return connection

    def _tunnel(self, connection: socket.socket) -> bytes:
        """The way through the proxy, if there is one. Returns what came behind its answer."""
        if self._target.proxy is None:
            return b""
        if self._target.proxy.startswith("socks"):
            return self._socks(connection)
        authority = f"[{self._target.host}]" if ":" in self._target.host else self._target.host
        authority += f":{self._target.port}"
        lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", "User-Agent: Go-http-client/1.1"]
        url = urlsplit(self._target.proxy)
        if url.username is not None:
            secret = f"{unquote(url.username)}:{unquote(url.password or '')}".encode()
            lines.append("Proxy-Authorization: Basic " + base64.b64encode(secret).decode("ascii"))
        connection.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
        reader = ResponseReader()
        reader.expect("CONNECT")
        while not reader.switched:
            try:
                reader.receive(self._receive(connection))
                event = reader.next_event()
            except WireError:
                raise _EndedError("the proxy does not answer in HTTP") from None
            if isinstance(event, ResponseEvent) and not reader.switched:
                raise _EndedError(f"the proxy answers CONNECT with {event.head.status} {event.head.reason}".rstrip())
        return reader.rest

    def _socks(self, connection: socket.socket) -> bytes:
        """RFC 1928 and 1929; the proxy resolves the name, as with go (net/http, socks_bundle.go)."""
        url, host = urlsplit(self._target.proxy or ""), self._target.host.encode("ascii")
        login = b"\1" + b"".join(bytes([len(text)]) + text for text in map(_unquoted, (url.username, url.password)))
        request = b"\5\1\0\3" + bytes([len(host)]) + host + self._target.port.to_bytes(2, "big")
        reader = socks.ServerReader(socks.V5)
        connection.sendall(b"\5\1\0" if url.username is None else b"\5\2\0\2")
        while not reader.switched:
            try:
                reader.receive(self._receive(connection))
                event = reader.next_event()
            except WireError:
                raise _EndedError("the proxy does not speak SOCKS") from None
            if isinstance(event, socks.Method) and event.method in (socks.NO_LOGIN, socks.PASSWORD):
                connection.sendall(login if event.method == socks.PASSWORD else request)
            elif isinstance(event, socks.LoginResult) and event.status == 0:
                connection.sendall(request)
            elif isinstance(event, socks.Reply) and not reader.switched:
                raise _EndedError(f"the proxy refuses SOCKS: {socks.reply_text(event.version, event.code)}")
            elif event is not None and not reader.switched:
                raise _EndedError("the proxy refuses the login")
        return reader.rest

    def _handshake(self, connection: socket.socket, early: bytes, server_name: str, newest: ssl.TLSVersion) -> None:
        incoming, outgoing, seen = ssl.MemoryBIO(), ssl.MemoryBIO(), early
        incoming.write(early)
        tls = _context(newest).wrap_bio(incoming, outgoing, server_hostname=server_name)
        try:
            while not self._finished(tls):
                connection.sendall(outgoing.read())
                data = self._receive(connection)
                incoming.write(data)
                seen += data
                if len(seen) > MAX_HANDSHAKE_BYTES:
                    raise _EndedError("an endless handshake")
            connection.sendall(outgoing.read())
        finally:
            self._chain = _sent_chain(seen)
        self._chain = self._chain or _hidden_chain(tls)
        self._version, self._alpn = tls.version(), tls.selected_alpn_protocol()

    def _finished(self, tls: ssl.SSLObject) -> bool:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def _receive(self, connection: socket.socket) -> bytes:
        connection.settimeout(self._left_s())
        try:
            data = connection.recv(_CHUNK_BYTES)
        except ConnectionResetError:
            self.refused = True
            raise _EndedError("the connection was reset") from None
        if not data:
            self.refused = True
            raise _EndedError("the connection was closed")
        return data

    def _left_s(self) -> float:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def _unquoted(text: str | None) -> bytes:
    return unquote(text or "").encode()[: socks.MAX_TEXT_BYTES]


def _context(newest: ssl.TLSVersion) -> ssl.SSLContext:
    """A client that takes whatever the server has, as an observer should."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = newest
    context.set_ciphers("ALL:!aNULL:@SECLEVEL=0")
    context.set_alpn_protocols(_ALPN)
    return context


def _sent_chain(data: bytes) -> tuple[bytes, ...]:
    """The chain in the server's bytes, none when there is no Certificate message in clear."""
    reader = TlsReader(from_client=False)
    try:
        reader.receive(data)
        while (event := reader.next_event()) is not None:
            if isinstance(event, HandshakeMessage) and event.type == _CERTIFICATE:
                return certificate_chain(event.body)
    except WireError:
        pass
    return ()


def _hidden_chain(tls: ssl.SSLObject) -> tuple[bytes, ...]:
    """The chain of a TLS 1.3 handshake, from OpenSSL: public since Python 3.13, there before; else the leaf alone."""
    if sys.version_info >= (3, 13):
        return tuple(tls.get_unverified_chain())
    ask = getattr(getattr(tls, "_sslobj", None), "get_unverified_chain", None)
    if ask is not None:
        return tuple(ssl.PEM_cert_to_DER_cert(certificate.public_bytes()) for certificate in ask() or ())
    leaf = tls.getpeercert(binary_form=True)
    return (leaf,) if leaf else ()
