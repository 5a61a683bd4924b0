"""The forward proxy refused to open a tunnel.

What it means
    go asked the proxy of HTTPS_PROXY with CONNECT for a tunnel, and the proxy answered with a status other than 2xx:
    407 wants credentials, 403 is its policy, 502 to 504 mean that it could not reach the server itself.

Why it matters
    go prints only the reason phrase (`Forbidden`, `Bad Gateway`), which reads as if the mirror had answered.

How we know
    The CONNECT request and its answer are in clear between go and the proxy; go's error line.

False positives
    None known.

What to do
    407: put user and password into HTTPS_PROXY. 403: ask the proxy's operator to allow the host, or use a mirror
    inside the network (with NO_PROXY). 502 to 504: the proxy's own way out is broken.

References
    RFC 9110 §9.3.6, §15.5.8; net/http/transport.go (dialConn).
"""

from collections.abc import Iterator

from trace_go.checks.framework import Meta, count, failed, finding, target
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="proxy", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=25)

_ADVICE = {
    "407": Remedy(text="Give the proxy its credentials.", command="export HTTPS_PROXY=http://USER:PASSWORD@PROXY:PORT"),
    "403": Remedy(text="Ask the proxy's operator to allow this host, or use a mirror that is reachable without it."),
}


def find(case: Case) -> Iterator[Finding]:
    for proxy, requests in failed(case, "proxy-refused").items():
        hosts = sorted({target(request) for request in requests})
        flow = next((case.flows[hop.flow] for item in requests for hop in item.hops if hop.flow is not None), None)
        tunnel = flow.tunnel if flow else None
        failure = requests[0].failure
        assert failure
        status = str(tunnel.status) if tunnel else ""
        said = f"{status} {tunnel.reason}".strip() if tunnel else failure.text
        yield finding(
            "proxy-refuses-connect",
            META,
            title=f"The forward proxy {proxy} refuses CONNECT to {', '.join(hosts[:3])}: {said}",
            detail=f"The answer came from the proxy, not from {hosts[0]}. {count(len(requests), 'request')} failed.",
            remedy=_ADVICE.get(
                status, Remedy(text="The proxy cannot reach the host: ask its operator, or leave it out with NO_PROXY.")
            ),
            subject=f"{proxy}:{status or 'refused'}",
            requests=requests,
        )
