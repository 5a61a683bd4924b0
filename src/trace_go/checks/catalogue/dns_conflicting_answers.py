"""Contradicting DNS answers came to one query.

What it means
    One query was answered twice, with different addresses or with an address and an error. An honest resolver answers
    once: somebody on the way adds an answer of their own, which usually comes first and is believed.

Why it matters
    The client talks to whom the injected answer names. TLS then refuses the wrong server; plain http does not notice.

How we know
    Two response packets with the query's port and id whose addresses have nothing in common.

False positives
    Answers that only order the addresses differently, or overlap, are not counted. A resolver that fails over to
    another upstream may answer twice; that is rare, and wrong, too.

What to do
    Ask a resolver by DNS over TLS or HTTPS and compare. If that differs from the first answer, use it, or a forward
    proxy or VPN that resolves names beyond the injecting network.

References
    RFC 5452 §9; RFC 1035 §4.1.1.
"""

from collections.abc import Iterator

from trace_go.checks.command import shell
from trace_go.checks.framework import Meta, count, finding
from trace_go.checks.proof import lookups_of
from trace_go.model import evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Stage
from trace_go.model.report import Case

META = Meta(group="names", severity=Severity.ERROR, audience=Audience.SECURITY, cause_rank=7)

LATER = (Stage.STATUS, Stage.CONTENT)
"""who fails there has reached the right server"""


def find(case: Case) -> Iterator[Finding]:
    for name, requests in case.by_name.items():
        lookups = [item for item in lookups_of(case, name) if item.conflicting]
        if not lookups:
            continue
        first = lookups[0]
        failed = [item for item in requests if item.failure and item.failure.stage not in LATER]
        said = [" and ".join(addresses) for addresses in first.conflicts]
        yield finding(
            case,
            "dns-conflicting-answers",
            META,
            title=f"The DNS answers for {name} contradict each other",
            detail=f"{first.resolver} seems to have answered one {first.type} query {len(said)} times: first "
            f"{', then '.join(said)}. A resolver answers once: somebody on the way injects answers. "
            f"{count(len(failed), 'request')} failed.",
            remedy=Remedy(
                text="Ask a resolver over TLS, compare, and trust neither answer of the plain one meanwhile.",
                command=shell("kdig +tls @1.1.1.1 {}", name),
            ),
            subject=name,
            requests=failed or requests,
            severity=None if failed else Severity.WARNING,
            evidence=[
                evidence.packet(number, f"answer for {name}: {' '.join(addresses)}", lookup.file)
                for lookup in lookups
                for addresses, number in zip(lookup.conflicts, lookup.conflict_packets, strict=False)
            ],
        )
