"""The requests do not follow GOPROXY.

What it means
    A mirror was asked that GOPROXY does not name, an origin although the list has no `direct`, or a later entry while
    an earlier one was never contacted. go itself keeps to its list: something that the command started has set another.

Why it matters
    The list is where a site says which mirrors it trusts. A script, a Makefile or an image that brings its own goes
    around it, and nobody who looks at `go env` sees it.

How we know
    `go env GOPROXY` in the folder of the command, against the mirrors in go's own log, its HTTP/2 log or the packets.

False positives
    Modules whose origin names a mirror for them (go-import with `mod`), and the toolchain's own download place, are
    asked by go itself and are not reported.

What to do
    Find where the command sets GOPROXY, and let it take yours.

References
    https://go.dev/ref/mod#environment-variables (GOPROXY), cmd/go/internal/modfetch/proxy.go.
"""

from collections.abc import Iterator

from trace_go.checks.command import target
from trace_go.checks.framework import Meta, count, finding, is_below, some, went_direct
from trace_go.checks.missing import SUMDB
from trace_go.checks.privacy import TOOLCHAIN
from trace_go.gocmd.environment import GoSettings, match_globs, settings
from trace_go.gocmd.layers import in_effect
from trace_go.model import evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Artifact, Request, Role
from trace_go.model.report import Case
from trace_go.paths.urls import host_of

META = Meta(group="go", severity=Severity.WARNING, audience=Audience.DEVELOPER, cause_rank=109)

_NOT_OF_THE_LIST = (Artifact.GIT, Artifact.CONNECTION, Artifact.OTHER, *SUMDB)
_REMEDY = Remedy(text="Find where the command sets GOPROXY (a script, a Makefile, an image), and let it take yours.")


def find(case: Case) -> Iterator[Finding]:
    plan = settings(case.account.go_env) if case.account.go_env else None
    goproxy = in_effect(case.account, "GOPROXY")
    if plan is None or plan.problems or goproxy is None:
        return
    strangers = [item for item in case.requests if _is_stranger(case, plan, item)]
    skipped = "" if strangers else _skipped(case, plan)
    later = [item for item in case.requests if item.proxy_entry and item.attempt > 1] if skipped else []
    for requests, title in (
        (strangers, f"{some(map(target, strangers))} was asked, which GOPROXY does not name"),
        (later, f"{skipped}, the first of GOPROXY, was never asked"),
    ):
        if requests:
            yield finding(
                case,
                "goproxy-not-followed",
                META,
                title=title,
                detail=f"{count(len(requests), 'request')} went to {some(map(target, requests))} instead, against "
                f"GOPROXY={goproxy.value}.",
                remedy=_REMEDY,
                subject=min(map(target, requests)),
                requests=requests,
                evidence=[evidence.env(goproxy.text)],
            )


def _is_stranger(case: Case, plan: GoSettings, request: Request) -> bool:
    """A module request to a mirror, or an origin, that the list has no entry for."""
    module = request.module
    if not module or module == TOOLCHAIN or request.artifact in _NOT_OF_THE_LIST or request.proxy_entry:
        return False
    if request.artifact is Artifact.GO_GET:
        return not match_globs(plan.noproxy, module)
    return bool(request.target and request.target.role is Role.MIRROR) and not is_below(module, went_direct(case))


def _skipped(case: Case, plan: GoSettings) -> str:
    """Host of the first mirror of the list, if nothing that was seen has to do with it while a later one was asked."""
    first = host_of(plan.proxies[0].url) if plan.proxies else ""
    hidden = any(hop.role is Role.FORWARD_PROXY for request in case.requests for hop in request.hops)
    if not first or hidden or not (case.flows or case.account.log.fetches):
        return ""
    seen = {flow.name for flow in case.flows} | {lookup.name for lookup in case.lookups}
    seen |= {hop.host for request in case.requests for hop in request.hops}
    return "" if first in seen else first
