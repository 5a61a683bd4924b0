"""A module's content does not match its checksum.

What it means
    go computed another hash for what it downloaded than go.sum or the checksum database holds, and refused it.

Why it matters
    Somebody on the way, or the mirror, delivered other bytes than the rest of the world gets; or a tag was moved.

How we know
    go's `SECURITY ERROR` line. Which hop altered the bytes needs decrypted traffic.

False positives
    A tag that was moved after the first download looks the same.

What to do
    Do not bypass the check. Download the module through another path and compare; report it to the mirror's operator.

References
    https://go.dev/ref/mod#authenticating, cmd/go/internal/modfetch/fetch.go.
"""

from collections.abc import Iterator

from trace_go.checks.framework import Meta, finding
from trace_go.model import evidence
from trace_go.model.evidence import Confidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.report import Case

META = Meta(group="go", severity=Severity.ERROR, audience=Audience.SECURITY, cause_rank=60)


def find(case: Case) -> Iterator[Finding]:
    for error in case.account.log.errors:
        if error.kind not in ("checksum-mismatch", "sumdb-mismatch"):
            continue
        name = f"{error.module}@{error.version}" if error.module and error.version else "a module"
        against = "the checksum database" if error.kind == "sumdb-mismatch" else "go.sum"
        requests = [item for item in case.requests if item.module == error.module and item.version == error.version]
        yield finding(
            "checksum-mismatch",
            META,
            title=f"{name} does not match {against}",
            detail=f"go refused the downloaded content: {error.text}",
            remedy=Remedy(text="Download the module through another mirror and compare; do not switch the check off."),
            subject=name,
            requests=requests,
            evidence=(evidence.log(error.line, error.text),),
            confidence=Confidence.CERTAIN,
        )
