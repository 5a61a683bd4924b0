"""The checksum database does not know a module.

What it means
    go had downloaded a module, or its go.mod, that go.sum does not hold, asked the checksum database for its hash, and
    got 404 or 410: the database could not fetch the module itself.

Why it matters
    go refuses what it cannot verify: the command stops although the download worked. Nearly always the module is
    private, and its name has now been told to the public.

How we know
    The answer to the database's `lookup` request, directly or through a mirror, and go's line `verifying …: 404`.

False positives
    None: go stops. A module published minutes ago may be refused until the database fetches it anew.

What to do
    A module of your own: name it in GOPRIVATE, so that neither mirror nor database is asked about it. A public one:
    check that the version's tag is really public. Do not switch the database off for everything.

References
    https://go.dev/ref/mod#checksum-database, https://go.dev/ref/mod#private-modules,
    cmd/go/internal/modfetch/sumdb.go.
"""

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.command import settings_command
from trace_go.checks.framework import Meta, count, finding, said, some
from trace_go.checks.privacy import TOOLCHAIN, database, patterns_for, with_patterns
from trace_go.gocmd.layers import in_effect
from trace_go.gocmd.replay import NOT_FOUND
from trace_go.model import evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Artifact, HandledBy, Request
from trace_go.model.report import Case

META = Meta(group="go", severity=Severity.ERROR, audience=Audience.DEVELOPER, cause_rank=62)

_GOT = (Artifact.MOD, Artifact.ZIP, Artifact.INFO)


def find(case: Case) -> Iterator[Finding]:
    groups: dict[str, list[Request]] = defaultdict(list)
    for request in case.requests:
        if request.artifact is Artifact.SUMDB_LOOKUP and request.status in NOT_FOUND and request.module != TOOLCHAIN:
            groups[database(request)].append(request)
    for name, requests in groups.items():
        modules = list(dict.fromkeys(request.module or "?" for request in requests))
        versions = {f"{request.module}@{request.version}" for request in requests}
        told = next(
            (item for item in case.account.log.errors if item.module in modules and "verifying" in item.text), None
        )
        yield finding(
            case,
            "not-in-checksum-database",
            META,
            title=f"{name} does not know {versions.pop() if len(versions) == 1 else count(len(versions), 'module')}",
            detail=f"{some(modules)}: go has no other way to verify it. {said(told.text) if told else ''}".rstrip(),
            remedy=_remedy(case, modules),
            subject=name,
            requests=requests,
            evidence=[evidence.log(told.line, told.text)] if told else [],
            severity=Severity.ERROR,
        )


def _remedy(case: Case, modules: list[str]) -> Remedy:
    """What names private modules: GOPRIVATE, but for those that a mirror serves, as a site's own does."""
    mirrored = any(
        item.module in modules and item.artifact in _GOT and item.status == 200 and item.handled_by is HandledBy.MIRROR
        for item in case.requests
    )
    setting = in_effect(case.account, "GONOSUMDB")
    variable = "GONOSUMDB" if mirrored or (setting and setting.role != "default") else "GOPRIVATE"
    return Remedy(
        text=f"Are these modules your own? Then name them in {variable}; if not, check that the version is public.",
        command=settings_command(case, {variable: with_patterns(case, variable, patterns_for(modules, case.known))}),
    )
