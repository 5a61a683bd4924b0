"""The active probe against real TLS servers and a real CONNECT proxy on loopback."""

import base64
import datetime
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from trace_go.capture.probe import ProbeResult, Target, probe, probe_all

Handler = Callable[[socket.socket], None]


class Chain(NamedTuple):
    der: tuple[bytes, ...]
    pem: Path


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """A leaf and its issuer, and behind them one that does not belong: a probe must show what was sent."""

    def issue(name: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
        subject, by = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)]) for text in (name, issuer))
        start = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)  # expired: nothing is verified
        end = start + datetime.timedelta(days=9)
        number = x509.random_serial_number()
        builder = x509.CertificateBuilder().issuer_name(by).subject_name(subject).serial_number(number)
        builder = builder.public_key(leaf_key.public_key()).not_valid_before(start).not_valid_after(end)
        return builder.sign(key, hashes.SHA256())

    leaf_key, issuer_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    certificates = [
        issue("leaf", "issuer", issuer_key),
        issue("issuer", "root", issuer_key),
        issue("x", "y", issuer_key),
    ]
    pem = tmp_path_factory.mktemp("pki") / "chain.pem"
    pem.write_bytes(
        leaf_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + b"".join(one.public_bytes(serialization.Encoding.PEM) for one in certificates)
    )
    return Chain(tuple(one.public_bytes(serialization.Encoding.DER) for one in certificates), pem)


@pytest.fixture
def serve() -> Iterator[Callable[[Handler], int]]:
    """Start a server on loopback: each connection is handed to the handler in a thread; returns the port."""
    with ExitStack() as stack:

        def start(handler: Handler) -> int:
            listening = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0))))

            def loop() -> None:
                with suppress(OSError):
                    while True:
                        connection, _ = listening.accept()
                        threading.Thread(target=guarded, args=(connection,), daemon=True).start()

            def guarded(connection: socket.socket) -> None:
                with connection, suppress(OSError):
                    connection.settimeout(10)
                    handler(connection)

            threading.Thread(target=loop, daemon=True).start()
            stack.callback(listening.shutdown, socket.SHUT_RDWR)
            return int(listening.getsockname()[1])

        yield start


class TlsServer:
    """Handles one connection at a time; remembers what came after the handshake and which name was asked for."""

    def __init__(self, chain: Chain, oldest: ssl.TLSVersion, newest: ssl.TLSVersion, alpn: str | None = None) -> None:
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(chain.pem)
        self.context.minimum_version, self.context.maximum_version = oldest, newest
        if alpn:
            self.context.set_alpn_protocols([alpn])
        self.context.sni_callback = lambda _tls, name, _context: self.names.append(name)
        self.names: list[str | None] = []
        self.after: list[bytes] = []
        self.done = threading.Event()

    def __call__(self, connection: socket.socket) -> None:
        with self.context.wrap_socket(connection, server_side=True, suppress_ragged_eofs=True) as tls:
            self.after.append(tls.recv(100))
            self.done.set()


@pytest.mark.parametrize(
    ("oldest", "newest", "alpn", "version"),
    [
        (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3, "h2", "TLSv1.2"),
        (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, None, "TLSv1.2"),
        (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3, "http/1.1", "TLSv1.3"),
    ],
)
def test_the_chain_as_sent(
    chain: Chain,
    serve: Callable[[Handler], int],
    oldest: ssl.TLSVersion,
    newest: ssl.TLSVersion,
    alpn: str,
    version: str,
) -> None:
    server = TlsServer(chain, oldest, newest, alpn)
    result = probe("127.0.0.1", serve(server), server_name="mirror.example")
    assert (result.version, result.alpn, result.error, result.connected_ip) == (version, alpn, None, "127.0.0.1")
    assert result.chain == chain.der
    assert result.via is None
    assert server.done.wait(5)
    assert server.after == [b""], "something was sent after the handshake"
    assert server.names[-1] == "mirror.example"


def test_a_chain_is_told_although_the_handshake_fails(chain: Chain, serve: Callable[[Handler], int]) -> None:
    server = TlsServer(chain, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2)
    server.context.verify_mode = ssl.CERT_REQUIRED
    server.context.load_verify_locations(chain.pem)
    result = probe("127.0.0.1", serve(server))
    assert result.chain == chain.der
    assert result.error is not None
    assert result.version is None


def silent(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    connection.recv(1)


def page(connection: socket.socket) -> None:
    connection.recv(1 << 16)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def endless(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"\x16\x03\x03\x40\x00" + b"\x0b\xff\xff\xff" + bytes(16380))


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (silent, "timed out"),
        (lambda connection: None, "the connection was closed|the connection was reset"),
        (page, "TLS: wrong version number"),
        (endless, "TLS: .*|an endless handshake"),
    ],
)
def test_what_is_no_tls_server_is_told(serve: Callable[[Handler], int], handler: Handler, error: str) -> None:
    result = probe("127.0.0.1", serve(handler), timeout_s=0.3 if handler is silent else 60)
    assert (result.chain, result.version, result.alpn) == ((), None, None)
    assert result.error is not None
    assert re.fullmatch(error, result.error)


def refused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def test_a_closed_port_is_refused() -> None:
    result = probe("127.0.0.1", refused_port())
    assert (result.error, result.connected_ip) == ("Connection refused", None)


@pytest.mark.parametrize("host", ["a\r\nEvil: 1", "", "a b", "ö.example", "..", "a" * 64 + ".example", "x/y"])
def test_hostile_names_never_leave(host: str) -> None:
    assert probe(host, 443, proxy=f"http://127.0.0.1:{refused_port()}").error in {
        "not a host name",
        "Connection refused",
    }
    assert probe(host, 1, timeout_s=0.5).error is not None


