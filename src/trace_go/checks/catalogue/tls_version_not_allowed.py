"""A connection uses an older TLS version than the policy allows.

What it means
    [policy] minimum-tls of trace-go.toml names the oldest TLS version that downloads may use. A server, or whoever
    answers in its place, chose an older one.

Why it matters
    TLS 1.2 sends certificates in clear and allows key exchanges without forward secrecy; a server that stays behind, or
    a machine on the way that pulls connections down, is what such a rule is meant to show.

How we know
    The version in the ServerHello, in the packets.

False positives
    None: the version is in clear. go itself offers TLS 1.2 and 1.3.

What to do
    Ask the server's operator to offer the newer version. If the server does so elsewhere, something on the way answers
    in its place: compare from another network.

References
    RFC 8446 §4.2.1, §4.1.3; https://go.dev/doc/security/fips140 for sites that need it.
"""

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.command import handshake
from trace_go.checks.framework import Meta, count, finding
from trace_go.model import evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.flow import Flow
from trace_go.model.ledger import Request
from trace_go.model.report import Case
from trace_go.wire.tls_names import version_name

META = Meta(group="policy", severity=Severity.WARNING, audience=Audience.SECURITY, cause_rank=127)

_VERSIONS = {"1.2": 0x0303, "1.3": 0x0304}


def find(case: Case) -> Iterator[Finding]:
    minimum = _VERSIONS.get(case.policy.minimum_tls or "")
    if minimum is None:
        return
    used: dict[str, dict[int, Flow]] = defaultdict(dict)
    requests: dict[str, dict[int, Request]] = defaultdict(dict)
    for request in case.requests:
        for hop in request.hops:
            flow = case.flows[hop.flow] if hop.flow is not None else None
            if flow and flow.tls and flow.tls.version and flow.tls.version < minimum:
                name = flow.name or flow.server.ip
                used[name][flow.id] = flow
                requests[name][request.id] = request
    for name, flows in used.items():
        first = next(iter(flows.values()))
        version = version_name(first.tls.version or 0) if first.tls else "?"
        yield finding(
            case,
            "tls-version-not-allowed",
            META,
            title=f"{name} uses {version}; the policy wants TLS {case.policy.minimum_tls}",
            detail=f"{count(len(flows), 'connection')} to {name} chose {version}.",
            remedy=Remedy(
                text="Ask its operator for the newer version; see from elsewhere what it offers.",
                command=handshake(case, next(iter(requests[name].values()))),
            ),
            subject=name,
            requests=requests[name].values(),
            evidence=[_hello(flow) for flow in flows.values()],
        )


def _hello(flow: Flow) -> evidence.Evidence:
    number = flow.tls.hello_packet if flow.tls else flow.first_packet
    return evidence.packet(number, f"handshake with {flow.name or flow.server.ip}", flow.file)
