"""A transfer was cut off.

What it means
    The connection worked, and broke before the content of an answer was complete: by a reset, or by closing it.

Why it matters
    go does not go on where it stopped: the module counts as failed, and the command with it.

How we know
    The RST packet after the TLS handshake, or go's `connection reset by peer`, `unexpected EOF` or `stream error` while
    it reads an answer whose status it has already printed.

False positives
    A server that is stopped or restarted cuts its transfers, too.

What to do
    Fetch the same file alone. If it breaks at the same size each time, a device on the way or a limit of the mirror (a
    time-out, a size) cuts it; if it breaks here and there, the path is bad.

References
    RFC 9293 §3.5.2, RFC 9113 §5.4.
"""

from collections.abc import Iterator

from trace_go.checks.command import shell
from trace_go.checks.framework import Meta, count, failed, finding, reason
from trace_go.checks.interference import forged_reset
from trace_go.checks.proof import flow_of
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.flow import Flow
from trace_go.model.ledger import Request
from trace_go.model.report import Case

META = Meta(group="transport", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=44)


def find(case: Case) -> Iterator[Finding]:
    for host, broken in failed(case, "reset", "unexpected-eof", "stream-error", "eof").items():
        flows = {item.id: flow_of(case, item) for item in broken}
        requests = [item for item in broken if _was_answered(item, flows[item.id])]
        requests = [item for item in requests if not forged_reset(flows[item.id])]
        if not requests:
            continue
        flow = flows[requests[0].id]
        came = f" {flow.bytes_down:,} bytes had come on its connection." if flow else ""
        yield finding(
            case,
            "transfer-cut",
            META,
            title=f"{host} or the way to it cut off {count(len(requests), 'transfer')}",
            detail=f"{reason(requests[0])}{came} {count(len(requests), 'request')} failed on a connection that worked.",
            remedy=Remedy(
                text="Fetch the same file alone, several times, and see whether it breaks at the same size.",
                command=shell("curl -v -o /dev/null {}", url) if (url := requests[0].url) else None,
            ),
            subject=host,
            requests=requests,
        )


def _was_answered(request: Request, flow: Flow | None) -> bool:
    return request.status is not None or bool(flow and flow.tls and flow.tls.established_ns)
