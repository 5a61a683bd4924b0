"""A host name could not be resolved.

What it means
    The resolver said that the name does not exist (NXDOMAIN), answered with an error (SERVFAIL, REFUSED), or did not
    answer at all, so no connection was ever tried.

Why it matters
    Nothing after the name can work. In filtered networks a missing name is often a policy, not an accident.

How we know
    The DNS answer, or its absence after the query; go's own `no such host` line.

False positives
    Search-domain variants (`proxy.golang.org.corp.example`) fail in every healthy run and are not reported.

What to do
    Ask the resolver that the finding names, and compare with another one. If the name is internal, check that the VPN
    or the company's resolver is in use; if a mirror's name is blocked, set GOPROXY to a mirror that this network
    allows.

References
    RFC 1035 §4.1.1, RFC 2308; net/dnsclient_unix.go.
"""

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.command import shell, target
from trace_go.checks.framework import Meta, count, failed, finding, reason
from trace_go.checks.proof import failed_lookups, of_lookup
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Request
from trace_go.model.report import Case

META = Meta(group="names", severity=Severity.ERROR, audience=Audience.DEVELOPER, cause_rank=10)

_TITLES = {"nxdomain": "{} does not exist, says the resolver", "dns-timeout": "The resolver does not answer for {}"}
_CODES = {
    "SERVFAIL": "SERVFAIL says nothing of the name: the resolver itself could not find out, because the servers of the "
    "zone do not answer it, or their signatures (DNSSEC) are wrong.",
    "REFUSED": "REFUSED is policy: the resolver does not answer this client, or not for this name.",
}


def find(case: Case) -> Iterator[Finding]:
    by_name: dict[str, list[Request]] = defaultdict(list)
    for requests in failed(case, "nxdomain", "dns-timeout", "dns-failure").values():
        for request in requests:
            by_name[target(request)].append(request)
    for name, requests in by_name.items():
        kind = requests[0].failure.kind if requests[0].failure else ""
        lookups = failed_lookups(case, name)
        servers = [f"@{item.resolver}" for item in lookups[:1]]
        code = next((item.rcode for item in lookups if item.rcode in _CODES), None) if kind == "dns-failure" else None
        title = f"The resolver answers {code} for {{}}" if code else _TITLES.get(kind, "The resolver fails for {}")
        meaning = f" {_CODES[code]}" if code else ""
        yield finding(
            case,
            "name-not-resolved",
            META,
            title=title.format(name),
            detail=f"{reason(requests[0])}{meaning} {count(len(requests), 'request')} stopped before any connection.",
            remedy=Remedy(
                text="Ask the resolver directly, then another one, and compare.",
                command=shell("dig" + " {}" * len([*servers, name]), *servers, name),
            ),
            subject=name,
            requests=requests,
            evidence=map(of_lookup, lookups),
        )
