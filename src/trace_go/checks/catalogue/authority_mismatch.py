"""One connection asks for different hosts in different places.

What it means
    go names the host that it wants up to three times: to the forward proxy (CONNECT or SOCKS), in the TLS handshake
    (SNI), and in each request (Host, :authority). Here they differ.

Why it matters
    Whoever looks at one of the names only, as a proxy's list of allowed hosts and its log do, does not see where the
    traffic goes: so filters are evaded (domain fronting). And another server than the wanted one may answer.

How we know
    The names themselves, in the packets: that of the tunnel and the SNI are in clear, that of a request where the
    connection's keys are known.

False positives
    A tunnel to an address has no name to compare, and an encrypted ClientHello shows a public one in place of its own:
    neither is told. A client may send requests for several hosts over one HTTP/2 connection where the certificate
    covers them all (RFC 9113 §9.1.1): these are not told either. An agent on the client that maps names for its
    company's proxy does it on purpose.

What to do
    Find the program that makes such connections: stock go never does. Look for an agent between go and the proxy, and
    for a name in the proxy variables that points to it.

References
    RFC 9110 §9.3.6 (CONNECT), §7.2 (Host); RFC 6066 §3 (server_name); RFC 9113 §9.1.1; MITRE ATT&CK T1090.004.
"""

import re
from collections import defaultdict
from collections.abc import Iterator

from msgspec import Struct

from trace_go.checks.command import is_address, target
from trace_go.checks.framework import Meta, count, finding, some
from trace_go.model import evidence
from trace_go.model.evidence import Evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.flow import Flow
from trace_go.model.policy import permits
from trace_go.model.report import Case
from trace_go.paths.index import of_go
from trace_go.paths.urls import plain_host

META = Meta(group="tls", severity=Severity.WARNING, audience=Audience.SECURITY, cause_rank=119)

_NAME = re.compile(r"[a-z0-9_.-]{1,253}")
"""RFC 1123 §2.1; what is none is nonsense, and cannot be compared from one encoding to the other"""
_ENCRYPTED_HELLO = 0xFE0D  # encrypted_client_hello, RFC 9849 §5


class _Other(Struct, frozen=True, kw_only=True):
    """A name beside the SNI of a connection."""

    host: str
    who: str
    """names it: the beginning of a title"""
    flow: Flow
    evidence: Evidence


def find(case: Case) -> Iterator[Finding]:
    used = {hop.flow for request in case.requests for hop in request.hops}
    groups: dict[str, list[_Other]] = defaultdict(list)
    for flow in case.flows:
        name = _sni(flow) if flow.tunnel or flow.exchanges else ""
        if _NAME.fullmatch(name) and (flow.id in used or of_go(flow)):
            groups[name] += [other for other in _others(flow) if other.host != name and _NAME.fullmatch(other.host)]
    for name, others in groups.items():
        if not others:
            continue
        flows = {other.flow.id: other.flow for other in others}
        requests = [item for item in case.requests if target(item) == name or any(h.flow in flows for h in item.hops)]
        hosts = some(other.host for other in others)
        yield finding(
            case,
            "authority-mismatch",
            META,
            title=f"{others[0].who} {others[0].host}, but the TLS handshake names {name}",
            detail=f"{count(len(flows), 'connection')} asked for {name} in the TLS handshake, and for {hosts} too.",
            remedy=Remedy(text="Find the program or agent that makes these connections: stock go names one host only."),
            subject=name,
            requests=requests,
            signs=_proof(others[0]),
            evidence=[other.evidence for other in others[1:]],
        )


def _sni(flow: Flow) -> str:
    """Empty where there is none, or another one that is encrypted."""
    hello = flow.tls.hello if flow.tls else None
    return plain_host(hello.sni) if hello and hello.sni and _ENCRYPTED_HELLO not in hello.extension_types else ""


def _others(flow: Flow) -> Iterator[_Other]:
    tunnel = flow.tunnel
    if tunnel and tunnel.host and not is_address(tunnel.host):
        proof = evidence.packet(tunnel.request_packet, tunnel.request, flow.file)
        yield _Other(host=plain_host(tunnel.host), who="The request to the proxy names", flow=flow, evidence=proof)
    chain = flow.tls.chain if flow.tls else ()
    for exchange in flow.exchanges:
        host = plain_host(exchange.host.rpartition("]")[0] or exchange.host.partition(":")[0])
        if exchange.decrypted and chain and not is_address(host) and not permits(chain[0].names, host):
            proof = evidence.packet(exchange.request_packet, f"{exchange.method} with Host {exchange.host}", flow.file)
            yield _Other(host=host, who="The HTTP requests name", flow=flow, evidence=proof)


def _proof(other: _Other) -> list[Evidence]:
    tls = other.flow.tls
    hello = [evidence.packet(tls.hello_packet, f"ClientHello for {_sni(other.flow)}", other.flow.file)] if tls else []
    return [other.evidence, *hello]
