"""The active probe's question and answer."""

from typing import NamedTuple

from msgspec import Struct

from trace_go.model.numbers import Natural


class Target(NamedTuple):
    host: str
    port: int
    proxy: str | None = None
    """`http://[user:password@]host:port`"""


class ProbeResult(Struct, frozen=True, kw_only=True, gc=False):
    host: str
    port: Natural
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
    at_ns: Natural
