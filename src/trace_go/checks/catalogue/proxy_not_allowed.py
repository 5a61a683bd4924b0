"""A forward proxy is used that the policy does not allow.

What it means
    [policy] forward-proxies of trace-go.toml lists the proxies that go may use. Its requests went through another.

Why it matters
    A forward proxy sees every host that go contacts, and can break TLS open. One that nobody knows of may have come in
    by a script, an image, or an attacker's variable.

How we know
    CONNECT requests and clear HTTP in the packets, or HTTPS_PROXY and HTTP_PROXY of the command's environment.

False positives
    The same proxy under a second name or address: add it to the list.

What to do
    Find where the proxy variables are set, and set them to the allowed proxy; if this one is meant, add it to the
    policy.

References
    golang.org/x/net/http/httpproxy (ProxyFromEnvironment).
"""

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.command import forward_proxy
from trace_go.checks.framework import Meta, count, finding, some
from trace_go.model import evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Request, Role
from trace_go.model.policy import permits
from trace_go.model.report import Case

META = Meta(group="policy", severity=Severity.WARNING, audience=Audience.SECURITY, cause_rank=123)

_VARIABLES = ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy")


def find(case: Case) -> Iterator[Finding]:
    allowed = case.policy.forward_proxies
    if allowed is None:
        return
    groups: dict[str, list[Request]] = defaultdict(list)
    for request in case.requests:
        hop = next((item for item in request.hops if item.role is Role.FORWARD_PROXY), None)
        if hop and not permits(allowed, hop.host, hop.ip):
            groups[forward_proxy(case, request) or hop.host or hop.ip or "?"].append(request)
    named = [name for name in _VARIABLES if case.account.process_env.get(name)]
    for proxy, requests in groups.items():
        yield finding(
            case,
            "proxy-not-allowed",
            META,
            title=f"The policy does not allow the forward proxy {proxy}",
            detail=f"{count(len(requests), 'request')} went through it; allowed: {some(allowed) or 'none'}.",
            remedy=Remedy(
                text="Find where the proxy variables are set; if this proxy is meant, add it to the policy.",
                command=f"unset {' '.join(named)}" if named and not allowed else None,
            ),
            subject=proxy,
            requests=requests,
            evidence=[evidence.env(f"{name}={case.account.process_env[name]}") for name in named],
        )
