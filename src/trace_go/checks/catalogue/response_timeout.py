"""A request was sent and never answered.

What it means
    Connection and TLS were fine; the answer did not come before the command ended or the connection was given up.

Why it matters
    go has no overall timeout: a stalled answer hangs the whole command.

How we know
    go's log shows the start of the request and no end; in clear HTTP, the request packet without an answer.

False positives
    A command that was interrupted leaves requests open that were merely slow.

What to do
    Ask the same URL with curl and see whether it stalls too; then look at the mirror (or the proxy in front of it).

References
    cmd/go/internal/web/http.go (no client timeout for GOPROXY requests).
"""

from collections.abc import Iterator

from trace_go.checks.framework import Meta, count, failed, finding
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="transport", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=40)


def find(case: Case) -> Iterator[Finding]:
    for host, requests in failed(case, "response-timeout", "proxy-timeout").items():
        yield finding(
            "response-timeout",
            META,
            title=f"{host} never answered {count(len(requests), 'request')}",
            detail="The request was sent and no answer came before the end.",
            remedy=Remedy(
                text="Ask for the same URL alone and see whether it stalls too.",
                command=f"curl -v --max-time 30 '{requests[0].url}'" if requests[0].url else None,
            ),
            subject=host,
            requests=requests,
        )
