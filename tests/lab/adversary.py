"""TCP servers that are no use to go: `python -m lab.adversary MODE PEM ADDRESS…` (port 443).

PEM.pem and PEM.key are the host's chain and key, for the modes that speak TLS.
"""

import contextlib
import socket
import ssl
import struct
import sys
from functools import cache
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

MODES = {
    "silent": "accepts, reads and never answers",
    "reset": "resets the connection on its first bytes (a ClientHello)",
    "closed": "closes the connection on its first bytes, in good order (FIN)",
    "plain": "answers in plain HTTP where TLS is expected",
    "banner": "speaks first and no TLS, as ssh does",
    "client-certificate": "demands a client certificate over TLS 1.3",
    "client-certificate-tls12": "demands a client certificate over TLS 1.2",
}
ABORT = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends a reset


@cache
def demanding(pem: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(f"{pem}.pem", f"{pem}.key")
    context.load_verify_locations(f"{pem}.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.set_alpn_protocols(["h2", "http/1.1"])
    if sys.argv[1].endswith("tls12"):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


class Handler(BaseRequestHandler):
    """Behaves as the mode in the first argument says."""

    def handle(self) -> None:
        if sys.argv[1].startswith("client-certificate"):
            self.demand()
            return
        if sys.argv[1] == "banner":
            self.request.sendall(b"SSH-2.0-lab\r\n")
        while self.request.recv(65536) and sys.argv[1] == "silent":
            pass
        if sys.argv[1] == "reset":
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            self.request.close()  # before socketserver's shutdown() could send a FIN
        if sys.argv[1] == "plain":
            self.request.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def demand(self) -> None:
        """Handshake as a server that wants a certificate; then wait for the client, so that it reads the alert."""
        tls = demanding(sys.argv[2]).wrap_socket(self.request, server_side=True, do_handshake_on_connect=False)
        try:
            tls.do_handshake()
        except OSError:  # no certificate came, and the alert is sent
            with contextlib.suppress(OSError):
                socket.socket.shutdown(tls, socket.SHUT_WR)
                while socket.socket.recv(tls, 65536):
                    pass
        tls.close()


class Server(ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, address: str) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, 443), Handler)


if __name__ == "__main__":
    for address in sys.argv[3:]:
        Thread(target=Server(address).serve_forever).start()
