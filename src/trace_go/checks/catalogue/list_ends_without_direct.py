"""A module is at no mirror, and GOPROXY does not let go ask its own server.

What it means
    Every mirror of GOPROXY answered 404 or 410 for the module, and the list ends there, or with `off`. With GOPROXY=off
    alone nobody is asked at all, and only what is in the module cache can be used.

Why it matters
    The error reads as if the module did not exist. It may exist at its own server, which go would ask if the list ended
    with `direct`, or if GOPRIVATE named the module.

How we know
    GOPROXY as `go env` tells it, the 404 and 410 answers in its order, and go's own error line.

False positives
    The module may not exist at all; we do not ask. Where the list ends so on purpose, the mirror's operator decides
    which modules there are.

What to do
    Check spelling and version. A module of your own: name it in GOPRIVATE. A public one: ask the mirror's operator for
    it, or add `,direct` where this network's policy allows to go around the mirror.

References
    https://go.dev/ref/mod#environment-variables (GOPROXY), cmd/go/internal/modfetch/proxy.go (TryProxies).
"""

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.command import setting, target, unset
from trace_go.checks.framework import Meta, count, finding, said, some
from trace_go.checks.missing import Missing, missing
from trace_go.checks.privacy import with_patterns
from trace_go.gocmd.layers import in_effect
from trace_go.model import evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="go", severity=Severity.ERROR, audience=Audience.DEVELOPER, cause_rank=72)


def find(case: Case) -> Iterator[Finding]:
    groups: dict[str, list[Missing]] = defaultdict(list)
    for item in missing(case):
        if item.cut_short:
            groups[item.cut_short].append(item)
    goproxy = in_effect(case.account, "GOPROXY")
    for end, items in groups.items():
        names = sorted({item.name for item in items})
        requests = {request.id: request for item in items for request in item.requests}
        mirrors = some(target(request) for request in requests.values() if request.url)
        what = names[0] if len(names) == 1 else count(len(names), "module")
        where = f"not at {mirrors}" if mirrors else "not in the module cache"
        are = f"{what} {'is' if len(names) == 1 else 'are'}"
        rule = "GOPROXY ends there" if end == "end" else "GOPROXY ends with off" if mirrors else "GOPROXY is off"
        told = next((item.told for item in items if item.told), None)
        yield finding(
            case,
            "list-ends-without-direct",
            META,
            title=f"{are} {where}, and {rule}",
            detail=f"{some(names)}: " + (said(told.text) if told else "the module's own server was never asked."),
            remedy=_remedy(case, [item.module for item in items]),
            subject=end,
            requests=requests.values(),
            evidence=[
                *(evidence.log(item.told.line, item.told.text) for item in items if item.told),
                *([evidence.env(goproxy.text)] if goproxy else []),
            ],
            severity=Severity.ERROR,
        )


def _remedy(case: Case, modules: list[str]) -> Remedy:
    value = case.account.go_env.get("GOPROXY", "").removesuffix("off").rstrip(",|")
    if not value:
        return Remedy(
            text="Give GOPROXY back its value where downloading is allowed; off is for work without network.",
            command=unset(case, "GOPROXY"),
        )
    return Remedy(
        text="If the module is yours, name it in GOPRIVATE; else check its name, or let go ask its origin with direct.",
        command=setting(case, "GOPRIVATE", with_patterns(case, "GOPRIVATE", modules)),
    )
