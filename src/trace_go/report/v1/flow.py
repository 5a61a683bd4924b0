"""Conversations: flows with what was said in them."""

import msgspec

from trace_go.model import flow, http
from trace_go.model.evidence import file_of, number_in_file
from trace_go.report.v1.tls import Tls, of_tls
from trace_go.report.v1.values import Bytes, packets, time


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    ip: str
    port: int


class Timings(msgspec.Struct, frozen=True, kw_only=True):
    tcp_connect_s: float | None
    tls_handshake_s: float | None


class Tunnel(msgspec.Struct, frozen=True, kw_only=True):
    protocol: str
    authority: str
    status: int | None
    reason: str
    proxy: str
    packets: list[int]


class Http(msgspec.Struct, frozen=True, kw_only=True):
    method: str
    url: str
    status: int | None
    location: str | None
    user_agent: str | None
    content_type: str | None
    packets: list[int]
    version: str
    stream: int | None
    """of HTTP/2"""
    decrypted: bool
    start: str | None
    response_s: float | None
    """from the request to the head of the answer"""
    duration_s: float | None
    """from the request to the end of the answer's body"""
    body_bytes: int | None
    aborted: str | None


class Reset(msgspec.Struct, frozen=True, kw_only=True):
    packet: int
    from_client: bool
    ttl: int


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    id: int
    transport: str
    protocol: str
    client: Endpoint
    server: Endpoint
    name: str | None
    file: int
    first_packet: int
    last_packet: int
    last_file: int
    start: str | None
    duration_s: float
    outcome: str
    timings: Timings
    packets: Bytes
    bytes: Bytes
    retransmissions: Bytes
    reset: Reset | None
    icmp: str | None
    tls: Tls | None
    tunnel: Tunnel | None
    http: list[Http]
    process: str | None


def of_flow(x: flow.Flow) -> Flow:
    return Flow(
        id=x.id,
        transport=x.transport,
        protocol=x.protocol,
        client=Endpoint(ip=x.client.ip, port=x.client.port),
        server=Endpoint(ip=x.server.ip, port=x.server.port),
        name=x.name,
        file=x.file,
        first_packet=number_in_file(x.first_packet),
        last_packet=number_in_file(x.last_packet),
        last_file=max(file_of(x.last_packet), x.file),
        start=time(x.start_ns),
        duration_s=(x.end_ns - x.start_ns) / 1e9,
        outcome=x.outcome,
        timings=Timings(tcp_connect_s=x.connect_s, tls_handshake_s=x.tls_s),
        packets=Bytes(up=x.packets_up, down=x.packets_down),
        bytes=Bytes(up=x.bytes_up, down=x.bytes_down),
        retransmissions=Bytes(up=x.retransmissions_up, down=x.retransmissions_down),
        reset=_reset(x.reset) if x.reset else None,
        icmp=x.icmp,
        tls=of_tls(x.tls) if x.tls else None,
        tunnel=_tunnel(x.tunnel, x) if x.tunnel else None,
        http=[_http(item) for item in x.exchanges],
        process=x.process,
    )


def _reset(x: flow.Reset) -> Reset:
    return Reset(packet=number_in_file(x.packet), from_client=x.from_client, ttl=x.ttl)


def _tunnel(x: flow.Tunnel, of: flow.Flow) -> Tunnel:
    return Tunnel(
        protocol=x.protocol,
        authority=x.authority,
        status=x.status,
        reason=x.reason,
        proxy=f"{of.server.ip}:{of.server.port}",
        packets=packets(x.request_packet, x.response_packet),
    )


def _http(x: http.Exchange) -> Http:
    return Http(
        method=x.method,
        url=x.url,
        status=x.status,
        location=x.location,
        user_agent=x.user_agent,
        content_type=x.content_type,
        packets=packets(x.request_packet, x.response_packet),
        version=x.version,
        stream=x.stream or None,
        decrypted=x.decrypted,
        start=time(x.request_ns),
        response_s=(x.response_ns - x.request_ns) / 1e9 if x.response_ns else None,
        duration_s=(x.end_ns - x.request_ns) / 1e9 if x.end_ns else None,
        body_bytes=x.body_bytes if x.body_bytes >= 0 else None,
        aborted=x.aborted,
    )
