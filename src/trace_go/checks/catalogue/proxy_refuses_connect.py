"""The forward proxy refused to open a tunnel.

What it means
    go asked the proxy of HTTPS_PROXY for a tunnel, by CONNECT or by SOCKS, and the proxy refused: it wants credentials
    (407), its policy forbids the host (403), or it could not reach the host itself (5xx, or SOCKS `connection refused`
    and its kind).

Why it matters
    go prints only the reason phrase (`Forbidden`, `Bad Gateway`), which reads as if the mirror had answered.

How we know
    The request and its answer, which are in clear between go and the proxy; go's error line.

False positives
    None: only the proxy can answer a CONNECT.

What to do
    407: put user and password into HTTPS_PROXY, percent-encoded; look at them again if they are there. 403: ask the
    proxy's operator to allow the host, or use a mirror inside the network (with NO_PROXY). 5xx: ask the proxy's
    operator, whose way out or resolver is broken.

References
    RFC 9110 §9.3.6, §15.5.8; RFC 1928 §6, RFC 1929; net/http/transport.go (dialConn).
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from http import HTTPStatus

from trace_go.checks.command import forward_proxy, proxy_variable, shell, target
from trace_go.checks.framework import Meta, count, failed, finding, some
from trace_go.checks.proof import flow_of
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Request
from trace_go.model.report import Case

META = Meta(group="proxy", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=25)

_STATUS_OF_REASON = {status.phrase: status.value for status in HTTPStatus}
_GO_SAYS_SOCKS = re.compile(r"socks connect tcp \S+: (?:unknown error )?(.*)")
_KINDS = {
    "credentials": re.compile(r"40[17]\b|authentication|user ?name and password|username/password"),
    "policy": re.compile(r"403\b|rule"),
    "outside": re.compile(r"5\d\d\b|refused|unreachable|expired|general .*failure"),
}
"""what the proxy objects to, by its answer"""


def find(case: Case) -> Iterator[Finding]:
    groups: dict[tuple[str, str], list[Request]] = defaultdict(list)
    for proxy, requests in failed(case, "proxy-refused").items():
        for request in requests:
            answer = _answer(case, request)
            status = answer.partition(" ")[0]
            groups[proxy, status if status.isdigit() else _kind(answer)].append(request)
    for (proxy, why), requests in groups.items():
        first, answer = requests[0], _answer(case, requests[0])
        kind, hosts = _kind(answer), some(host for host in map(target, requests) if host != proxy)
        sent = kind == "credentials" and _had_credentials(case, requests)
        yield finding(
            case,
            "proxy-refuses-connect",
            META,
            title=f"The forward proxy {proxy} refuses {'SOCKS' if _by_socks(case, first) else 'CONNECT'}"
            f"{f' to {hosts}' if hosts else ''}: {answer}",
            detail=f"The answer came from the proxy, not from {target(first)}. "
            f"{'go sent credentials, and the proxy does not accept them. ' if sent else ''}"
            f"{count(len(requests), 'request')} failed.",
            remedy=_remedy(case, kind, first, sent=sent),
            subject=f"{proxy}:{why}",
            requests=requests,
        )


def _answer(case: Case, request: Request) -> str:
    """`403 Forbidden`: from the packets, else from go's words, which lack the number."""
    flow = flow_of(case, request)
    if flow and flow.tunnel and flow.tunnel.status is not None:
        return flow.tunnel.answer
    text = request.failure.text if request.failure else ""
    if socks := _GO_SAYS_SOCKS.search(text):
        return socks[1]
    return f"{_STATUS_OF_REASON.get(text, '')} {text}".strip()


def _kind(answer: str) -> str:
    return next((kind for kind, pattern in _KINDS.items() if pattern.search(answer)), "refused")


def _by_socks(case: Case, request: Request) -> bool:
    return (forward_proxy(case, request) or "").startswith("socks")


def _had_credentials(case: Case, requests: list[Request]) -> bool:
    flows = [flow for request in requests if (flow := flow_of(case, request))]
    return any(flow.tunnel and flow.tunnel.has_credentials for flow in flows)


def _remedy(case: Case, kind: str, request: Request, *, sent: bool) -> Remedy:
    if kind == "credentials":
        place, variable = forward_proxy(case, request), proxy_variable(case, request)
        scheme, _, address = (place or "").rpartition("://")
        url = f"{'socks5' if scheme else 'http'}://USER:PASSWORD@{address}"
        return Remedy(
            text=f"Correct the credentials in {variable}; percent-encode what is neither letter nor digit."
            if sent
            else "Give go the proxy's credentials.",
            command=shell(f"export {variable}={{}}", url) if place else None,
        )
    if kind == "policy":
        return Remedy(text="Ask the proxy's operator to allow this host, or use a mirror that needs no proxy.")
    if kind == "outside":
        return Remedy(text="Ask the proxy's operator: the proxy itself does not reach this host.")
    return Remedy(text="Ask the proxy's operator why it refuses this host.")
