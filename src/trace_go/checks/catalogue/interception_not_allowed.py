"""TLS is broken open by an authority that the policy does not allow.

What it means
    [policy] interception-cas of trace-go.toml lists the authorities that may break TLS open on the way, or none. The
    certificate for a host was made by another. (interceptor-in-path tells how it was recognised.)

Why it matters
    Who breaks TLS open can read and change every download. A site that inspects knows its own machines; any other is an
    intruder, or inspection that nobody has approved.

How we know
    The issuer of the certificate, seen in the packets or probed, and the signs that interceptor-in-path names.

False positives
    The site's machine under another authority, as after a renewal: add its name to the list.

What to do
    Ask who runs the machine. Until that is known, download nothing that go.sum does not hold already.

References
    interceptor-in-path; RFC 5280 §4.1.2.4.
"""

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.chains import approved
from trace_go.checks.command import handshake
from trace_go.checks.framework import Meta, finding, some
from trace_go.checks.proof import of_chain
from trace_go.model.chain import Judgement
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Hop, Role
from trace_go.model.report import Case

META = Meta(group="policy", severity=Severity.WARNING, audience=Audience.SECURITY, cause_rank=125)


def find(case: Case) -> Iterator[Finding]:
    allowed = case.policy.interception_cas
    if allowed is None:
        return
    groups: dict[str, list[Judgement]] = defaultdict(list)
    for item in case.judgements:
        if item.interceptor and not approved(case, item):
            groups[item.interceptor].append(item)
    for interceptor, judgements in groups.items():
        hosts = {item.name for item in judgements}
        requests = [item for item in case.requests if any(_is(hop, interceptor) for hop in item.hops)]
        yield finding(
            case,
            "interception-not-allowed",
            META,
            title=f"The policy does not allow {interceptor} to break TLS open",
            detail=f"It made the certificate for {some(hosts)}; allowed: {some(allowed) or 'none'}.",
            remedy=Remedy(
                text="Ask who runs this machine; only if it is meant, add its authority to the policy.",
                command=handshake(case, requests[0]) if requests else None,
            ),
            subject=interceptor,
            requests=requests,
            evidence=map(of_chain, judgements),
        )


def _is(hop: Hop, interceptor: str) -> bool:
    return hop.role is Role.INTERCEPTOR and hop.label == interceptor
