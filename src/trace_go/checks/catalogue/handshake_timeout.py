"""The TLS handshake got no answer.

What it means
    TCP connected, the ClientHello was sent, and nothing usable came back until go gave up (10 s).

Why it matters
    This is how name-based filtering, a broken middle box, or a path that swallows large packets looks: a ping and even
    a plain connection work, TLS does not.

How we know
    The ClientHello packet with no ServerHello after it; go's `TLS handshake timeout`. Whether the ClientHello was at
    least acknowledged tells a server that hangs from a path that drops it. Where large packets alone are lost, see
    path-mtu-black-hole.

False positives
    A server under heavy load may answer later than 10 s.

What to do
    Try the handshake with another server name and from another network. If only this name is silent, the network
    filters it; if every name is silent, look for a path MTU problem.

References
    net/http (Transport.TLSHandshakeTimeout), RFC 8446 §4, RFC 2923 (path MTU black holes).
"""

from collections.abc import Iterator

from trace_go.checks.command import handshake
from trace_go.checks.framework import Meta, count, failed, finding
from trace_go.checks.interference import swallows_large
from trace_go.checks.proof import flow_of
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.flow import Flow
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=31)


def find(case: Case) -> Iterator[Finding]:
    for host, silent in failed(case, "handshake-timeout").items():
        requests = [item for item in silent if not swallows_large(flow_of(case, item))]
        if not requests:
            continue
        yield finding(
            case,
            "handshake-timeout",
            META,
            title=f"{host} accepts the connection but never answers TLS",
            detail=f"{_what(flow_of(case, requests[0]))} {count(len(requests), 'request')} failed.",
            remedy=Remedy(
                text="Try the handshake alone, here and from another network.",
                command=handshake(case, requests[0]),
            ),
            subject=host,
            requests=requests,
        )


def _what(flow: Flow | None) -> str:
    if flow and flow.unacknowledged_up and flow.retransmissions_up:
        return (
            f"The connection was accepted, but the ClientHello, sent again {count(flow.retransmissions_up, 'time')}, "
            "was not even acknowledged: packets are dropped from there on, as filters by server name do."
        )
    if flow and not flow.unacknowledged_up and flow.acknowledged_down_ns:
        return "The ClientHello arrived, for it was acknowledged, and went unanswered."
    return "The ClientHello went unanswered."
