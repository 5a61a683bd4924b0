"""A server does not send its intermediate certificate.

What it means
    The server sent its own certificate but not the intermediate that issued it. Browsers fetch or remember
    intermediates; go does not.

Why it matters
    The same URL works in a browser and fails in go with `certificate signed by unknown authority`.

How we know
    The chain on the wire (up to TLS 1.2) or from a probe: its last certificate is neither an authority of the trust
    store nor issued by one, and names its issuer.

False positives
    When only a leaf is visible, an unknown private authority looks the same: the finding then says so.

What to do
    Configure the server to send the whole chain (`fullchain.pem`, not `cert.pem`).

References
    RFC 8446 §4.4.2, RFC 5246 §7.4.2, RFC 4158.
"""

from collections.abc import Iterator

from trace_go.checks.framework import Meta, count, finding, intercepted, sentence, target
from trace_go.model import evidence
from trace_go.model.chain import ChainFault
from trace_go.model.evidence import Confidence, Visibility
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=35)


def find(case: Case) -> Iterator[Finding]:
    for judgement in case.judgements:
        if judgement.fault is not ChainFault.INCOMPLETE or judgement.interceptor:
            continue
        requests = [
            item for item in case.requests if item.failure and target(item) == judgement.name and not intercepted(item)
        ]
        leaf = judgement.chain[0]
        text = f"chain of {len(judgement.chain)} for {judgement.name}, issuer {leaf.issuer}"
        probed = judgement.visibility is Visibility.PROBED
        yield finding(
            "chain-incomplete",
            META,
            title=f"{judgement.name} does not send its whole certificate chain",
            detail=f"{sentence(judgement.detail)} {count(len(requests), 'request')} failed.",
            remedy=Remedy(
                text="The server's operator must send the intermediate certificate too (fullchain.pem).",
                command=f"openssl s_client -connect {judgement.name}:443 -showcerts </dev/null",
            ),
            subject=judgement.name,
            requests=requests,
            evidence=(evidence.probe(text) if probed else evidence.packet(judgement.packet, text, judgement.file),),
            confidence=Confidence.MEDIUM if len(judgement.chain) == 1 else Confidence.HIGH,
        )
