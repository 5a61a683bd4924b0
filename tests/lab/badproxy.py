"""A CONNECT proxy that misbehaves: `python -m lab.badproxy PORT MODE`."""

import socket
import struct
import sys
import threading
from socketserver import StreamRequestHandler, ThreadingTCPServer

MODES = {
    "502": "cannot speak to the server, and says so",
    "504": "waited in vain for the server, and says so",
    "silent": "never answers CONNECT",
    "closes": "opens the tunnel and closes it on the ClientHello, in good order (FIN)",
    "resets": "opens the tunnel and resets the connection on the ClientHello",
    "breaks-off": "relays, and resets the connection in the middle of a long answer",
    "elsewhere": "opens each tunnel to goproxy.cn, whatever was asked for",
}
ANSWERS = {"502": b"502 Bad Gateway", "504": b"504 Gateway Timeout"}
ABORT = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close() sends a reset
BREAKS_OFF_BYTES = 60_000  # the handshake and small answers fit well below, the zip of labtext does not


class Handler(StreamRequestHandler):
    """One CONNECT, in the way that the second argument says."""

    def handle(self) -> None:
        mode = sys.argv[2]
        words = self.rfile.readline().split()
        while self.rfile.readline().strip():
            pass
        if len(words) < 2:  # whoever only looks whether somebody listens
            return
        host, _, port = words[1].decode().rpartition(":")
        if mode in ANSWERS:
            self.wfile.write(b"HTTP/1.1 %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % ANSWERS[mode])
            return
        if mode == "silent":
            self.rfile.read(1)
            return
        upstream = socket.create_connection(("goproxy.cn" if mode == "elsewhere" else host, int(port)))
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        if mode in ("closes", "resets"):
            self.request.recv(65536)
        else:
            threading.Thread(target=self.copy, args=(self.request, upstream), daemon=True).start()
            self.copy(upstream, self.request, BREAKS_OFF_BYTES if mode == "breaks-off" else sys.maxsize)
        if mode in ("resets", "breaks-off"):
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
            self.request.close()

    @staticmethod
    def copy(source: socket.socket, target: socket.socket, most: int = sys.maxsize) -> None:
        """Relay until `source` ends or `most` bytes went over, then end `target`'s stream unless it is cut."""
        try:
            while most > 0 and (data := source.recv(65536)):
                target.sendall(data)
                most -= len(data)
            if most > 0:
                target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the other side is gone


class Server(ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64


if __name__ == "__main__":
    Server(("", int(sys.argv[1])), Handler).serve_forever()
