"""A server does not send its intermediate certificate.

What it means
    The server sent its own certificate but not the intermediate certificate that issued it, or another in its place.
    Browsers fetch it or remember it from elsewhere; go does not.

Why it matters
    The same URL works in a browser and fails in go with `certificate signed by unknown authority`.

How we know
    The chain on the wire (up to TLS 1.2) or from a probe: it ends below the roots of the trust store, and another
    sign says that the missing link leads to one of them: it was seen elsewhere in the input, the certificate names a
    place to fetch it from, or the store has a root of the same organisation.

False positives
    When only the server's own certificate is visible, a private authority that imitates all this looks the same: the
    confidence is then medium.

What to do
    The server's operator must configure the whole chain (`fullchain.pem`, not `cert.pem`).

References
    RFC 8446 §4.4.2, RFC 5246 §7.4.2, RFC 4158.
"""

from collections.abc import Iterator

from trace_go.checks.chains import refused
from trace_go.checks.command import handshake, target
from trace_go.checks.framework import Meta, count, finding, sentence
from trace_go.checks.proof import of_chain
from trace_go.model.chain import ChainFault, Judgement
from trace_go.model.evidence import Confidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Request
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=37)


def find(case: Case) -> Iterator[Finding]:
    faulty = {
        item.name: item for item in case.judgements if item.fault is ChainFault.INCOMPLETE and not item.interceptor
    }
    broken = {target(found.requests[0]): found for found in refused(case) if found.fault is ChainFault.INCOMPLETE}
    for name, judgement in faulty.items():
        requests = broken[name].requests if name in broken else ()
        yield finding(
            case,
            "chain-incomplete",
            META,
            title=_title(name, judgement),
            detail=f"{sentence(judgement.detail)} {_effect(requests)}",
            remedy=Remedy(
                text="The server's operator must send the intermediate certificate too (fullchain.pem).",
                command=handshake(case, requests[0]) if requests else None,
            ),
            subject=name,
            requests=requests,
            evidence=[of_chain(judgement)],
            severity=None if requests else Severity.NOTE,
            confidence=Confidence.MEDIUM if len(judgement.chain) == 1 else Confidence.HIGH,
        )


def _title(name: str, judgement: Judgement) -> str:
    if len(judgement.chain) == 1:
        return f"{name} does not send its whole certificate chain"
    return f"{name} sends its certificate without the intermediate that issued it"


def _effect(requests: tuple[Request, ...]) -> str:
    if requests:
        return f"{count(len(requests), 'request')} failed."
    return "No request failed here, but go fails wherever it does not know the intermediate certificate."
