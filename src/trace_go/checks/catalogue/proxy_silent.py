"""The forward proxy does not answer.

What it means
    The connection to the proxy of HTTPS_PROXY stood, go asked for a tunnel, and the proxy said nothing, or closed the
    connection instead.

Why it matters
    Nothing gets through. With CONNECT go gives up after a minute, with SOCKS never: the command hangs.

How we know
    The CONNECT or SOCKS request on the wire, which is in clear, without an answer. go itself prints at most `EOF` or
    `connection reset by peer`, as if the mirror had failed.

False positives
    A command that was interrupted leaves requests open that were merely slow: the finding says how long nothing came,
    and has low confidence below two seconds.

What to do
    Ask the proxy's operator; a proxy that waits for a server which is black-holed looks like this too. Check that port
    and scheme of the proxy variable are those of the proxy: one that expects HTTP may wait in silence when it is asked
    by SOCKS.

References
    RFC 9110 §9.3.6; RFC 1928; net/http/transport.go (dialConn: one minute for CONNECT).
"""

from collections.abc import Iterator

from trace_go.checks.command import forward_proxy, shell, site
from trace_go.checks.framework import SLOW_S, Meta, count, failed, finding, waited_s
from trace_go.checks.proof import flow_of
from trace_go.model.evidence import Confidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="proxy", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=24)


def find(case: Case) -> Iterator[Finding]:
    for proxy, requests in failed(case, "proxy-timeout", "proxy-closed").items():
        first = requests[0]
        flow = flow_of(case, first)
        asked = flow.tunnel.request if flow and flow.tunnel else "CONNECT"
        silent = first.failure is not None and first.failure.kind == "proxy-timeout"
        waited = max((waited_s(case, item) for item in requests), default=0.0) if silent else 0.0
        how = f"nothing came in {waited:.1f} s" if waited else "nothing came" if silent else "it closed the connection"
        via = forward_proxy(case, first)
        yield finding(
            case,
            "proxy-silent",
            META,
            title=f"The forward proxy {proxy} does not answer",
            detail=f"It accepts connections; to {asked} {how}. {count(len(requests), 'request')} failed.",
            remedy=Remedy(
                text="Ask the proxy's operator; check that the proxy variable has its port and scheme.",
                command=shell("curl -v --max-time 30 -o /dev/null --proxy {} {}", via, f"{site(case, first)}/")
                if via
                else None,
            ),
            subject=proxy,
            requests=requests,
            confidence=Confidence.LOW if 0 < waited < SLOW_S else Confidence.HIGH,
        )
