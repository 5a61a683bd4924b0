"""A mirror sends go to a host that is not known.

What it means
    A request of the module protocol was redirected to another host, which is neither in the mirror's own domain nor a
    storage service that mirrors are known to use, nor in trace-go.toml.

Why it matters
    What go gets then comes from there. Mirrors redirect to storage all the time, and the checksum database still
    protects public modules; private ones, and all where it is switched off, are as safe as that host.

How we know
    The `Location` in go's HTTP/2 log or in clear HTTP. Over HTTP/1.1 in TLS redirects cannot be seen.

False positives
    Any mirror may use a storage service of its choice: this is a note, not a fault.

What to do
    Ask the mirror's operator whether the host is his. If it is, list it under mirrors in trace-go.toml.

References
    https://go.dev/ref/mod#goproxy-protocol, RFC 9110 §15.4.
"""

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.command import is_address, shell, target
from trace_go.checks.framework import Meta, count, finding
from trace_go.model.evidence import Confidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Artifact, Hop, Request, Role
from trace_go.model.report import Case

META = Meta(group="go", severity=Severity.NOTE, audience=Audience.SECURITY, cause_rank=88)

_OF_ORIGIN = (Artifact.GO_GET, Artifact.GIT, Artifact.OTHER)


def find(case: Case) -> Iterator[Finding]:
    groups: dict[tuple[str, str], list[Request]] = defaultdict(list)
    for request in case.requests:
        if request.artifact not in _OF_ORIGIN and not request.failure:
            for hop in request.hops:
                if hop.redirected and _is_strange(hop, target(request)):
                    groups[target(request), hop.host or ""].append(request)
    for (mirror, host), requests in groups.items():
        kinds = ", ".join(sorted({item.artifact.value for item in requests}))
        yield finding(
            case,
            "redirect-to-unknown-host",
            META,
            title=f"{mirror} sends go to {host}",
            detail=f"{count(len(requests), 'request')} ({kinds}) came from {host}, which is no storage service that we "
            "know and not in the mirror's domain.",
            remedy=Remedy(
                text="Ask the mirror's operator whether this host is his; if it is, list it in trace-go.toml.",
                command=shell("curl -sSI {}", requests[0].url) if requests[0].url else None,
            ),
            subject=f"{mirror}:{host}",
            requests=requests,
            confidence=Confidence.MEDIUM,
        )


def _is_strange(hop: Hop, mirror: str) -> bool:
    return hop.role is Role.CDN and not hop.label and hop.host is not None and _domain(hop.host) != _domain(mirror)


def _domain(host: str) -> str:
    """The last two labels: of example.co.uk too much, which makes two of its hosts look related. Addresses as they are.

    >>> _domain("goproxy.corp.example"), _domain("192.0.2.1")
    ('corp.example', '192.0.2.1')
    """
    return host if is_address(host) else ".".join(host.lower().rstrip(".").split(".")[-2:])
