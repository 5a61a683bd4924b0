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
from trace_go.model.ledger import Request
from trace_go.model.report import Case

META = Meta(group="go", severity=Severity.WARNING, audience=Audience.SECURITY, cause_rank=78)

_KEPT = "The URL has a user and password and is http://: go refuses to send them in clear."


def find(case: Case) -> Iterator[Finding]:
    kept: dict[str, list[Request]] = defaultdict(list)
    sent: dict[str, list[Request]] = defaultdict(list)
    proof: dict[str, list[Evidence]] = defaultdict(list)
    for request in case.requests:
        if request.failure and request.failure.kind == "insecure-credentials":
            kept[target(request)].append(request)
        elif shown := _shown(case, request):
            sent[target(request)].append(request)
            proof[target(request)] += shown
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
            evidence=proof[host],
            severity=Severity.ERROR if refused else None,
        )


def _shown(case: Case, request: Request) -> list[Evidence]:
    """The packets of this request's connections that hold credentials in clear for its server."""
    shown = [
        evidence.packet(exchange.request_packet, f"{exchange.method} {exchange.url} with credentials", flow.file)
        for hop in request.hops
        if hop.flow is not None and not hop.redirected
        for flow in [case.flows[hop.flow]]
        for exchange in flow.exchanges
        if exchange.has_credentials and not (exchange.proxied or exchange.decrypted)
    ]
    return [] if shown and is_loopback(target(request)) else shown
