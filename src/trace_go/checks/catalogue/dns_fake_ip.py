"""Names resolve to fake addresses of a local proxy.

What it means
    The resolver answered with an address of 198.18.0.0/15. Local proxy programs (Clash, Surge, sing-box and others) do
    that: they give every name an address of their own, catch what is sent there, and pass it on by name.

Why it matters
    It is no attack, but a hop that you may have forgotten: what trace-go sees as the server's address is the local
    proxy, and times, refusals and resets are the proxy's, too. Which way the request really took is not observable.

How we know
    The DNS answer; the range is reserved for benchmarks and is used by nobody else on real networks.

False positives
    Laboratories for benchmarks of network devices.

What to do
    Nothing, if the proxy is yours. If something fails, look at the proxy's log and rules first; to see the path without
    it, switch it off for a moment.

References
    RFC 2544 appendix C.2.2, RFC 6890.
"""

from collections.abc import Iterator

from trace_go.checks.framework import Meta, finding, some
from trace_go.checks.proof import lookups_of, of_lookup
from trace_go.model.dns import Lookup
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Request
from trace_go.model.report import Case
from trace_go.paths.urls import is_fake

META = Meta(group="names", severity=Severity.NOTE, audience=Audience.DEVELOPER, cause_rank=95)


def find(case: Case) -> Iterator[Finding]:
    told: list[Lookup] = []
    requests: list[Request] = []
    for name, asked in case.by_name.items():
        fake = [item for item in lookups_of(case, name) if any(map(is_fake, item.addresses))]
        if fake:
            told += fake
            requests += asked
    if told:
        yield finding(
            case,
            "dns-fake-ip",
            META,
            title="A local proxy answers names with fake addresses",
            detail=f"{some(item.name for item in told)} resolved to "
            f"{some(address for item in told for address in item.addresses)}. Addresses of 198.18.0.0/15 belong to a "
            "transparent proxy on this machine or network, which passes on what is sent there: this is how Clash and "
            "Surge work, and no attack.",
            remedy=Remedy(text="Nothing, if the proxy is yours; if something fails, look at its log and rules first."),
            subject="fake addresses",
            requests={item.id: item for item in requests}.values(),
            evidence=map(of_lookup, told),
        )
