"""A server sends its certificate chain in disorder.

What it means
    The chain is trusted, but its certificates do not follow each other: one stands before another that it issued, is
    sent twice, or has nothing to do with the others.

Why it matters
    go does not mind. Other clients refuse such chains, and each handshake carries bytes that nobody needs.

How we know
    The certificates in the order in which the server sent them, on the wire (up to TLS 1.2) or from a probe. A root at
    the end and cross-signed alternatives are in order and not told.

False positives
    None known.

What to do
    The server's operator should put the certificates into the file in order: the server's own, then each one's issuer.

References
    RFC 8446 §4.4.2, RFC 5246 §7.4.2.
"""

from collections.abc import Iterator

from trace_go.checks.command import handshake, target
from trace_go.checks.framework import Meta, finding, sentence
from trace_go.checks.proof import of_chain
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.NOTE, audience=Audience.OPERATOR, cause_rank=110)

MAX_TOLD = 3


def find(case: Case) -> Iterator[Finding]:
    untidy = {item.name: item for item in case.judgements if item.trusted and item.disorder and not item.interceptor}
    for name, judgement in untidy.items():
        requests = [item for item in case.requests if target(item) == name]
        if not requests:
            continue
        yield finding(
            case,
            "chain-disordered",
            META,
            title=f"{name} sends its certificate chain in disorder",
            detail=f"{sentence('; '.join(judgement.disorder[:MAX_TOLD]))} go does not mind; other clients may.",
            remedy=Remedy(
                text="The server's operator should send the server's certificate first, then each one's issuer.",
                command=handshake(case, requests[0]),
            ),
            subject=name,
            requests=requests,
            evidence=[of_chain(judgement)],
        )
