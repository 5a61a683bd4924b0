"""A module or version was found nowhere.

What it means
    Every place that go may ask said 404 or 410, or the origin's repository has no such module or version. (Where
    GOPROXY keeps go from asking the origin, list-ends-without-direct says so instead.)

Why it matters
    The path worked: the request was wrong, or the place that has the module is not in the list.

How we know
    go's own error line, and the 404 and 410 answers after which go had nobody left to ask.

False positives
    Mirrors that hide private modules answer 404 as well: go cannot tell the difference, and neither can we.

What to do
    Check spelling and version. If the module is private, name it in GOPRIVATE so that its own server is asked, and see
    whether git may read it there.

References
    https://go.dev/ref/mod#goproxy-protocol, cmd/go/internal/modfetch/proxy.go.
"""

from collections.abc import Iterator

from trace_go.checks.command import shell, target
from trace_go.checks.framework import Meta, finding, said, some
from trace_go.checks.missing import missing
from trace_go.model import evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="go", severity=Severity.ERROR, audience=Audience.DEVELOPER, cause_rank=70)


def find(case: Case) -> Iterator[Finding]:
    for item in missing(case):
        if item.cut_short:
            continue
        asked = some(target(request) for request in item.requests)
        yield finding(
            case,
            "module-not-found",
            META,
            title=f"{item.name} was found nowhere that go may ask",
            detail=said(item.told.text) if item.told else f"Asked: {asked}.",
            remedy=Remedy(
                text="Check spelling and version; if the module is private, name it in GOPRIVATE.",
                command=shell("go list -m -versions {}", item.module),
            ),
            subject=item.name,
            requests=item.requests,
            evidence=[evidence.log(item.told.line, item.told.text)] if item.told else [],
            severity=Severity.ERROR,
        )
