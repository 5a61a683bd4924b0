"""A module's content does not match its checksum.

What it means
    go computed another hash for what it downloaded than go.sum or the checksum database holds, and refused it.

Why it matters
    The mirror, or somebody on the way, delivered other bytes than the rest of the world gets; or the version's tag was
    moved after it was recorded.

How we know
    go's `SECURITY ERROR` line. Which hop altered the bytes can only be told from decrypted traffic.

False positives
    A tag that was moved after the first download looks the same, and so does a go.sum that was edited by hand.

What to do
    Do not switch the check off. Fetch the module from its origin into an empty cache and compare the hashes: if the
    origin's match, report the mirror to its operator; if they differ from the recorded ones, ask the module's author.

References
    https://go.dev/ref/mod#authenticating, cmd/go/internal/modfetch/fetch.go.
"""

from collections.abc import Iterator

from trace_go.checks.command import shell, target
from trace_go.checks.framework import Meta, finding, said, some
from trace_go.model import evidence
from trace_go.model.evidence import Confidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.go import GoError
from trace_go.model.ledger import Artifact, Request, Role
from trace_go.model.report import Case

META = Meta(group="go", severity=Severity.ERROR, audience=Audience.SECURITY, cause_rank=60)


_CONTENT = (Artifact.MOD, Artifact.ZIP)


def find(case: Case) -> Iterator[Finding]:
    errors: dict[str, GoError] = {}
    for error in case.account.log.errors:
        if error.kind in ("checksum-mismatch", "sumdb-mismatch"):
            errors.setdefault(f"{error.module}@{error.version}" if error.module and error.version else "", error)
    for name, error in errors.items():
        against = "the checksum database" if error.kind == "sumdb-mismatch" else "go.sum"
        requests = [item for item in case.requests if name and f"{item.module}@{item.version}" == name]
        contents = [item for item in requests if item.status == 200 and item.artifact in _CONTENT]
        parties, machines = {_deliverer(item) for item in contents}, {_interceptor(item) for item in contents}
        by_machine = f", delivered by {some(machines)}," if len(machines) == 1 and "" not in machines else ""
        yield finding(
            case,
            "checksum-mismatch",
            META,
            title=f"{name or 'A module'}{by_machine} does not match {against}",
            detail=f"go refused what {f'{some(parties)} delivered' if parties else 'it got'}; {said(error.text)}",
            remedy=Remedy(
                text="Fetch the module from its origin and compare the hashes; do not switch the check off.",
                command=shell("(cd $(mktemp -d) && GOMODCACHE=$PWD GOPROXY=direct go mod download -json {})", name),
            ),
            subject=name or "a module",
            requests=requests,
            evidence=[evidence.log(error.line, error.text.partition("\n")[0])],  # `detail` has the rest
            severity=Severity.ERROR,
            confidence=Confidence.CERTAIN,
        )


def _deliverer(request: Request) -> str:
    """Who answered: an interceptor in front of the host, or the host."""
    machine = _interceptor(request)
    return f"{machine}, in the place of {target(request)}," if machine else target(request)


def _interceptor(request: Request) -> str:
    return next((hop.label for hop in request.hops if hop.role is Role.INTERCEPTOR), "")
