"""A transfer stopped in the middle.

What it means
    The connection worked, and from some moment on nothing came through any more: no data, no acknowledgment, no reset.

Why it matters
    go has no overall timeout: a transfer that stands still hangs the command until somebody ends it.

How we know
    Bytes of the client that were sent again and again and never acknowledged, after a good start; or an answer that go
    had begun to read and whose end is not in its log, over a connection that was silent when the command was ended.

False positives
    A command that was ended while the server paused for more than a second.

What to do
    Fetch the same file alone. If it stops at the same size each time, a device on the way (a virus scanner, a content
    filter) holds it back; if only sometimes, the path loses state, as some NAT routers and VPNs do.

References
    RFC 9293 §3.8.3; cmd/go/internal/web/http.go (no client timeout for GOPROXY requests).
"""

from collections.abc import Iterator

from trace_go.checks.command import shell
from trace_go.checks.framework import Meta, count, failed, finding
from trace_go.checks.interference import swallows_large
from trace_go.checks.proof import flow_of
from trace_go.model.evidence import Confidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.flow import Flow, Outcome
from trace_go.model.report import Case

META = Meta(group="transport", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=27)


def find(case: Case) -> Iterator[Finding]:
    for host, stopped in failed(case, "stalled").items():
        requests = [item for item in stopped if not swallows_large(flow_of(case, item))]
        if not requests:
            continue
        first, flow = requests[0], flow_of(case, requests[0])
        yield finding(
            case,
            "transfer-stalled",
            META,
            title=f"{host} or the way to it went silent in the middle of {count(len(requests), 'transfer')}",
            detail=f"{_how(case.account.ended_ns, flow)} {first.url or 'The transfer'} was never completed.",
            remedy=Remedy(
                text="Fetch the same file alone, several times, and see whether it stops at the same size.",
                command=shell("curl -v --max-time 60 -o /dev/null {}", first.url) if first.url else None,
            ),
            subject=host,
            requests=requests,
            confidence=Confidence.HIGH if flow and flow.outcome is Outcome.STALLED else Confidence.MEDIUM,
        )


def _how(ended_ns: int, flow: Flow | None) -> str:
    if flow is None:
        return "The answer had begun, and its end had not come when the command was ended."
    silent_s = max(0, (ended_ns or flow.end_ns) - flow.last_down_ns) / 1e9
    vain = (
        f" The client sent again {count(flow.retransmissions_up, 'time')}, in vain." if flow.unacknowledged_up else ""
    )
    return f"After {flow.bytes_down:,} bytes nothing more came for {silent_s:.1f} s.{vain}"
