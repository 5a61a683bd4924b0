"""Modules came from where the policy does not allow.

What it means
    [policy] mirrors of trace-go.toml lists the mirrors that modules may come from. Another mirror answered go, or a
    module's own server did although the list has no `direct` and the module is not private.

Why it matters
    The list is the site's decision whom it trusts with what it builds from, and where that is kept, scanned and
    repeatable.

How we know
    The host of each answered request, from go's log, clear HTTP, or the name that a connection was opened for.

False positives
    A mirror under a second name: add it to the list. Where a mirror redirects to, and the checksum database, are not
    judged. Packets alone do not show which origins deliver modules; only mirrors are judged then.

What to do
    Set GOPROXY to the allowed mirrors; if the source is meant, add it to the policy.

References
    https://go.dev/ref/mod#environment-variables (GOPROXY).
"""

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.command import setting, target
from trace_go.checks.framework import Meta, count, finding, some
from trace_go.checks.privacy import TOOLCHAIN, private_modules
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Artifact, HandledBy, Request, Role
from trace_go.model.policy import permits
from trace_go.model.report import Case

META = Meta(group="policy", severity=Severity.WARNING, audience=Audience.SECURITY, cause_rank=121)

DIRECT = "direct"


def find(case: Case) -> Iterator[Finding]:
    allowed = case.policy.mirrors
    if allowed is None:
        return
    private = private_modules(case)
    groups: dict[str, list[Request]] = defaultdict(list)
    for request in case.requests:
        hop = request.target
        if not hop or request.handled_by is HandledBy.NONE:
            continue
        if hop.role is Role.MIRROR:
            denied = not permits(allowed, hop.host, hop.ip)
        else:
            page = request.artifact is Artifact.GO_GET and request.module not in private
            denied = page and request.module != TOOLCHAIN and DIRECT not in allowed
        if denied:
            groups[target(request)].append(request)
    for host, requests in groups.items():
        modules = {request.module for request in requests if request.module}
        noun = "connection" if requests[0].artifact is Artifact.CONNECTION else "request"
        yield finding(
            case,
            "source-not-allowed",
            META,
            title=f"The policy does not allow modules from {host}",
            detail=f"{count(len(requests), noun)} {'was' if len(requests) == 1 else 'were'} answered there"
            f"{f', for {some(modules)}' if modules else ''}; allowed: {some(allowed) or 'none'}.",
            remedy=_remedy(case, allowed),
            subject=host,
            requests=requests,
        )


def _remedy(case: Case, allowed: tuple[str, ...]) -> Remedy:
    urls = [name if name == DIRECT else f"https://{name}" for name in allowed if "*" not in name]
    return Remedy(
        text="Use what the policy allows; if this source is meant, add it to mirrors of [policy].",
        command=setting(case, "GOPROXY", ",".join(urls)) if urls else None,
    )
