"""A module or version was found nowhere.

What it means
    Every place that go may ask said 404 or 410, or the origin's repository has no such module or version.

Why it matters
    The path worked; the request was wrong, or the place that has the module is not in the list.

How we know
    go's own error line, and the 404 answers of the ledger.

False positives
    Mirrors that hide private modules answer 404 as well: go cannot tell the difference and neither can we.

What to do
    Check spelling and version. If the module is private, name it in GOPRIVATE so that its own server is asked, and see
    whether git may read it.

References
    https://go.dev/ref/mod#goproxy-protocol, cmd/go/internal/modfetch/proxy.go.
"""

from collections.abc import Iterator

from trace_go.checks.framework import Meta, finding, sentence
from trace_go.model import evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="go", severity=Severity.ERROR, audience=Audience.DEVELOPER, cause_rank=70)

_KINDS = ("unknown-revision", "unrecognized-import", "disabled-by-off")


def find(case: Case) -> Iterator[Finding]:
    for error in case.account.log.errors:
        if error.kind not in _KINDS and not (error.kind == "status" and error.status in (404, 410)):
            continue
        name = f"{error.module}@{error.version}" if error.module and error.version else error.module or "a module"
        where = "GOPROXY=off forbids asking" if error.kind == "disabled-by-off" else "found nowhere go may ask"
        yield finding(
            "module-not-found",
            META,
            title=f"{name}: {where}",
            detail=sentence(error.text),
            remedy=Remedy(
                text="Check spelling and version; name a private module in GOPRIVATE.",
                command=f"go list -m -versions {error.module}" if error.module else None,
            ),
            subject=name,
            requests=[item for item in case.requests if error.module and item.module == error.module],
            evidence=(evidence.log(error.line, error.text),),
        )
