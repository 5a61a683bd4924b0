"""TCP servers that misbehave during the handshake: `python -m lab.adversary MODE ADDRESS…` (port 443)."""

import socket
import struct
import sys
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

MODES = {
    "silent": "accepts, reads and never answers",
    "reset": "resets the connection on its first bytes (a ClientHello)",
    "closed": "closes the connection on its first bytes, in good order (FIN)",
    "plain": "answers in plain HTTP where TLS is expected",
    "banner": "speaks first and no TLS, as ssh does",
}
ABORT = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends a reset


class Handler(BaseRequestHandler):
    """Behaves as the mode in the first argument says."""

    def handle(self) -> None:
        if sys.argv[1] == "banner":
            self.request.sendall(b"SSH-2.0-lab\r\n")
        while self.request.recv(65536) and sys.argv[1] == "silent":
            pass
        if sys.argv[1] == "reset":
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            self.request.close()  # before socketserver's shutdown() could send a FIN
        if sys.argv[1] == "plain":
            self.request.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


class Server(ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, address: str) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        super().__init__((address, 443), Handler)


if __name__ == "__main__":
    for address in sys.argv[2:]:
        Thread(target=Server(address).serve_forever).start()
