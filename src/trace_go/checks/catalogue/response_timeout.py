"""A request was sent and never answered.

What it means
    The connection stood; the answer did not come before the command ended or the connection was given up.

Why it matters
    go has no overall timeout: a stalled answer hangs the whole command until somebody ends it.

How we know
    go's log has the start of the request and no end; in clear HTTP, the request's packet without an answer.

False positives
    A command that was interrupted leaves requests open that were merely slow: the finding says how long nothing came,
    and has low confidence below two seconds.

What to do
    Ask for the same URL with curl and see whether it stalls too; then ask the operator of the mirror, or of the proxy
    in front of it.

References
    cmd/go/internal/web/http.go (no client timeout for GOPROXY requests).
"""

from collections.abc import Iterator

from trace_go.checks.command import shell
from trace_go.checks.framework import SLOW_S, Meta, count, failed, finding, waited_s
from trace_go.checks.interference import swallows_large
from trace_go.checks.proof import flow_of
from trace_go.model.evidence import Confidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="transport", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=40)


def find(case: Case) -> Iterator[Finding]:
    for host, waiting in failed(case, "response-timeout").items():
        requests = [item for item in waiting if not swallows_large(flow_of(case, item))]
        if not requests:
            continue
        waited = max((waited_s(case, item) for item in requests), default=0.0)
        silence = f", after {waited:.1f} s of silence" if waited else ""
        first = requests[0]
        yield finding(
            case,
            "response-timeout",
            META,
            title=f"{host} never answered {count(len(requests), 'request')}",
            detail=f"No answer to {first.url or 'the request'} had come at the end{silence}.",
            remedy=Remedy(
                text="Ask for the same URL alone and see whether it stalls too.",
                command=shell("curl -v --max-time 30 -o /dev/null {}", first.url) if first.url else None,
            ),
            subject=host,
            requests=requests,
            confidence=Confidence.LOW if 0 < waited < SLOW_S else Confidence.HIGH,
        )
