"""Genuine TLS by OpenSSL around any bytes, with the key log; HTTP/2 by hand inside it."""

import ssl
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from hpack import Encoder

from trace_go.wire.http2 import PREFACE
from trace_go.wire.keylog import KeyLog
from wire.test_http2 import frame, settings
from wire.tls_samples import NAME, TLS12, TLS13, contexts

Said = tuple[tuple[int, bytes], ...]
"""(side, bytes): 0 is the client"""
Fields = tuple[tuple[str, str], ...]


@cache
def wrapped(
    said: Said, version: ssl.TLSVersion = TLS13, *, retry: bool = False, close: bool = True
) -> tuple[Said, bytes]:
    """What is on the wire when client and server say this to each other over TLS, and the key log."""
    client_side, server_side = contexts(version, retry=retry)
    with tempfile.TemporaryDirectory() as folder:
        client_side.keylog_filename = f"{folder}/keys"
        into, out = (ssl.MemoryBIO(), ssl.MemoryBIO()), (ssl.MemoryBIO(), ssl.MemoryBIO())
        ends = (
            client_side.wrap_bio(into[0], out[0], server_hostname=NAME),
            server_side.wrap_bio(into[1], out[1], server_side=True),
        )
        turns: list[tuple[int, bytes]] = []

        def passed(side: int) -> None:
            """What a side wrote goes to the wire and to the other."""
            if flight := out[side].read():
                turns.append((side, flight))
                into[1 - side].write(flight)

        for side in (0, 1) * 3:
            with suppress(ssl.SSLWantReadError):
                ends[side].do_handshake()
            passed(side)
        for side, data in said:
            ends[side].write(data)
            passed(side)
            heard = b""
            while len(heard) < len(data):
                heard += ends[1 - side].read(1 << 16)
        for side in (0, 1) if close else ():
            with suppress(ssl.SSLError):
                ends[side].unwrap()
            passed(side)
        return tuple(turns), (Path(folder) / "keys").read_bytes()


def keys_of(*texts: bytes) -> KeyLog:
    log = KeyLog()
    for text in texts:
        log.feed(text)
        log.end()
    return log


class Http2:
    """Frames of both sides of a connection."""

    def __init__(self) -> None:
        self._encoders = (Encoder(), Encoder())
        self.said: list[tuple[int, bytes]] = [(0, PREFACE + settings((1, 4096))), (1, settings((3, 100)))]

    def add(self, side: int, data: bytes) -> "Http2":
        self.said.append((side, data))
        return self

    def headers(self, side: int, stream: int, fields: Fields, *, end: bool = False) -> "Http2":
        return self.add(side, frame(1, bytes(self._encoders[side].encode(fields)), flags=4 | end, stream=stream))

    def get(self, stream: int, path: str, *more: tuple[str, str]) -> "Http2":
        head = ((":method", "GET"), (":scheme", "https"), (":authority", NAME), (":path", path), *more)
        return self.headers(0, stream, head, end=True)

    def answer(self, stream: int, status: int, *more: tuple[str, str], end: bool = False) -> "Http2":
        return self.headers(1, stream, ((":status", str(status)), *more), end=end)

    def body(self, stream: int, data: bytes, *, end: bool = True, size: int = 8192) -> "Http2":
        parts: Sequence[bytes] = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
        for number, part in enumerate(parts, 1):
            self.add(1, frame(0, part, flags=end and number == len(parts), stream=stream))
        return self

    def wrapped(self, version: ssl.TLSVersion = TLS13) -> tuple[Said, bytes]:
        return wrapped(tuple(self.said), version)


__all__ = ["NAME", "TLS12", "TLS13"]
