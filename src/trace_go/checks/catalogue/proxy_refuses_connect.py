"""The forward proxy refused to open a tunnel.

What it means
    go asked the proxy of HTTPS_PROXY with CONNECT for a tunnel, and the proxy answered with a status other than 2xx:
    407 wants credentials, 403 is its policy, 5xx mostly means that it could not reach the server itself.

Why it matters
    go prints only the reason phrase (`Forbidden`, `Bad Gateway`), which reads as if the mirror had answered.

How we know
    The CONNECT request and its answer, which are in clear between go and the proxy; go's error line.

False positives
    None: only the proxy can answer a CONNECT.

What to do
    407: put user and password into HTTPS_PROXY. 403: ask the proxy's operator to allow the host, or use a mirror inside
    the network (with NO_PROXY). 5xx: ask the proxy's operator, whose way out or resolver is broken.

References
    RFC 9110 §9.3.6, §15.5.8; net/http/transport.go (dialConn).
"""

from collections import defaultdict
from collections.abc import Iterator
from http import HTTPStatus

from trace_go.checks.command import forward_proxy, shell, target
from trace_go.checks.framework import Meta, count, failed, finding, some
from trace_go.checks.proof import flow_of
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Request
from trace_go.model.report import Case

META = Meta(group="proxy", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=25)

_STATUS_OF_REASON = {status.phrase: status.value for status in HTTPStatus}


def find(case: Case) -> Iterator[Finding]:
    groups: dict[tuple[str, str], list[Request]] = defaultdict(list)
    for proxy, requests in failed(case, "proxy-refused").items():
        for request in requests:
            status = _answer(case, request).partition(" ")[0]
            groups[proxy, status if status.isdigit() else ""].append(request)
    for (proxy, status), requests in groups.items():
        yield finding(
            case,
            "proxy-refuses-connect",
            META,
            title=f"The forward proxy {proxy} refuses CONNECT to {some(map(target, requests))}"
            f": {_answer(case, requests[0])}",
            detail=f"The answer came from the proxy, not from {target(requests[0])}. "
            f"{count(len(requests), 'request')} failed.",
            remedy=_remedy(case, status, requests[0]),
            subject=f"{proxy}:{status or 'refused'}",
            requests=requests,
        )


def _answer(case: Case, request: Request) -> str:
    """`403 Forbidden`: from the packets, else from go's words, which lack the number."""
    flow = flow_of(case, request)
    if flow and flow.tunnel and flow.tunnel.status is not None:
        return f"{flow.tunnel.status} {flow.tunnel.reason}".rstrip()
    text = request.failure.text if request.failure else ""
    return f"{_STATUS_OF_REASON.get(text, '')} {text}".strip()


def _remedy(case: Case, status: str, request: Request) -> Remedy:
    if status == "407":
        place = forward_proxy(case, request)
        return Remedy(
            text="Give go the proxy's credentials.",
            command=shell("export HTTPS_PROXY={}", f"http://USER:PASSWORD@{place}") if place else None,
        )
    if status == "403":
        return Remedy(text="Ask the proxy's operator to allow this host, or use a mirror that needs no proxy.")
    if status.startswith("5"):
        return Remedy(text="Ask the proxy's operator: the proxy itself does not reach this host.")
    return Remedy(text="Ask the proxy's operator why it refuses this host.")