class Proxy:
    """Answers CONNECT with `status` and, when that is 200, connects through to `port` whatever was asked for."""

    def __init__(self, port: int, status: bytes = b"200 OK") -> None:
        self.port, self.status = port, status
        self.requests: list[bytes] = []

    def __call__(self, connection: socket.socket) -> None:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            request += connection.recv(1)
        self.requests.append(request)
        connection.sendall(b"HTTP/1.1 " + self.status + b"\r\nX: y\r\n\r\n")
        if not self.status.startswith(b"200"):
            return
        with socket.create_connection(("127.0.0.1", self.port)) as onward:
            threading.Thread(target=copy, args=(onward, connection), daemon=True).start()
            copy(connection, onward)


def copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def test_through_a_proxy_with_credentials(chain: Chain, serve: Callable[[Handler], int]) -> None:
    server = TlsServer(chain, ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3, "h2")
    proxy = Proxy(serve(server))
    port = serve(proxy)
    result = probe("proxy.golang.example", 443, proxy=f"http://me:p%40ss@127.0.0.1:{port}")
    assert result.chain == chain.der
    assert result.via == f"http://me:xxxxx@127.0.0.1:{port}"
    assert result.alpn == "h2"
    lines = proxy.requests[0].decode().split("\r\n")
    assert lines == [
        "CONNECT proxy.golang.example:443 HTTP/1.1",
        "Host: proxy.golang.example:443",
        "User-Agent: Go-http-client/1.1",
        "Proxy-Authorization: Basic " + base64.b64encode(b"me:p@ss").decode(),
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("proxy", "error", "asked"),
    [
        ("http://127.0.0.1:{port}", "the proxy answers CONNECT with 407 Proxy Authentication Required", 1),
        ("https://127.0.0.1:{port}", "the probe speaks to http:// and socks5:// proxies only", 0),
        ("http://127.0.0.1:99999", "not a host name", 0),
    ],
)
def test_a_proxy_that_does_not_connect(serve: Callable[[Handler], int], proxy: str, error: str, asked: int) -> None:
    refusing = Proxy(0, b"407 Proxy Authentication Required")
    result = probe("example.test", 443, proxy=proxy.format(port=serve(refusing)))
    assert (result.error, result.chain, len(refusing.requests)) == (error, (), asked)


class Socks:
    """A SOCKS 5 proxy that wants a login when it has one, and connects through to `port` whatever was asked for."""

    def __init__(self, port: int, login: bytes = b"", code: int = 0) -> None:
        self.port, self.login, self.code = port, login, code
        self.requests: list[bytes] = []

    def __call__(self, connection: socket.socket) -> None:
        method = 2 if self.login else 0
        if bytes([method]) not in connection.recv(100)[2:]:
            connection.sendall(b"\x05\xff")
            return
        connection.sendall(bytes([5, method]))
        if self.login:
            connection.sendall(b"\x01\x00" if connection.recv(600) == self.login else b"\x01\x01")
        self.requests.append(connection.recv(300))
        connection.sendall(bytes([5, self.code, 0, 1, *bytes(6)]))
        with socket.create_connection(("127.0.0.1", self.port)) as onward:
            threading.Thread(target=copy, args=(onward, connection), daemon=True).start()
            copy(connection, onward)


@pytest.mark.parametrize(("user", "login"), [("", b""), ("me:p%40ss@", b"\x01\x02me\x04p@ss")])
def test_through_socks(chain: Chain, serve: Callable[[Handler], int], user: str, login: bytes) -> None:
    proxy = Socks(serve(TlsServer(chain, ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3, "h2")), login)
    result = probe("proxy.golang.example", 443, proxy=f"socks5://{user}127.0.0.1:{serve(proxy)}")
    assert (result.error, result.chain, result.alpn) == (None, chain.der, "h2")
    assert "p@ss" not in str(result.via)
    assert "p%40ss" not in str(result.via)
    assert proxy.requests[-1] == b"\x05\x01\x00\x03\x14proxy.golang.example\x01\xbb"


@pytest.mark.parametrize(
    ("handler", "user", "error"),
    [
        (Socks(0, code=4), "", "the proxy refuses SOCKS: host unreachable"),
        (Socks(0, b"\x01\x02me\x04p@ss"), "", "the proxy refuses the login"),
        (Socks(0, b"\x01\x02me\x04p@ss"), "me:other@", "the proxy refuses the login"),
        (page, "", "the proxy does not speak SOCKS"),
    ],
)
def test_socks_that_does_not_connect(serve: Callable[[Handler], int], handler: Handler, user: str, error: str) -> None:
    result = probe("example.test", 443, proxy=f"socks5://{user}127.0.0.1:{serve(handler)}")
    assert (result.error, result.chain) == (error, ())


def test_many_at_once_with_a_total_limit(chain: Chain, serve: Callable[[Handler], int]) -> None:
    good = serve(TlsServer(chain, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3))
    slow = serve(silent)
    targets = [
        Target("127.0.0.1", good),
        Target("127.0.0.1", slow),
        Target("127.0.0.1", good),
        Target("127.0.0.1", good, "http://127.0.0.1:1"),
    ]
    results: list[ProbeResult] = probe_all(targets, deadline_s=0.5, timeout_s=30)
    assert [(result.port, result.error) for result in results] == [
        (good, None),
        (slow, "no answer within 0.5 s"),
        (good, "Connection refused"),
    ]
    assert probe_all([]) == []
