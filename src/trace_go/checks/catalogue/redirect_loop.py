"""A server redirects without end.

What it means
    A request was redirected ten times and still had no answer; then go gives up.

Why it matters
    The module cannot be fetched from there, and after a comma in GOPROXY no other entry is asked.

How we know
    go's `stopped after 10 redirects`; the `Location` answers in its HTTP/2 log or in clear HTTP tell where they lead.

False positives
    None: go never follows more than ten.

What to do
    Correct the redirects on the servers that the finding names. A sign-on that wants a cookie redirects go for ever,
    since go keeps none: give go credentials (a ~/.netrc entry or GOAUTH), or exempt the mirror's paths from it.

References
    cmd/go/internal/web/http.go (checkRedirect), RFC 9110 §15.4.
"""

from collections.abc import Iterator

from trace_go.checks.command import shell, target
from trace_go.checks.framework import Meta, count, failed, finding, reason
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Request
from trace_go.model.report import Case

META = Meta(group="go", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=46)

MAX_SHOWN = 3
"""places of the loop that are named"""


def find(case: Case) -> Iterator[Finding]:
    for host, requests in failed(case, "redirect-loop").items():
        first = requests[0]
        yield finding(
            case,
            "redirect-loop",
            META,
            title=f"{target(first)} redirects without end",
            detail=f"{reason(first)} {_way(first)}{count(len(requests), 'request')} failed.",
            remedy=Remedy(
                text="The server's operator must correct its redirects; a sign-on that wants a cookie loops as well.",
                command=shell("curl -sSIL --max-redirs 10 {}", first.url) if first.url else None,
            ),
            subject=host,
            requests=requests,
        )


def _way(request: Request) -> str:
    places = list(dict.fromkeys(request.redirects))
    if not places:
        return ""
    more = " …" if len(places) > MAX_SHOWN else ""
    return f"{request.url} leads to {', '.join(places[:MAX_SHOWN])}{more}. "
