"""A connection went to an address that DNS did not give.

What it means
    Other names were resolved in the capture, but no answer in it gave the address that the command connected to for
    this one. It came from elsewhere: the hosts file, a cache, or encrypted DNS.

Why it matters
    A forgotten line in the hosts file sends a name to an old or foreign machine, and no look at DNS will find it.

How we know
    The connection's address is in no DNS answer of the capture, although the client's queries for other hosts of the
    same command are there. go itself keeps no DNS cache.

False positives
    A local resolver's cache, when only its queries to the outside are captured; DNS over TLS or HTTPS for some names.

What to do
    Ask the system itself, which reads the hosts file first, and compare with what DNS says.

References
    hosts(5), nsswitch.conf(5); https://pkg.go.dev/net#hdr-Name_Resolution.
"""

from collections.abc import Iterator

from trace_go.checks.command import is_address, shell, target
from trace_go.checks.framework import Meta, count, finding
from trace_go.checks.proof import flow_of, lookups_of
from trace_go.model import evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.flow import Flow
from trace_go.model.ledger import Request, Role
from trace_go.model.report import Case

META = Meta(group="names", severity=Severity.NOTE, audience=Audience.SECURITY, cause_rank=96)


def find(case: Case) -> Iterator[Finding]:
    given = {address for item in case.lookups for address in item.addresses}
    told: dict[str, list[tuple[Request, Flow]]] = {}
    resolved: set[tuple[int, str]] = set()
    """(file, client) whose queries for hosts of the command are in the capture"""
    for request in case.requests:
        flow, host = flow_of(case, request), target(request)
        if flow is None or is_address(host) or any(hop.role is Role.FORWARD_PROXY for hop in request.hops):
            continue
        if flow.server.ip in given:
            resolved.add((flow.file, flow.client.ip))
        elif flow.name in (None, host):
            told.setdefault(host, []).append((request, flow))
    for host, found in told.items():
        pairs = [(request, flow) for request, flow in found if (flow.file, flow.client.ip) in resolved]
        if not pairs:
            continue
        request, flow = pairs[0]
        others = [address for item in lookups_of(case, host) for address in item.addresses]
        asked = f"DNS gave {', '.join(sorted(set(others)))}" if others else "DNS was not asked for it in this capture"
        yield finding(
            case,
            "address-not-resolved",
            META,
            title=f"{host} was reached at {flow.server.ip}, which DNS did not give",
            detail=f"{asked}, while other names were resolved there: the hosts file, a cache or encrypted DNS "
            f"remain. {count(len(pairs), 'request')} went there.",
            remedy=Remedy(
                text="Compare what the system says, which reads the hosts file first, with what DNS says.",
                command=shell("getent ahosts {}; dig {}", host, host),
            ),
            subject=host,
            requests=[item for item, _ in pairs],
            evidence=[evidence.packet(flow.first_packet, f"connection to {flow.server.ip}", flow.file)],
        )
