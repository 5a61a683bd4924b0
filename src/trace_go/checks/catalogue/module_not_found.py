"""A module or version was found nowhere.

What it means
    Every place that go may ask said 404 or 410, or the origin's repository has no such module or version.

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

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.command import shell, target
from trace_go.checks.framework import Meta, finding, said, some
from trace_go.model import evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.go import GoError
from trace_go.model.ledger import Request
from trace_go.model.report import Case

META = Meta(group="go", severity=Severity.ERROR, audience=Audience.DEVELOPER, cause_rank=70)

_KINDS = ("unknown-revision", "unrecognized-import", "disabled-by-off")
_NOT_FOUND = (404, 410)


def find(case: Case) -> Iterator[Finding]:
    errors: dict[str, GoError] = {}
    for error in case.account.log.errors:
        if error.module and (error.kind in _KINDS or (error.kind == "status" and error.status in _NOT_FOUND)):
            errors.setdefault(_name(error.module, error.version), error)
    missing: dict[str, list[Request]] = defaultdict(list)
    for request in case.requests:
        # Where the plan of GOPROXY is not known, a 404 may have been followed by another entry.
        if request.module and request.failure and request.status in _NOT_FOUND and request.next_entry:
            missing[_name(request.module, request.version)].append(request)
    for name in dict.fromkeys([*errors, *missing]):
        told, requests = errors.get(name), missing.get(name, [])
        module = name.partition("@")[0]
        off = told is not None and told.kind == "disabled-by-off"
        detail = said(told.text) if told else f"Asked: {some(target(item) for item in requests)}."
        yield finding(
            case,
            "module-not-found",
            META,
            title=f"{name} may not be looked up: GOPROXY=off" if off else f"{name} was found nowhere that go may ask",
            detail=detail,
            remedy=Remedy(
                text="Check spelling and version; if the module is private, name it in GOPRIVATE.",
                command=shell("go list -m -versions {}", module),
            ),
            subject=name,
            requests=requests or [item for item in case.requests if item.module == module],
            evidence=[evidence.log(told.line, told.text)] if told else [],
            severity=Severity.ERROR,
        )


def _name(module: str, version: str | None) -> str:
    return f"{module}@{version}" if version else module
