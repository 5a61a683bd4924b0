"""A mirror is used over plain http.

What it means
    Module requests went to a GOPROXY entry with http://, readable and changeable by everyone on the way.

Why it matters
    Only the checksum database (or go.sum) then protects what is downloaded, and which modules a company uses is public.

How we know
    The requests are in clear in the packets, or go's log shows http:// URLs.

False positives
    A mirror on the loopback interface, or one listed under `mirrors` in trace-go.toml with an http:// URL, is meant
    so and not reported.

What to do
    Serve the mirror over https and write https:// in GOPROXY.

References
    https://go.dev/ref/mod#environment-variables (GOPROXY).
"""

import ipaddress
from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.framework import Meta, count, finding, target
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Artifact, Request, Role
from trace_go.model.report import Case

META = Meta(group="go", severity=Severity.WARNING, audience=Audience.SECURITY, cause_rank=80)


def find(case: Case) -> Iterator[Finding]:
    groups: dict[str, list[Request]] = defaultdict(list)
    for request in case.requests:
        hop = request.hops[-1] if request.hops else None
        plain = (request.url or "").startswith("http://") and request.artifact not in (Artifact.OTHER, Artifact.GO_GET)
        if plain and hop and hop.role in (Role.MIRROR, Role.CHECKSUM_DB) and not _is_loopback(hop.host or hop.ip or ""):
            groups[target(request)].append(request)
    for host, requests in groups.items():
        yield finding(
            "plain-http-mirror",
            META,
            title=f"{host} is used over plain http",
            detail=f"{count(len(requests), 'module request')} went in clear, readable and changeable on the way.",
            remedy=Remedy(
                text="Use the mirror over https.",
                command=f"go env -w GOPROXY=https://{host},direct",
            ),
            subject=host,
            requests=requests,
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
