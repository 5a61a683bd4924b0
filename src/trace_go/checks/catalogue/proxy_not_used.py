"""A forward proxy is configured, and go does not use it.

What it means
    A public host could not be reached directly, although the environment names a forward proxy that go did not use for
    it: NO_PROXY matches the host, only HTTP_PROXY is set (which is for http URLs), or only ALL_PROXY (which go
    ignores; curl and git do not).

Why it matters
    In a network that only a proxy leaves, go then fails where curl and git work.

How we know
    The proxy variables of the command's environment, read as go reads them; the failed direct connection, or the name
    that could not be resolved.

False positives
    The host itself may be down: whether the proxy would have reached it is not known, hence medium confidence. Hosts
    that are not public are left out: NO_PROXY is meant for them.

What to do
    Take the host out of NO_PROXY, or set HTTPS_PROXY to the proxy of the other variable.

References
    golang.org/x/net/http/httpproxy; net/http.ProxyFromEnvironment.
"""

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.command import shell, target
from trace_go.checks.framework import Meta, count, finding, missed_proxy, reason, some
from trace_go.gocmd.environment import matching_entries
from trace_go.model import evidence
from trace_go.model.evidence import Confidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Request
from trace_go.model.report import Case

META = Meta(group="proxy", severity=Severity.ERROR, audience=Audience.DEVELOPER, cause_rank=12)

_WHY = {
    "NO_PROXY": "NO_PROXY excludes {}",
    "HTTP_PROXY": "only HTTP_PROXY is set, which is not for https",
    "ALL_PROXY": "only ALL_PROXY is set, which go ignores",
}


def find(case: Case) -> Iterator[Finding]:
    groups: dict[str, list[Request]] = defaultdict(list)
    for request in case.requests:
        if variable := missed_proxy(case, request):
            groups[variable].append(request)
    for variable, requests in groups.items():
        hosts = some(map(target, requests))
        value = case.account.process_env[variable]
        why = _WHY[variable.upper()].format("it" if "," not in hosts else "them").replace(variable.upper(), variable)
        yield finding(
            case,
            "proxy-not-used",
            META,
            title=f"go does not use the forward proxy for {hosts}: {why}",
            detail=f"The direct way failed: {reason(requests[0])} {count(len(requests), 'request')} failed.",
            remedy=_remedy(case, variable, requests),
            subject=variable.upper(),
            requests=requests,
            evidence=[evidence.env(f"{variable}={value}")],
            confidence=Confidence.MEDIUM,
        )


def _remedy(case: Case, variable: str, requests: list[Request]) -> Remedy:
    if variable.upper() != "NO_PROXY":
        return Remedy(
            text=f"Set HTTPS_PROXY to the proxy that {variable} names.",
            command=f'export HTTPS_PROXY="${variable}"',
        )
    value = case.account.process_env[variable]
    guilty = {entry for request in requests for entry in matching_entries(request.url or "", value)}
    left = [text for text in map(str.strip, value.split(",")) if text not in guilty]
    return Remedy(
        text=f"Take {some(guilty)} out of {variable}.",
        command=shell(f"export {variable}={{}}", ",".join(left)) if left else f"unset {variable}",
    )
