"""What is fuzzed: every reader of hostile bytes, and the layers above them. A target takes any bytes and returns.

Whatever leaves a target but the errors that its room promises is a bug, and so is an input that takes seconds.
"""

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from trace_go.capture.bundle import maybe_open_bundle
from trace_go.cli.logs import read_log
from trace_go.flows.conversation import Conversation
from trace_go.flows.engine import Engine
from trace_go.gocmd.config import load_config
from trace_go.gocmd.environment import settings
from trace_go.model.errors import TraceGoError, WireError
from trace_go.model.packets import Batch, LinkType
from trace_go.pipeline import Source, observe
from trace_go.trust.store import file_store
from trace_go.wire import dns, http1, http2, icmp, socks, tls, tls_stream, x509
from trace_go.wire.goproxy import maybe_module_url
from trace_go.wire.keylog import KeyLog

LINKS = tuple(LinkType)


class _Stream(Protocol):
    def receive(self, data: bytes) -> None: ...
    def next_event(self) -> Any: ...


def _file(name: str, data: bytes, use: Callable[[Path], object]) -> None:
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(TraceGoError):
        path = Path(folder) / name
        path.write_bytes(data)
        use(path)


def capture(data: bytes) -> None:
    """The file layer and the engine: a whole capture, packed or not."""
    _file("x.pcap", data, lambda path: observe(Source(captures=(str(path),), max_flows=64)))


def captures(data: bytes) -> None:
    """Two captures as one."""

    def read(path: Path) -> None:
        other = path.with_name("y.pcap")
        other.write_bytes(data[len(data) // 2 :])
        path.write_bytes(data[: len(data) // 2])
        observe(Source(captures=(str(path), str(other)), max_flows=64))

    _file("x.pcap", data, read)


def bundle(data: bytes) -> None:
    def read(path: Path) -> None:
        if kept := maybe_open_bundle(str(path)):
            kept.close()

    _file("x.zip", data, read)


def facts(data: bytes) -> None:
    """The JSON of a bundle."""

    def read(path: Path) -> None:
        if kept := maybe_open_bundle(str(path.parent)):
            settings(kept.account.go_env)

    _file("bundle.json", data, read)


def frames(data: bytes) -> None:
    """Frames of a link type, each behind its length: layers, tunnels, fragments, flows."""
    engine, at, rows = Engine(lambda _: "", max_flows=16), 1, list[tuple[int, int]]()
    while at + 2 <= len(data):
        size = min(int.from_bytes(data[at : at + 2], "big"), len(data) - at - 2)
        rows.append((at + 2, size))
        at += 2 + size
    offset, captured = np.array(rows, np.int64).reshape(-1, 2).T
    link = LINKS[data[0] % len(LINKS)] if data else LinkType.ETHERNET
    for part in np.array_split(np.arange(len(rows)), 2):
        engine.add(
            Batch(
                data=np.frombuffer(data, np.uint8),
                offset=offset[part],
                captured=captured[part],
                length=captured[part],
                time_ns=1_700_000_000_000_000_000 + part * 10**9,
                linktype=np.full(len(part), link, np.int64),
                first_number=int(part[0]) + 1 if len(part) else 1,
            )
        )
    engine.finish()


def conversation(data: bytes) -> None:
    """Segments of two sides: a byte for side and place, a byte for the length."""
    talk, at, reached = Conversation(0), 0, [0, 0]
    number = 0
    while at + 2 <= len(data):
        head, size = data[at], data[at + 1]
        body = data[at + 2 : at + 2 + size]
        side, shift = head & 1, (head >> 1 & 7) - 3
        place = max(reached[side] + shift * (head >> 4) if head & 0x0E else reached[side], 0)
        number += 1
        talk.segment(side, place, body, len(body) + (head >> 7), number, number)
        reached[side] = max(reached[side], place + len(body))
        at += 2 + size


def _stream(make: Callable[[], _Stream]) -> Callable[[bytes], None]:
    """A reader gets the bytes in pieces, whose size the first byte tells."""

    def read(data: bytes) -> None:
        reader, step = make(), data[0] % 64 + 1 if data else 1
        with contextlib.suppress(WireError):
            for at in range(1, len(data), step):
                reader.receive(data[at : at + step])
                while reader.next_event() is not None:
                    pass

    return read


def _message(read: Callable[[bytes], object]) -> Callable[[bytes], None]:
    def target(data: bytes) -> None:
        with contextlib.suppress(WireError):
            read(data)

    return target


def key_log(data: bytes) -> None:
    log = KeyLog()
    log.feed(data[: len(data) // 2])
    log.feed(data[len(data) // 2 :])
    log.end()


def module_url(data: bytes) -> None:
    maybe_module_url(data.decode("utf-8", "surrogateescape"))


def site(data: bytes) -> None:
    with contextlib.suppress(TraceGoError, UnicodeDecodeError):
        load_config(data.decode("utf-8"))


def go_settings(data: bytes) -> None:
    words = data.decode("utf-8", "backslashreplace").split("\0")
    settings(dict(zip(("GOPROXY", "GONOSUMDB", "GOPRIVATE", "GOSUMDB", "GOVCS", "GOINSECURE"), words, strict=False)))


TARGETS: dict[str, Callable[[bytes], None]] = {
    "bundle": bundle,
    "capture": capture,
    "captures": captures,
    "conversation": conversation,
    "dns": _message(dns.message),
    "facts": facts,
    "frames": frames,
    "go-settings": go_settings,
    "http1-request": _stream(http1.RequestReader),
    "http1-response": _stream(http1.ResponseReader),
    "http2-client": _stream(lambda: http2.Http2Reader(from_client=True)),
    "http2-server": _stream(lambda: http2.Http2Reader(from_client=False)),
    "icmp4": _message(lambda data: icmp.maybe_error(data, ipv6=False)),
    "icmp6": _message(lambda data: icmp.maybe_error(data, ipv6=True)),
    "key-log": key_log,
    "log": lambda data: _file("go.log", data, lambda path: read_log(path, expect_x=True, expect_http2=True)),
    "module-url": module_url,
    "site": site,
    "socks-client": _stream(socks.ClientReader),
    "socks4-server": _stream(lambda: socks.ServerReader(4)),
    "socks5-server": _stream(lambda: socks.ServerReader(5)),
    "tls-client": _stream(lambda: tls_stream.TlsReader(from_client=True)),
    "tls-hello": _message(tls.client_hello),
    "tls-server": _stream(lambda: tls_stream.TlsReader(from_client=False)),
    "tls-server-hello": _message(tls.server_hello),
    "tls-chain": _message(tls.certificate_chain),
    "tls-chain13": _message(tls.certificate_chain13),
    "trust": lambda data: _file("roots.pem", data, file_store),
    "x509": _message(x509.read),
}
