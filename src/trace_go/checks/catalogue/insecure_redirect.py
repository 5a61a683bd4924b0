"""An https request was redirected to plain http.

What it means
    A server answered an https request with a `Location` on http://. go refuses to follow it.

Why it matters
    On the http leg anyone on the way could replace the module. Such a redirect means a wrong configuration of the
    mirror, or a portal that hijacks requests.

How we know
    go's `redirected from secure URL … to insecure URL …`; the `Location` in its HTTP/2 log. Packets alone do not show
    it: the redirect is inside TLS.

False positives
    None: go never accepts this.

What to do
    Correct the redirect on the server that the finding names. GOINSECURE does not help and should not.

References
    cmd/go/internal/web/http.go (securityPreservingHTTPClient), RFC 9110 §15.4.
"""

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.command import shell, target
from trace_go.checks.framework import Meta, count, finding
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Request
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.SECURITY, cause_rank=45)


def find(case: Case) -> Iterator[Finding]:
    groups: dict[str, list[Request]] = defaultdict(list)
    for request in case.requests:
        downgraded = (request.url or "").lower().startswith("https://") and _insecure(request)
        if downgraded or (request.failure and request.failure.kind == "insecure-redirect"):
            groups[target(request)].append(request)
    for host, requests in groups.items():
        first = requests[0]
        yield finding(
            case,
            "insecure-redirect",
            META,
            title=f"{host} redirects https to plain http",
            detail=f"{first.url or host} was redirected to {_insecure(first) or 'an http:// URL'}, and go does not "
            f"follow. {count(len(requests), 'request')} failed.",
            remedy=Remedy(
                text="The server's operator must correct the redirect: its Location must be https.",
                command=shell("curl -sSI {}", first.url) if first.url else None,
            ),
            subject=host,
            requests=requests,
        )


def _insecure(request: Request) -> str | None:
    return next((item for item in request.redirects if item.lower().startswith("http://")), None)
