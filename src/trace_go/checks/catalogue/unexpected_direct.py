"""A module came directly from its origin although a mirror stands first.

What it means
    The mirror did not deliver the module, and go went on to `direct`: the module's own server was asked, usually
    through git.

Why it matters
    Direct downloads depend on every module's own host, are slower, and bypass what the mirror is there for: caching,
    policy, review. Before a bar in GOPROXY any outage of the mirror leads there.

How we know
    The attempts for one module in the order of GOPROXY, from go's log, with the status or error that made go move on.
    Packets alone show connections to origins, not why go made them.

False positives
    A private or new module that the mirror does not carry answers 404 and is meant to fall through: that is a note.
    Modules that GOPRIVATE or GONOPROXY names go direct by configuration and are not reported; of private ones that a
    public mirror was asked for private-module-leak tells.

What to do
    If the module is private, name it in GOPRIVATE: then neither the mirror nor the public checksum database is asked
    about it. If it is public, ask the mirror's operator why it does not deliver it.

References
    https://go.dev/ref/mod#private-modules, cmd/go/internal/modfetch/proxy.go.
"""

from collections import defaultdict
from collections.abc import Iterator

from trace_go.checks.command import setting, target
from trace_go.checks.framework import Meta, count, finding, is_below, some, went_direct
from trace_go.checks.missing import SUMDB
from trace_go.checks.privacy import learned, private_modules, with_patterns
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import Request, Role
from trace_go.model.report import Case

META = Meta(group="go", severity=Severity.WARNING, audience=Audience.DEVELOPER, cause_rank=85)

_NOT_FOUND = (404, 410)
MAX_MODULES = 5
"""modules named in a finding and its command"""


def find(case: Case) -> Iterator[Finding]:
    origins, private = went_direct(case), private_modules(case)
    groups: dict[tuple[str, str], list[Request]] = defaultdict(list)
    for request in case.requests:
        turned_away = request.failure or request.status in _NOT_FOUND
        if request.module and turned_away and _asked_mirror(request) and is_below(request.module, origins):
            if request.module in private and learned(case, request):
                continue  # private-module-leak tells more
            kind = request.failure.kind if request.failure else "not-found"
            groups[target(request), kind].append(request)
    for (host, kind), requests in groups.items():
        modules = sorted({request.module for request in requests if request.module})
        meant = kind == "not-found"
        why = f" ({requests[0].next_entry})" if requests[0].next_entry else ""
        yield finding(
            case,
            "unexpected-direct",
            META,
            title=f"{count(len(modules), 'module')} came from the origin, not from {host}",
            detail=f"{some(modules, MAX_MODULES)}: {host} said {requests[0].status or kind}{why}.",
            remedy=_private(case, modules) if meant else _OUTAGE,
            subject=f"{host}:{kind}",
            requests=requests,
            severity=Severity.NOTE if meant else None,
        )


def _asked_mirror(request: Request) -> bool:
    hop = request.target if request.artifact not in SUMDB else None
    return hop is not None and hop.role is Role.MIRROR


_OUTAGE = Remedy(text="Ask the mirror's operator why it failed; with a comma in place of the bar go would stop there.")


def _private(case: Case, modules: list[str]) -> Remedy:
    return Remedy(
        text="If these modules are private, name them in GOPRIVATE; if not, ask the mirror's operator for them.",
        command=setting(case, "GOPRIVATE", with_patterns(case, "GOPRIVATE", modules[:MAX_MODULES])),
    )
