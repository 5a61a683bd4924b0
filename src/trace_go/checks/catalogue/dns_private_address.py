"""A public name resolves to a private or reserved address.

What it means
    The resolver answered the name of a public Go service with an address that exists only inside some network, or
    nowhere: 10.0.0.0/8, 192.168.0.0/16, 127.0.0.0/8, 0.0.0.0 and their like.

Why it matters
    Either the name is blocked on purpose (a DNS filter answers 0.0.0.0 or the address of its block page), or a machine
    inside plays the public service. Both are decisions of the network, not of the service.

How we know
    The DNS answer, and the list of special-purpose addresses. Only names that trace-go knows to be public are judged.

False positives
    A company may run its own mirror under the public name on purpose: when requests to it succeed, this is a note.
    Addresses of 198.18.0.0/15 mean a local proxy and have a note of their own, dns-fake-ip.

What to do
    Compare with another resolver. If the name is filtered, ask for it to be allowed or use a mirror that is; if a
    machine inside plays it on purpose, name that mirror in GOPROXY.

References
    RFC 6890, RFC 1918, RFC 6598; https://pkg.go.dev/cmd/go (GOPROXY).
"""

from collections.abc import Iterator
from functools import cache, lru_cache
from ipaddress import ip_address, ip_network

from trace_go.checks.catalogue.dns_conflicting_answers import LATER
from trace_go.checks.command import is_address, shell
from trace_go.checks.framework import Meta, count, finding, some
from trace_go.checks.proof import lookups_of, of_lookup
from trace_go.gocmd.hosts import HostBook, load_hosts
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="names", severity=Severity.ERROR, audience=Audience.SECURITY, cause_rank=8)

RESERVED = tuple(
    map(
        ip_network,
        ("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16",
         "224.0.0.0/3", "::/127", "::ffff:0:0/96", "100::/64", "2001::/32", "fc00::/7", "fe80::/10", "ff00::/8"),
    )
)  # fmt: skip
"""special-purpose addresses (RFC 6890) that no public service has; Teredo's 2001::/32 is what some filters answer"""


def find(case: Case) -> Iterator[Finding]:
    for name, requests in case.by_name.items():
        known = _public().lookup(name)
        if known is None or known.name.startswith("*"):
            continue
        told = [item for item in lookups_of(case, name) if any(map(_is_reserved, item.addresses))]
        if not told:
            continue
        failed = [item for item in requests if item.failure and item.failure.stage not in LATER]
        works = any(item.status is not None for item in requests)
        addresses = some(address for item in told for address in item.addresses if _is_reserved(address))
        yield finding(
            case,
            "dns-private-address",
            META,
            title=f"{name} resolves to {addresses}, which is no public address",
            detail=f"{told[0].resolver} says so. {name} is a public service: the name is blocked by the resolver, or a "
            f"machine of this network answers in its place. {count(len(failed), 'request')} failed.",
            remedy=Remedy(
                text="Compare with another resolver; if the name is filtered here, use a mirror that is allowed.",
                command=shell("dig @1.1.1.1 {}", name),
            ),
            subject=name,
            requests=failed or requests,
            severity=Severity.NOTE if works and not failed else None if failed else Severity.WARNING,
            evidence=map(of_lookup, told),
        )


@cache
def _public() -> HostBook:
    return load_hosts()


@lru_cache(1024)
def _is_reserved(address: str) -> bool:
    if not is_address(address):
        return False
    ip = ip_address(address)
    return any(ip.version == network.version and ip in network for network in RESERVED)
