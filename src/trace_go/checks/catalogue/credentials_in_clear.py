"""Credentials over plain http.

What it means
    A user name with a password, or a token, was sent to a server over http://, or would have been: go refuses to send
    what stands in a GOPROXY entry with http://, and the request fails; git sends it.

Why it matters
    Everyone on the way can read it and use it, also for writing to the repository or the mirror.

How we know
    The Authorization header in clear in the packets (its value is in no report); go's `refusing to pass credentials to
    insecure URL`.

False positives
    A server on this machine (a loopback address) is not reported. What goes to a forward proxy is another matter.

What to do
    Use https. A credential that was sent in clear is known to others: replace it.

References
    cmd/go/internal/web/http.go (get), RFC 7617 §4.
"""

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.command import is_loopback, shell, target
from trace_go.checks.framework import Meta, count, finding
from trace_go.model import evidence
from trace_go.model.evidence import Evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.flow import Flow
from trace_go.model.ledger import Request
from trace_go.model.report import Case

META = Meta(group="go", severity=Severity.WARNING, audience=Audience.SECURITY, cause_rank=78)

_KEPT = "The URL has a user and password and is http://: go refuses to send them in clear."


def find(case: Case) -> Iterator[Finding]:
    kept: dict[str, list[Request]] = defaultdict(list)
    sent: dict[str, list[Request]] = defaultdict(list)
    shown = {flow.id: proof for flow in case.flows if (proof := _shown(flow))}
    flows: dict[str, dict[int, None]] = defaultdict(dict)
    for request in case.requests:
        if request.failure and request.failure.kind == "insecure-credentials":
            kept[target(request)].append(request)
            continue
        ways = dict.fromkeys(hop.flow for hop in request.hops if hop.flow in shown and not hop.redirected)
        if ways and not is_loopback(host := target(request)):
            sent[host].append(request)
            flows[host] |= ways
    for host, requests in (*kept.items(), *sent.items()):
        refused = host in kept and requests is kept[host]
        told = _KEPT if refused else "Everyone on the way can read them: they must be replaced."
        yield finding(
            case,
            "credentials-in-clear",
            META,
            title=f"go does not send credentials to {host} over plain http"
            if refused
            else f"Credentials are sent to {host} over plain http",
            detail=f"{told} {count(len(requests), 'request')} {'failed' if refused else 'carried them'}.",
            remedy=Remedy(
                text="Use https for this server; see whether it offers it.",
                command=shell("curl -sSI {}", f"https://{host}/"),
            ),
            subject=f"{host}:{'kept' if refused else 'sent'}",
            requests=requests,
            evidence=[] if refused else [item for flow in flows[host] for item in shown[flow]],
            severity=Severity.ERROR if refused else None,
        )


def _shown(flow: Flow) -> list[Evidence]:
    """The packets of a connection that hold credentials in clear for its server."""
    return [
        evidence.packet(exchange.request_packet, f"{exchange.method} {exchange.url} with credentials", flow.file)
        for exchange in flow.exchanges
        if exchange.has_credentials and not (exchange.proxied or exchange.decrypted)
    ]
