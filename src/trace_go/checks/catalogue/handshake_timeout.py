"""The TLS handshake got no answer.

What it means
    TCP connected, the ClientHello was sent, and nothing usable came back until go gave up (10 s).

Why it matters
    This is how name-based filtering, a broken middle box, or a path that swallows large packets looks: a ping and even
    a plain connection work, TLS does not.

How we know
    The ClientHello packet with no ServerHello after it; go's `TLS handshake timeout`.

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
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=31)


def find(case: Case) -> Iterator[Finding]:
    for host, requests in failed(case, "handshake-timeout").items():
        yield finding(
            case,
            "handshake-timeout",
            META,
            title=f"{host} accepts the connection but never answers TLS",
            detail=f"The ClientHello went unanswered. {count(len(requests), 'request')} failed.",
            remedy=Remedy(
                text="Try the handshake alone, here and from another network.",
                command=handshake(case, requests[0]),
            ),
            subject=host,
            requests=requests,
        )
