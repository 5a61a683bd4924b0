"""An answer that go could not use.

What it means
    A server answered with status 200, and go rejected the content: a zip file that is cut or damaged, a version's
    information that is no JSON or is about another version, a go.mod file without a module line, a checksum record that
    is none.

Why it matters
    To go the request succeeded, so a comma in GOPROXY stops the list here. The usual reason is a file that a mirror
    stored half, and it stays there until somebody removes it; but whoever wants to pass another module off as this one
    would cause the same errors.

How we know
    go's own error, which does not name a zip file: where several were fetched, the finding says so. After a bar go
    prints no error and asks the next entry: that it did, although the first had answered, is our evidence.

False positives
    A full disk on your side can damage a zip file as well; go then says so elsewhere.

What to do
    Fetch the file alone and test it. If it is damaged there, the mirror's operator must remove its copy.

References
    cmd/go/internal/modfetch/proxy.go (Stat, Zip), cmd/go/internal/modfetch/fetch.go.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from trace_go.checks.command import shell, target
from trace_go.checks.framework import Meta, count, finding, reason, said, some
from trace_go.model import evidence
from trace_go.model.evidence import Confidence
from trace_go.model.finding import Audience, Finding, Remedy, Severity
from trace_go.model.go import GoError
from trace_go.model.ledger import Artifact, Request
from trace_go.model.report import Case

META = Meta(group="go", severity=Severity.ERROR, audience=Audience.OPERATOR, cause_rank=49)

_WHAT = {
    "bad-zip": "delivers a damaged zip file",
    "bad-info": "answers with version information that is no JSON",
    "wrong-version": "answers for another version than go asked for",
    "bad-mod": "delivers a go.mod file that is none",
    "bad-record": "answers with a checksum record that is none",
    "not-used": "answers with something that go cannot use",
}
_ZIPS = (Artifact.ZIP, Artifact.TOOLCHAIN)


def find(case: Case) -> Iterator[Finding]:
    groups: dict[tuple[str, str], list[Request]] = defaultdict(list)
    for request in case.requests:
        if request.failure and request.failure.kind in _WHAT:
            groups[target(request), request.failure.kind].append(request)
    for (host, kind), requests in groups.items():
        first = requests[0]
        why = f"{first.failure.text}." if kind == "not-used" and first.failure else reason(first)
        yield _finding(case, host, kind, requests, f"{_subject(first)}: {why}")
    if not any(kind == "bad-zip" for _, kind in groups):
        for error in case.account.log.errors:
            zips = [item for item in case.requests if item.artifact in _ZIPS and not item.failure]
            if error.kind == "bad-zip" and zips:
                yield from _one_of(case, error, zips)


def _one_of(case: Case, error: GoError, zips: Sequence[Request]) -> Iterator[Finding]:
    """The error names no file, and several were fetched."""
    hosts = {target(item) for item in zips}
    detail = f"{said(error.text)} It does not say which of {count(len(zips), 'zip file')} from {some(hosts)} is meant."
    proof = evidence.log(error.line, error.text)
    yield _finding(case, some(hosts), "bad-zip", zips, detail, proof)


def _finding(
    case: Case, host: str, kind: str, requests: Sequence[Request], detail: str, *proof: evidence.Evidence
) -> Finding:
    first = requests[0]
    test = "curl -sSL -o module.zip {} && unzip -tq module.zip" if kind == "bad-zip" else "curl -sSL {}"
    return finding(
        case,
        "unusable-answer",
        META,
        title=f"{host} {_WHAT[kind]}",
        detail=detail,
        remedy=Remedy(
            text="Fetch the file alone and look at it; if it is wrong there too, tell the mirror's operator.",
            command=shell(test, first.url) if first.url else None,
        ),
        subject=f"{host}:{kind}",
        requests=requests,
        evidence=proof,
        confidence=Confidence.MEDIUM if kind == "not-used" or proof else Confidence.HIGH,
    )


def _subject(request: Request) -> str:
    name = f"{request.module}@{request.version}" if request.version else request.module or request.url or "a request"
    return f"{request.artifact} of {name}"
