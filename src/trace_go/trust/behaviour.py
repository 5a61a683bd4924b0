"""How the machine that answered behaves beside its certificate: supporting signs of interception, each with its packet.

None of them says anything by itself: content networks are near, operators change what their servers speak. They are
looked for only where the certificate, or a second vantage, has shown an interceptor, and never make one.
Source: data/known_tls.toml for what is known of public hosts.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from trace_go.model import evidence
from trace_go.model.chain import Judgement
from trace_go.model.evidence import Confidence, Evidence, Visibility
from trace_go.model.flow import Flow
from trace_go.model.policy import permits
from trace_go.wire.tls_names import version_name

SHRUNK = 0.75  # ours: of the smallest known flight; chains change by less when their certificates are renewed
SLOW_FACTOR, SLOW_NS = 20, 5_000_000  # ours: a server's own TLS answer takes a round trip and 1 or 2 ms
INITIAL_TTLS = (64, 128, 255)  # what systems send; each router on the way takes one off
TLS13 = 0x0304
_PROXIES = re.compile(
    r"squid|mitmproxy|zscaler|blue ?coat|proxysg|mcafee|websense|forcepoint|ironport|barracuda|fortinet|sophos"
    r"|privoxy|charles|fiddler|netskope|wsa\b",
    re.IGNORECASE,
)
"""in Via (RFC 9110 §7.6.3) or Server"""


class Known(Struct, frozen=True, kw_only=True, rename="kebab"):
    """Empty where it is not known."""

    version: str = ""
    alpn: str = ""
    extensions: tuple[int, ...] = ()
    flight_bytes: int = 0


@cache
def known_hosts() -> dict[str, Known]:
    """data/known_tls.toml, by host name or `*.` pattern."""
    import msgspec.toml

    text = (Path(__file__).parent / "data" / "known_tls.toml").read_bytes()
    return msgspec.toml.decode(text, type=dict[str, Known])


def with_behaviour(judgements: Iterable[Judgement], flows: Iterable[Flow]) -> tuple[Judgement, ...]:
    """The judgements; those of interceptors with what their connections show beside the certificate."""
    told, by_name = tuple(judgements), defaultdict[str, list[Flow]](list)
    wanted = {item.name for item in told if item.interceptor}
    for flow in flows:
        if flow.tls and flow.tls.server and (name := flow.name or flow.server.ip) in wanted:
            by_name[name].append(flow)
    return tuple(_marked(item, by_name[item.name]) if item.interceptor else item for item in told)


def _marked(judgement: Judgement, flows: Iterable[Flow]) -> Judgement:
    first: dict[str, Evidence] = {}
    known = next((known for pattern, known in known_hosts().items() if permits((pattern,), judgement.name)), Known())
    for flow in flows:
        if _is_of(judgement, flow):
            for kind, number, text in _marks(flow, judgement, known):
                first.setdefault(kind, evidence.packet(number, text, flow.file))
    agreed = first and judgement.interceptor_confidence is Confidence.MEDIUM
    return replace(
        judgement,
        interceptor_marks=tuple(first.values()),
        interceptor_confidence=Confidence.HIGH if agreed else judgement.interceptor_confidence,
    )


def _is_of(judgement: Judgement, flow: Flow) -> bool:
    """Whether a connection for the name ended at the machine that is judged, as far as can be told."""
    chain = flow.tls.chain if flow.tls else ()
    match judgement.visibility:
        case Visibility.INFERRED:
            return flow.id == judgement.flow
        case Visibility.PROBED:
            return not chain
        case _:
            return chain == judgement.chain


def _marks(flow: Flow, judgement: Judgement, known: Known) -> Iterator[tuple[str, int, str]]:
    """(kind, packet, words)"""
    name = judgement.name
    yield from _handshake(flow, name, known)
    if judgement.public and not flow.tunnel and flow.syn_ack_packet:
        yield from _nearness(flow, name)
    for exchange in flow.exchanges:
        for header, value in (("Via", exchange.via), ("Server", exchange.server)):
            if value and _PROXIES.search(value):
                yield "header", exchange.response_packet, f"an answer has the header “{header}: {value}” of a proxy"


def _handshake(flow: Flow, name: str, known: Known) -> Iterator[tuple[str, int, str]]:
    tls = flow.tls
    if not tls or not tls.hello or not tls.server or TLS13 not in tls.hello.versions:
        return
    version = version_name(tls.version or 0)
    if known.version and tls.version and version != known.version:
        yield "version", tls.server_packet, f"it chose {version}; {name} is known to speak {known.version}"
    alpn_seen = tls.version != TLS13 or tls.server.alpn is not None
    if known.alpn in tls.hello.alpn and tls.version and alpn_seen and tls.server.alpn != known.alpn:
        chosen = tls.server.alpn or "no protocol"
        yield "alpn", tls.server_packet, f"it chose {chosen} (ALPN); {name} is known to choose {known.alpn}"
    if tls.version == TLS13 and known.extensions and tls.server.extension_types != known.extensions:
        numbers, usual = (", ".join(map(str, kinds)) for kinds in (tls.server.extension_types, known.extensions))
        yield "hello", tls.server_packet, f"its ServerHello has the extensions {numbers}; that of {name} has {usual}"
    if 0 < tls.server_flight_bytes < known.flight_bytes * SHRUNK:
        size = f"{tls.server_flight_bytes:,} bytes of certificates and what goes with them"
        yield "flight", tls.server_packet, f"it sent {size}; {name} is known to send at least {known.flight_bytes:,}"


def _nearness(flow: Flow, name: str) -> Iterator[tuple[str, int, str]]:
    if flow.syn_ack_ttl in INITIAL_TTLS:
        text = f"the SYN-ACK came with TTL {flow.syn_ack_ttl}, so from the next machine, and not from {name}"
        yield "ttl", flow.syn_ack_packet, text
    tls = flow.tls
    round_ns = flow.syn_ack_ns - flow.syn_ns if flow.syn_ns else 0
    answer_ns = tls.server_ns - tls.hello_ns if tls and tls.server_ns and tls.hello_ns else 0
    if 0 < round_ns * SLOW_FACTOR < answer_ns and answer_ns > SLOW_NS:
        text = f"the SYN-ACK took {round_ns / 1e6:.2f} ms, the answer to the ClientHello {answer_ns / 1e6:.1f} ms"
        yield "near", flow.syn_ack_packet, f"{text}: who accepts connections is near, and asks somebody else first"
