"""An https request was redirected to plain http.

What it means
    A server answered an https request with a `Location` on http://. go refuses to follow it.

Why it matters
    On the http leg anyone on the way could replace the module. That something sends such a redirect means a wrong
    mirror configuration or a portal that hijacks requests.

How we know
    go's `redirected from secure URL … to insecure URL …`; the status and location in its HTTP/2 log.

False positives
    None known: go never accepts this.

What to do
    Correct the redirect on the server that the finding names. GOINSECURE does not help and should not.

References
    cmd/go/internal/web/http.go (checkRedirect), RFC 9110 §15.4.
"""

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.framework import Meta, count, finding, target
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Request
from trace_go.model.report import Case

META = Meta(group="tls", severity=Severity.ERROR, audience=Audience.SECURITY, cause_rank=45)


def find(case: Case) -> Iterator[Finding]:
    groups: dict[str, list[Request]] = defaultdict(list)
    for request in case.requests:
        downgraded = (request.url or "").startswith("https://") and any(
            location.lower().startswith("http://") for location in request.redirects
        )
        if downgraded or (request.failure and request.failure.kind == "insecure-redirect"):
            groups[target(request)].append(request)
    for host, requests in groups.items():
        first = requests[0]
        to = next((item for item in first.redirects if item.lower().startswith("http://")), "an http:// URL")
        yield finding(
            "insecure-redirect",
            META,
            title=f"{host} redirects https to plain http",
            detail=f"{first.url} was redirected to {to}. {count(len(requests), 'request')} affected; "
            "go does not follow.",
            remedy=Remedy(
                text="Correct the redirect on the server: its Location must be https.",
                command=f"curl -sI '{first.url}'" if first.url else None,
            ),
            subject=host,
            requests=requests,
        )
