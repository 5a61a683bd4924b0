"""A Go toolchain is refused, or comes by an unexpected way.

What it means
    go.mod or GOTOOLCHAIN wants another Go than the installed one, and go downloads it as a module. With GOSUMDB=off go
    refuses it, because it takes no toolchain unverified. Or it came through a machine that breaks TLS open, or by plain
    http.

Why it matters
    A toolchain is a program that runs at once, with your rights, and builds everything after it. The checksum database
    is asked whatever GONOSUMDB says; on such a way it is the only protection.

How we know
    The request for `golang.org/toolchain` in go's HTTP/2 log (-x does not print it) or in clear HTTP, with its hops;
    go's error line.

False positives
    A company's own inspection, when it is meant. The contents are verified all the same.

What to do
    Refused: let GOSUMDB have its default, or install that Go and set GOTOOLCHAIN=local. Otherwise install toolchains
    from a source that you trust, and let GOTOOLCHAIN=local keep go from switching.

References
    https://go.dev/doc/toolchain, https://go.dev/ref/mod#checksum-database, cmd/go/internal/toolchain/select.go,
    cmd/go/internal/modfetch/sumdb.go (useSumDB).
"""

from collections.abc import Iterator

from trace_go.checks.command import setting, target, unset
from trace_go.checks.framework import Meta, finding, said, some
from trace_go.checks.privacy import TOOLCHAIN
from trace_go.gocmd.layers import in_effect
from trace_go.model import evidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.ledger import HandledBy, Request, Role
from trace_go.model.report import Case

META = Meta(group="go", severity=Severity.ERROR, audience=Audience.SECURITY, cause_rank=64)


def find(case: Case) -> Iterator[Finding]:
    asked = [item for item in case.requests if item.module == TOOLCHAIN]
    told = next((item for item in case.account.log.errors if item.kind == "sumdb-off"), None)
    if told:
        found = in_effect(case.account, "GOSUMDB")
        yield finding(
            case,
            "toolchain-download",
            META,
            title="go takes no other toolchain while GOSUMDB is off",
            detail=said(told.text),
            remedy=Remedy(
                text="Let GOSUMDB have its default, or install this Go yourself.", command=unset(case, "GOSUMDB")
            ),
            subject="GOSUMDB",
            requests=asked,
            evidence=[evidence.log(told.line, told.text), *([evidence.env(found.text)] if found else [])],
            severity=Severity.ERROR,
        )
    odd = [item for item in asked if not item.failure and _way(item)]
    if odd:
        yield finding(
            case,
            "toolchain-download",
            META,
            title=f"A Go toolchain came {_way(odd[0])}",
            detail=f"{some(item.version or 'a toolchain' for item in odd)}, for {some(map(target, odd))}. Only the "
            "checksum database vouches for it.",
            remedy=Remedy(
                text="Install this Go from a source that you trust, and keep go from switching.",
                command=setting(case, "GOTOOLCHAIN", "local"),
            ),
            subject=min(map(target, odd)),
            requests=odd,
            severity=Severity.WARNING,
        )


def _way(request: Request) -> str:
    """How a toolchain came, if not as it should."""
    if request.handled_by is HandledBy.MITM:
        machine = next((hop.label for hop in request.hops if hop.role is Role.INTERCEPTOR and hop.label), "a machine")
        return f"through {machine}, which breaks TLS open"
    return "by plain http" if (request.url or "").startswith("http://") else ""
